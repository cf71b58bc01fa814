"""The bundle: one folder with everything that an export came to, and a manifest that says what it should be.

    manifest.json            format version, package versions, sha256 of every file, target, shapes, latency, resources
    graph.nir                the float graph
    program.json, .safetensors
    golden/                  events.safetensors, expected.safetensors: encoded inputs, and the spikes of every layer for them
    report.json              the ledger, and what the export measured

A bundle for target `nir` holds graph, report and manifest only.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from snnfuse.export.files import check_target, hash_files, recover, whole_folder
from snnfuse.export.manifest import (
    EVENTS,
    EXPECTED,
    FORMAT,
    GRAPH,
    MANIFEST,
    REPORT,
    TARGETS,
    check_file,
    check_manifest,
    make_manifest,
)
from snnfuse.hardware import ledger
from snnfuse.hardware.chip import Resources, check_chip
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.fields import read_json
from snnfuse.hardware.program import Program
from snnfuse.hardware.recording import Recording
from snnfuse.hardware.reference import make_recording
from snnfuse.hardware.storage import load_program, save_program

if TYPE_CHECKING:
    import nir


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle on disk whose files are what its manifest says.

    Attributes:
        path: the folder.
        manifest: manifest.json.
    """

    path: Path
    manifest: Mapping[str, Any]

    @cached_property
    def graph(self) -> "nir.NIRGraph":
        """The float graph."""
        from snnfuse.export.graph_file import read_graph

        return read_graph(self.path / GRAPH)

    @cached_property
    def program(self) -> Program:
        """The integer program; InputError in a bundle that holds only a graph."""
        if "program.json" not in self.manifest["files"]:
            raise InputError(f"{self.path} was made with --target {self.manifest['target']} and holds no program")
        return load_program(self.path)

    @cached_property
    def events(self) -> dict[str, NDArray[np.int32]]:
        """Golden inputs: int32 (time, batch, *shape) per input; InputError where there are none."""
        return self._arrays(EVENTS)

    @cached_property
    def golden(self) -> Recording:
        """What the program has to make of `events`: the spikes of every population, and the recorded states."""
        arrays = self._arrays(EXPECTED)
        spikes = {key.split("/", 1)[1]: value for key, value in arrays.items() if key.startswith("spikes/")}
        states: dict[str, dict[str, NDArray]] = {}
        for key, value in arrays.items():
            variable, node = key.split("/", 1)
            if variable != "spikes":
                states.setdefault(node, {})[variable] = value
        missing = [name for name in self.program.neurons if name not in spikes]
        if missing:
            raise InputError(f"{self.path / EXPECTED}: no spikes of layer {missing[0]!r}")
        return make_recording(self.program, spikes, states, "golden")

    @cached_property
    def report(self) -> dict[str, Any]:
        """The ledger, and what the export measured."""
        return read_json(self.path / REPORT)

    def _arrays(self, name: str) -> dict[str, NDArray]:
        path = self.path / name
        if name not in self.manifest["files"]:
            raise InputError(f"{self.path} holds no golden vectors")
        try:
            return load(path.read_bytes())
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise InputError(f"{path}: no readable safetensors file: {error}") from error


def write_bundle(
    path: str | Path,
    *,
    graph: "nir.NIRGraph",
    program: Program | None = None,
    events: Mapping[str, NDArray[np.int32]] | None = None,
    golden: Recording | None = None,
    target: str = "loihi2",
    resources: Resources | None = None,
    graph_ledger: ledger.Ledger = (),
    report: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Bundle:
    """Write a bundle, whole or not at all.

    Args:
        path: the folder to make.
        graph: the float graph.
        program: the integer program; None for target `nir`.
        events, golden: encoded inputs and what the program makes of them, recorded with record="all"; both or neither.
        target: what it was made for.
        resources: what the program takes of a board; by default, for target `loihi2`, of one with a single chip.
        graph_ledger: the changes, where there is no program to carry them.
        report: anything JSON-able that was measured.
        force: replace an older bundle.

    Raises:
        InputError: the path exists or cannot be written, or the arguments do not belong together.
        UnsupportedError, DoesNotFitError: target `loihi2`, and the chip cannot do or hold it; as of `check_chip`.
    """
    path = Path(path).absolute()
    _check_arguments(target, program, events, golden)
    check_target(path, force, is_bundle)
    if target == "loihi2" and program is not None and resources is None:
        resources = check_chip(program)
    entries = program.ledger if program else graph_ledger
    with whole_folder(path) as folder:
        _write_graph(folder, graph)
        if program is not None:
            save_program(program, folder)
        if program is not None and events is not None and golden is not None:
            _write_golden(folder, program, events, golden)
        write_json(folder / REPORT, {"ledger": ledger.to_json(entries), **(report or {})})
        manifest = make_manifest(target, program, resources, len(entries), hash_files(folder))
        write_json(folder / MANIFEST, manifest)
    return Bundle(path, manifest)


def read_bundle(path: str | Path) -> Bundle:
    """Open a bundle and check every file against its hash.

    Raises:
        InputError: it is missing, or no bundle that this version reads.
        VerificationError: a file is missing or is not the one that was written; names it.
    """
    path = Path(path)
    recover(path)
    if not path.is_dir():
        raise InputError(f"{path}: no such folder" if not path.exists() else f"{path} is a file; a bundle is a folder")
    manifest = read_json(path / MANIFEST)
    check_manifest(manifest, path / MANIFEST)
    for name, expected in manifest["files"].items():
        check_file(path, name, expected)
    return Bundle(path, manifest)


def is_bundle(path: Path) -> bool:
    """Whether a folder says that it is a bundle, of whatever version."""
    try:
        return read_json(path / MANIFEST).get("format") == FORMAT
    except InputError:
        return False


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """One JSON object, indented."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _check_arguments(target: str, program: Program | None, events: Any, golden: Recording | None) -> None:
    if target not in TARGETS:
        raise InputError(f"unknown target {target!r}; there are {', '.join(TARGETS)}")
    if (program is None) != (target == "nir"):
        raise InputError("a bundle for target 'nir' holds no program, every other one needs it")
    if (events is None) != (golden is None):
        raise InputError("golden vectors need both the events and what the program made of them")
    if program is not None and golden is not None:
        missing = [name for name in program.neurons if name not in golden.spikes]
        if missing:
            raise InputError(f"golden vectors need every layer, {missing[0]!r} was not recorded: use record='all'")


def _write_graph(folder: Path, graph: "nir.NIRGraph") -> None:
    import nir

    nir.write(folder / GRAPH, graph)


def _write_golden(folder: Path, program: Program, events: Mapping[str, NDArray], golden: Recording) -> None:
    expected = {f"spikes/{name}": golden.spikes[name] for name in program.neurons}
    expected |= {f"{variable}/{name}": values for name, of in golden.states.items() for variable, values in of.items()}
    (folder / EVENTS).parent.mkdir()
    for name, arrays in ((EVENTS, events), (EXPECTED, expected)):
        (folder / name).write_bytes(save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))
