"""The manifest of a bundle: what made it, for what, what it holds, and the hash of every file."""

import os
import platform
import stat
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from snnfuse.export.bundle.board_script import RUN_ON_BOARD
from snnfuse.export.bundle.microcode import MICROCODE
from snnfuse.export.targets import TARGETS
from snnfuse.hardware.chip import Resources
from snnfuse.hardware.errors import InputError, UnsafeFileError, VerificationError
from snnfuse.hardware.files import list_files, sha256
from snnfuse.hardware.ir.nodes import Input
from snnfuse.hardware.ir.pipeline import Pipeline, stage_folder
from snnfuse.hardware.ir.pipeline_storage import FILE as PIPELINE
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.reading import check_names
from snnfuse.hardware.seal import KEY, is_intact

FORMAT = "snnfuse bundle"
VERSION = 4
PIPELINE_VERSION = 5  # of a bundle of several programs, which an older snnfuse must not take for one
_UNSEALED = "whether the manifest itself is as it was written, for it does not carry its own hash"
_ANY_SCRIPT = f"which {RUN_ON_BOARD} it was written with, of two; run snnfuse board in its place"
_NO_TIERS = "cores and tiers, which were counted by another rule"
_OLDER_PLACEMENT = "cores and memory of each layer, which were counted by another rule"
LACKS: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        1: (_NO_TIERS, _UNSEALED, _ANY_SCRIPT),
        2: (_OLDER_PLACEMENT, _UNSEALED, _ANY_SCRIPT),
        3: (_OLDER_PLACEMENT, _UNSEALED, _ANY_SCRIPT),
        VERSION: (),
        PIPELINE_VERSION: (),
    }
)
"""Format versions that are read, and what cannot be checked of each."""
STAGED = (3, PIPELINE_VERSION)
PACKAGES = ("snnfuse", "torch", "snntorch", "nir", "numpy", "scipy", "lava-nc", "lava-dl")
MANIFEST, GRAPH, REPORT, NET, PAGE = "manifest.json", "graph.nir", "report.json", "network.net", "report.html"
PARETO = "pareto.svg"  # of a search for bit widths
PROGRAM_FILES = ("program.json", "program.safetensors")
EVENTS, EXPECTED = "golden/events.safetensors", "golden/expected.safetensors"
HELD = frozenset({GRAPH, REPORT, NET, PAGE, PARETO, EVENTS, EXPECTED, RUN_ON_BOARD, MICROCODE, *PROGRAM_FILES})
"""All that a bundle of a single program may hold beside its manifest."""


def make_manifest(
    target: str,
    pipeline: Pipeline | None,
    changes: int,
    files: Mapping[str, str] = MappingProxyType({}),
    absent: Mapping[str, str] = MappingProxyType({}),
    *,
    resources: Resources | None = None,
    staged: bool = False,
) -> dict[str, Any]:
    """The manifest of a bundle.

    Args:
        target: by name.
        pipeline: all programs; None for a graph alone.
        changes: entries in the ledger.
        files: path to sha256.
        absent: why it does not hold other files.
        resources: what a single program takes of a board.
        staged: whether each program has a folder of its own.
    """
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "format_version": PIPELINE_VERSION if staged else VERSION,
        "target": target,
        "python": platform.python_version(),
        "packages": _versions(),
        "ledger_entries": changes,
        "files": dict(files),
    }
    if pipeline is not None:
        last = pipeline.programs[-1]
        manifest |= {"inputs": describe_inputs(pipeline.inputs), "outputs": describe_outputs(last)}
        if staged:
            return manifest | {"stages": [stage_folder(i) for i in range(len(pipeline.programs))]}
        manifest |= {"latency": dict(last.latency), "absent": dict(absent)}
    return manifest | ({"resources": resources.to_json()} if resources else {})


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe_inputs(inputs: Mapping[str, Input]) -> dict[str, Any]:
    """Shape, bits and scale of every input."""
    return {
        name: {"shape": list(node.shape), "bits": node.bits}
        | ({"scale": node.scale} if node.sends_numbers else {})
        | ({"written": True} if node.is_written else {})
        for name, node in inputs.items()
    }


def describe_outputs(program: Program) -> dict[str, Any]:
    """Node, shape and decoder of every output; of a population code the number of classes, and of voltages the value of a unit."""
    return {
        name: {"node": output.node, "shape": list(program.nodes[output.node].shape), "decoder": output.decoder}
        | {key: value for key in ("num_classes", "unit") if (value := getattr(output, key)) is not None}
        for name, output in program.outputs.items()
    }


def check_plain(folder: Path) -> None:
    """Refuse a bundle in which something lies that is neither a file nor a folder, listed or not, before anything of it is read.

    Raises:
        UnsafeFileError: names the first; snnfuse writes no links, pipes or devices.
    """
    for name in list_files(folder):
        if not stat.S_ISREG(os.lstat(folder / name).st_mode):
            raise UnsafeFileError(f"{folder / _shown(name)} is a link or a device, which snnfuse writes into no bundle; delete it")


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:80])


CODE = (".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".pth", ".egg", ".whl")
"""Ends of names that Python imports or runs."""


def check_seal(raw: bytes, manifest: Mapping[str, Any], path: Path) -> None:
    """Compare a manifest with the hash that it carries; those of older versions carry none.

    Raises:
        VerificationError: a bit of it is not as it was written.
        UnsafeFileError: it lists a file that lies there and that snnfuse writes into no bundle, or code lies there that it does not list:
            that is no damage.
    """
    files, stages = manifest.get("files"), manifest.get("stages")
    lying = {name: "" for name in files if _lies(path.parent / name)} if isinstance(files, dict) else {}
    _check_held(lying, _held_by(stages) if isinstance(stages, list) else HELD, path)
    planted = [name for name in list_files(path.parent) if name.endswith(CODE) and name not in lying]
    if planted:
        raise UnsafeFileError(
            f"{path.parent}: holds {_shown(planted[0])!r}, code that is not of this bundle; do not run anything in this folder"
        )
    version = manifest.get("format_version")
    if KEY not in manifest and not (isinstance(version, int) and version in (VERSION, PIPELINE_VERSION)):
        return
    if KEY not in manifest or not is_intact(raw, manifest):
        raise VerificationError(f"{path}: changed after the export: its sha256 is not the one that it carries")


def _lies(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # a name with a NUL
        return False


def check_manifest(manifest: Mapping[str, Any], path: Path) -> None:
    """Raise InputError, naming the field, for a manifest that is none or is of another version."""
    if manifest.get("format") != FORMAT:
        raise InputError(f"{path}: format is {manifest.get('format')!r}, not {FORMAT!r}")
    if type(manifest.get("format_version")) is not int or manifest["format_version"] not in LACKS:
        versions = ", ".join(map(str, LACKS))
        raise InputError(f"{path}: format_version is {manifest.get('format_version')!r}; this snnfuse reads {versions}")
    if not isinstance(manifest.get("target"), str) or manifest["target"] not in TARGETS:
        raise InputError(f"{path}: target is {manifest.get('target')!r}, none of {', '.join(TARGETS)}")
    if ("stages" in manifest) != (manifest["format_version"] in STAGED):
        raise InputError(f"{path}: format_version {' or '.join(map(str, STAGED))} and stages go together")
    _check_names(manifest, path)
    if "stages" in manifest:
        _check_stages(manifest, path)
        return
    files, absent = manifest.get("files"), manifest.get("absent", {})
    if not isinstance(absent, dict) or not all(isinstance(reason, str) and reason for reason in absent.values()):
        raise InputError(f"{path}: absent must give a reason for each file")
    target = TARGETS[manifest["target"]]
    _check_held(files, HELD, path)
    needed = [name for name in (GRAPH, REPORT) if name not in absent or not target.has_program]
    needed += PROGRAM_FILES if target.has_program else []
    needed += [NET] if NET in target.holds else []
    if not isinstance(files, dict) or not all(name in files for name in needed):
        raise InputError(f"{path}: files must list {', '.join(needed)}")


def _check_names(manifest: Mapping[str, Any], path: Path) -> None:
    """As those of the program, of which commands that only read the manifest know nothing."""
    resources = manifest.get("resources")
    rows = resources.get("layers") if isinstance(resources, dict) else None
    names = [row.get("name") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    names += [name for field in ("inputs", "outputs", "latency") if isinstance(each := manifest.get(field), dict) for name in each]
    try:
        check_names(names, "a layer")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_stages(manifest: Mapping[str, Any], path: Path) -> None:
    stages, files = manifest["stages"], manifest.get("files")
    if not isinstance(stages, list) or not stages or stages != [stage_folder(i) for i in range(len(stages))]:
        raise InputError(f"{path}: stages must be {stage_folder(0)}, {stage_folder(1)} and so on")
    needed = [PIPELINE, REPORT, *(f"{stage}/{MANIFEST}" for stage in stages)]
    missing = [name for name in needed if not isinstance(files, dict) or name not in files]
    if missing:
        raise InputError(f"{path}: files must list {missing[0]}")
    _check_held(files, _held_by(stages), path)


def _held_by(stages: Sequence[object]) -> Collection[str]:
    return {PIPELINE, *HELD, *(f"{stage}/{name}" for stage in stages for name in (MANIFEST, *HELD))}


def _check_held(files: object, held: Collection[str], path: Path) -> None:
    """Raise UnsafeFileError for a listed file that snnfuse does not write into bundles."""
    foreign = sorted(str(name) for name in files if name not in held) if isinstance(files, dict) else []
    if foreign:
        raise UnsafeFileError(
            f"{path}: files lists {_shown(foreign[0])!r}, which snnfuse writes into no bundle; do not run anything in this folder"
        )


def check_file(folder: Path, name: str, expected: object) -> None:
    """Raise VerificationError for a file that is missing or does not have the sha256 that the manifest gives it."""
    path = folder / name
    if not os.path.isfile(path):
        raise VerificationError(f"{path}: missing, but the manifest lists it")
    if sha256(path) != expected:
        raise VerificationError(f"{path}: changed after the export: its sha256 is not the manifest's")
