"""Whether a bundle's manifest tells the truth about its program, beyond the hashes: both can be edited together."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from snnfuse.export.bundle.board_script import OLDER_SCRIPTS, RUN_ON_BOARD, SCRIPT
from snnfuse.export.bundle.bundle import Bundle
from snnfuse.export.bundle.manifest import GRAPH, MANIFEST, NET, PAGE, REPORT, make_manifest
from snnfuse.export.bundle.verification import VERIFIED
from snnfuse.export.targets import find_target
from snnfuse.hardware import Program, ledger
from snnfuse.hardware.chip import Board, Resources, board_from_json, check_chip
from snnfuse.hardware.chip.boards import LARGEST
from snnfuse.hardware.chip.tiers import statuses, tiers
from snnfuse.hardware.errors import SnnfuseError, UnsupportedError, VerificationError
from snnfuse.hardware.files import list_files
from snnfuse.hardware.ir.pipeline import as_pipeline

LATER_LIMITS = ("state_words",)
"""Limits of placement that manifests of earlier versions were made without."""


def check_consistency(bundle: Bundle) -> None:
    """Refuse files that the manifest does not list, and fields of it that the program contradicts.

    Raises:
        VerificationError: names the files, or the field.
        InputError: a file of the bundle cannot be read.
    """
    unlisted = sorted(set(list_files(bundle.path)) - {VERIFIED, MANIFEST, *bundle.manifest["files"]})
    if unlisted:
        raise VerificationError(f"{bundle.path} holds what its manifest does not list: {', '.join(unlisted)}")
    for field, found, expected in _stage_differences(bundle) if bundle.is_staged else _differences(bundle):
        raise VerificationError(f"{bundle.path / MANIFEST}: {field} is {found!r}, but the bundle's content says {expected!r}")
    for stage in bundle.stages if bundle.is_staged else ():
        check_consistency(stage)


def _differences(bundle: Bundle) -> Iterator[tuple[str, Any, Any]]:
    """(field, what the manifest says, what it should say), for those that differ."""
    manifest = bundle.manifest
    has_program = find_target(manifest["target"]).has_program
    program = bundle.program if has_program else None
    entries = ledger.to_json(program.ledger) if program else bundle.report.get("ledger")
    if not has_program and (more := set(manifest["files"]) - {GRAPH, REPORT, PAGE}):
        yield "target", "nir", f"a program: {', '.join(sorted(more))}"
    if bundle.report.get("ledger") != entries or not isinstance(entries, list):
        yield f"the ledger of {REPORT}", "another one", "the program's"
    if program is not None:
        yield from _network_differences(bundle)
    if program is not None and manifest["format_version"] > 1 and bundle.report.get("tiers") != tiers(program):
        yield f"tiers of {REPORT}", bundle.report.get("tiers"), tiers(program)
    if program is not None and bundle.report.get("tier_status", statuses(program)) != statuses(program):  # older reports have none
        yield f"tier_status of {REPORT}", bundle.report["tier_status"], statuses(program)
    yield from _script_differences(bundle)
    is_placed = find_target(manifest["target"]).is_placed
    resources = _resources(bundle) if is_placed and not bundle.lacks else None
    pipeline = None if program is None else as_pipeline(program)
    true = make_manifest(manifest["target"], pipeline, len(entries or ()), resources=resources)
    for field in ("inputs", "outputs", "latency", "ledger_entries"):
        if manifest.get(field) != true.get(field):
            yield field, manifest.get(field), true.get(field)
    if is_placed and program is not None and manifest["format_version"] in (2, 3):
        yield from _placed_then(manifest, program)
    for field, value in _placement(true).items() if not bundle.lacks else ():
        if _placement(manifest).get(field) != value:
            yield f"resources: {field}", _placement(manifest).get(field), value


def _placed_then(manifest: Mapping[str, Any], program: Program) -> Iterator[tuple[str, Any, Any]]:
    """What an older placement says that no rule of counting cores and memory changes: the layers, and their neurons."""
    layers = _placement(manifest).get("layers")
    said = {row.get("name"): row.get("neurons") for row in layers if isinstance(row, dict)} if isinstance(layers, list) else {}
    true = {name: node.size for name, node in program.nodes.items() if name not in program.inputs}
    if said != true:
        yield "resources: neurons of layers", said, true


def _stage_differences(bundle: Bundle) -> Iterator[tuple[str, Any, Any]]:
    """The same for a network in stages, which are checked as bundles of their own."""
    by_stage = {stage.path.name: ledger.to_json(program.ledger) for stage, program in zip(bundle.stages, bundle.pipeline.programs)}
    rows = [row for entries in by_stage.values() for row in entries]
    if (bundle.report.get("ledger"), bundle.report.get("stages")) != (rows, by_stage):
        yield f"the ledger of {REPORT}", "another one", "that of the stages"
    for stage in bundle.stages:
        if stage.manifest["target"] != bundle.manifest["target"]:
            yield f"target of {stage.path.name}", stage.manifest["target"], bundle.manifest["target"]
    true = make_manifest(bundle.manifest["target"], bundle.pipeline, len(rows), staged=True)
    for field in ("inputs", "outputs", "ledger_entries", "stages"):
        if bundle.manifest.get(field) != true[field]:
            yield field, bundle.manifest.get(field), true[field]


def _network_differences(bundle: Bundle) -> Iterator[tuple[str, Any, Any]]:
    """Whether the netx file is the program, or its absence is explained."""
    from snnfuse.export.netx.contents import same
    from snnfuse.export.netx.file_in import read_contents
    from snnfuse.export.netx.program_to_file import to_contents

    absent = bundle.manifest.get("absent", {})
    if (NET in bundle.manifest["files"]) == (NET in absent):
        yield NET, "there and absent" if NET in absent else "neither there nor absent", "one of the two"
    for name in sorted(set(absent) & set(bundle.manifest["files"]) - {NET}):
        yield name, "there and absent", "one of the two"
    if NET in bundle.manifest["files"]:
        try:
            equal = same(read_contents(bundle.path / NET).layers, to_contents(bundle.program).layers)
        except UnsupportedError as error:
            raise VerificationError(f"{bundle.path / NET}: is not the program: {error}") from error
        if not equal:
            yield NET, "another network", "the program"


def _script_differences(bundle: Bundle) -> Iterator[tuple[str, Any, Any]]:
    """Whether the one file that a user may execute is the one that is written into bundles."""
    if RUN_ON_BOARD not in bundle.manifest["files"]:
        return
    script = (bundle.path / RUN_ON_BOARD).read_bytes()
    older = OLDER_SCRIPTS if bundle.lacks else ()
    if script != SCRIPT.encode() and hashlib.sha256(script).hexdigest() not in older:
        yield RUN_ON_BOARD, "another script", "the one that this snnfuse writes; export again, or do not run it"


def _placement(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the resources that follows from the program; limits and notes are words."""
    resources = manifest.get("resources")
    known = resources if isinstance(resources, dict) else {}
    return {field: known.get(field) for field in ("board", "rule", "cores", "chips", "least_cores", "layers")}


def _as_known_then(board: Board, manifest: Mapping[str, Any]) -> Board:
    """The board without limits that the snnfuse that wrote the manifest did not know."""
    resources = manifest.get("resources")
    limits = resources.get("limits") if isinstance(resources, dict) else None
    listed = [limit.get("name") for limit in limits if isinstance(limit, dict)] if isinstance(limits, list) else []
    later = {name: LARGEST for name in LATER_LIMITS if name not in listed}
    return replace(board, overrides={**board.overrides, **later})


def _resources(bundle: Bundle) -> Resources:
    """What the program takes of the board that the manifest names."""
    placed = _placement(bundle.manifest)
    try:
        board = board_from_json(placed["board"])
        found = check_chip(bundle.program, _as_known_then(board, bundle.manifest), "tight" if placed["rule"] == "tight" else "lava")
        return replace(found, board=board)
    except SnnfuseError as error:
        raise VerificationError(f"{bundle.path / MANIFEST}: target is 'loihi2', resources: {error}") from error
