"""A bundle of a network in stages: a whole bundle per stage, and the wiring between them.

    manifest.json            as of any bundle, with the folders of the stages; it hashes their files too
    pipeline.json            what the host computes between the stages
    stage1/, stage2/, ...    a bundle each, with golden vectors; every command that takes one program takes such a folder
    report.json              every stage's ledger, and what the export measured of the whole
    report.html              the same for a person, every stage on one page
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnfuse.export.bundle.bundle import Bundle, MakePage, add_page, is_bundle, read_bundle
from snnfuse.export.bundle.content import Content, fill, json_text
from snnfuse.export.bundle.manifest import MANIFEST, REPORT, make_pipeline_manifest
from snnfuse.export.targets import find_target
from snnfuse.hardware import ledger
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.files import check_target, hash_files, resolved, whole_folder
from snnfuse.hardware.ir.pipeline import Pipeline
from snnfuse.hardware.ir.pipeline_storage import FILE, pipeline_text, read_links, stage_folder
from snnfuse.hardware.ir.recording import Recording


@dataclass(frozen=True, eq=False)
class PipelineBundle:
    """A pipeline on disk, opened.

    Attributes:
        bundle: the whole.
        stages: a bundle each.
        pipeline: their programs, wired.
    """

    bundle: Bundle
    stages: tuple[Bundle, ...]
    pipeline: Pipeline

    @property
    def golden(self) -> tuple[Recording, ...]:
        """By stage, as of `Bundle.golden`."""
        return tuple(stage.golden for stage in self.stages)


def write_pipeline_bundle(
    path: str | Path,
    stages: Sequence[Content],
    pipeline: Pipeline,
    *,
    report: Mapping[str, Any] | None = None,
    page: MakePage | None = None,
    force: bool = False,
) -> PipelineBundle:
    """Write a pipeline, whole or not at all.

    Args:
        path: the folder to make.
        stages: what the bundle of each stage is to hold, its program among it.
        pipeline: these programs, wired.
        report: what was measured of the whole, JSON-able.
        page: makes report.html, as for `snnfuse.export.write_bundle`.
        force: replace an older bundle.

    Raises:
        InputError, UnsupportedError, DoesNotFitError: as of `snnfuse.export.write_bundle`; UnsupportedError for target `netx`.
    """
    path, target = resolved(path), _target(stages, pipeline)
    by_stage = {stage_folder(i): ledger.to_json(content.entries) for i, content in enumerate(stages)}
    measured = json_text({"ledger": [row for rows in by_stage.values() for row in rows], "stages": by_stage, **(report or {})})
    check_target(path, force, is_bundle)
    with whole_folder(path) as folder:
        for i, content in enumerate(stages):
            (folder / stage_folder(i)).mkdir()
            fill(folder / stage_folder(i), content)
        (folder / FILE).write_text(pipeline_text(pipeline.links, len(stages)), encoding="utf-8")
        (folder / REPORT).write_text(measured, encoding="utf-8")
        changes = sum(map(len, by_stage.values()))
        manifest = make_pipeline_manifest(target, pipeline, changes, hash_files(folder))
        (folder / MANIFEST).write_text(json_text(manifest), encoding="utf-8")
        add_page(folder, manifest, path.name, page)
    return open_pipeline(read_bundle(path))


def _target(stages: Sequence[Content], pipeline: Pipeline) -> str:
    """The one target of all stages."""
    if [content.program for content in stages] != list(pipeline.programs):
        raise InputError("a pipeline's stages must hold its programs, in its order")
    target, *others = dict.fromkeys(content.target for content in stages)
    if others:
        raise InputError(f"a pipeline's stages must be for one target, not for {', '.join((target, *others))}")
    if "stages" not in find_target(target).holds:
        raise UnsupportedError("a netx file holds one network, and this one is several programs; use --target loihi2 or lava")
    return target


def open_pipeline(bundle: Bundle) -> PipelineBundle:
    """The stages of a bundle, wired.

    Raises:
        InputError: it holds a single program, its wiring is damaged, or its stages do not fit each other.
        VerificationError: a file of a stage is not what was written.
    """
    if not bundle.is_pipeline:
        raise InputError(f"{bundle.path} holds a single program, no pipeline")
    links, folders = read_links(bundle.path)
    if list(folders) != bundle.manifest["stages"]:
        raise InputError(f"{bundle.path / FILE}: its stages are not those of {MANIFEST}")
    stages = tuple(read_bundle(bundle.path / folder) for folder in folders)
    programs = tuple(stage.program for stage in stages)
    try:
        return PipelineBundle(bundle, stages, Pipeline(programs, links))
    except InputError as error:
        raise InputError(f"{bundle.path / FILE}: {error}") from error
