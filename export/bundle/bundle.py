"""The bundle: one folder with everything that an export came to, and a manifest that says what it should be.

    manifest.json            format version, package versions, sha256 of every file, target, shapes, latency, resources
    graph.nir                the float graph; absent where the model came as integers
    program.json, .safetensors
    network.net              the program for lava-dl's netx, where that can express it
    golden/                  events.safetensors, expected.safetensors: encoded inputs, and the spikes of every layer for them
    run_on_board.py          runs golden/ on a board and compares; for target loihi2, where there are golden vectors
    neuron_microcode.txt     beside it, where neurons need microcode: skeletons of their process models, and their arithmetic
    report.json              the ledger, the tier of every layer, and what the export measured
    report.html              the same for a person, where the writer gave a page; `snnfuse-export` does
    pareto.svg               of a search for bit widths: accuracy against synapse memory

A bundle for target `nir` holds graph, report and manifest only. The manifest says why a file is absent. A network in stages has

    manifest.json            as above, with the folders of the stages; it hashes their files too
    pipeline.json            what the host computes between the stages
    stage1/, stage2/, ...    a bundle each, with golden vectors; every command takes such a folder too
    report.json, .html       every stage's ledger, and what the export measured of the whole
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from snnfuse.export.bundle.compiled import Compiled, Stage
from snnfuse.export.bundle.content import fill, json_text, network_files, write_manifest
from snnfuse.export.bundle.manifest import (
    EVENTS,
    EXPECTED,
    FORMAT,
    GRAPH,
    LACKS,
    MANIFEST,
    PAGE,
    PROGRAM_FILES,
    REPORT,
    check_file,
    check_manifest,
    check_plain,
    check_seal,
)
from snnfuse.export.targets import find_target
from snnfuse.hardware import ledger
from snnfuse.hardware.chip import Resources
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.files import check_target, recover, resolved, sha256, whole_folder
from snnfuse.hardware.ir.json_fields import read_json
from snnfuse.hardware.ir.kinds import resolve
from snnfuse.hardware.ir.pipeline import Link, Pipeline
from snnfuse.hardware.ir.pipeline_storage import FILE, read_links
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recorded import make_recording
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ir.storage import load_program
from snnfuse.hardware.reading import parse_json, read_bytes, reading
from snnfuse.hardware.shown import Summarised, Summary

if TYPE_CHECKING:
    import nir


@dataclass(frozen=True, eq=False, repr=False)
class Bundle(Summarised):
    """A bundle on disk whose files are what its manifest says.

    Attributes:
        path: the folder.
        manifest: manifest.json.
    """

    path: Path
    manifest: Mapping[str, Any]

    def summary(self) -> Summary:
        """What it is for, what it takes and gives, and its files."""
        known = self.manifest
        lines = [f"{what[:-1]} {name}: {about['shape']}" for what in ("inputs", "outputs") for name, about in known.get(what, {}).items()]
        lines.append(f"ledger: {known.get('ledger_entries', 0)} changes of meaning")
        rows = [(name, str(value)[:16]) for name, value in known["files"].items()]
        return Summary(f"Bundle {self.path}, for target {known['target']}", lines, ("file", "sha256"), rows)

    @property
    def is_staged(self) -> bool:
        """Whether it holds a bundle per stage, which run one after the other."""
        return "stages" in self.manifest

    @property
    def lacks(self) -> tuple[str, ...]:
        """What cannot be checked of it, because an older snnfuse wrote it."""
        return LACKS[self.manifest["format_version"]]

    @cached_property
    def stages(self) -> "tuple[Bundle, ...]":
        """A bundle per stage: itself, where it holds one program or graph.

        Raises:
            InputError, VerificationError: as of `read_bundle`.
        """
        return tuple(read_bundle(self.path / name) for name in self.manifest["stages"]) if self.is_staged else (self,)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """What the host carries between the stages; InputError where the wiring is damaged."""
        if not self.is_staged:
            return ()
        with reading(self.path / FILE):
            links, folders = read_links(self.path)
        if list(folders) != self.manifest["stages"]:
            raise InputError(f"{self.path / FILE}: its stages are not those of {MANIFEST}")
        return links

    @cached_property
    def pipeline(self) -> Pipeline:
        """The programs of all stages, wired; InputError where there is none, or they do not fit each other."""
        links, programs = self.links, tuple(stage.program for stage in self.stages)
        try:
            with reading("the wiring"):
                return Pipeline(programs, links)
        except InputError as error:
            raise type(error)(f"{self.path / FILE}: {error}") from error

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """`golden` of every stage."""
        return tuple(stage.golden for stage in self.stages)

    @cached_property
    def graph(self) -> "nir.NIRGraph":
        """The float graph; InputError in a bundle of a model that came as integers, or of a pipeline."""
        self._check_single()
        if GRAPH not in self.manifest["files"]:
            raise InputError(f"{self.path} holds no {GRAPH}: {self.manifest['absent'][GRAPH]}")
        from snnfuse.export.lowering.nir_file import read_graph

        with reading(self.path / GRAPH):
            return read_graph(self.path / GRAPH)

    @cached_property
    def program(self) -> Program:
        """The integer program; InputError in a bundle that holds only a graph, or a pipeline of several."""
        self._check_single()
        if "program.json" not in self.manifest["files"]:
            raise InputError(f"{self.path} was made with target={self.manifest['target']!r} and holds no program")
        with reading(self.path / PROGRAM_FILES[0]):
            program = load_program(self.path)
        if not program.outputs:
            raise InputError(f"{self.path}: its program has no outputs")
        return program

    @cached_property
    def events(self) -> dict[str, NDArray[np.int32]]:
        """Golden inputs: int32 (time, batch, *shape) per input; InputError where there are none."""
        return self._arrays(EVENTS)

    @cached_property
    def golden(self) -> Recording:
        """What the program has to make of `events`: the spikes of every population, and the recorded states."""
        neurons, spikes = self.program.neurons, dict[str, NDArray]()
        states: dict[str, dict[str, NDArray]] = {}
        for key, value in self._arrays(EXPECTED).items():
            variable, _, node = key.partition("/")
            if node not in neurons or variable not in ("spikes", *neurons[node].states):
                raise InputError(f"{self.path / EXPECTED}: {key!r} is no variable/layer of this program")
            if variable == "spikes":
                spikes[node] = value
            else:
                states.setdefault(node, {})[variable] = value
        missing = [name for name in neurons if name not in spikes]
        if missing:
            raise InputError(f"{self.path / EXPECTED}: no spikes of layer {missing[0]!r}")
        with reading(self.path / EXPECTED):
            return make_recording(self.program, spikes, states, "golden", self.events)

    @cached_property
    def report(self) -> dict[str, Any]:
        """The ledger, and what the export measured."""
        return read_json(self.path / REPORT)

    def _check_single(self) -> None:
        if self.is_staged:
            stages = self.manifest["stages"]
            raise InputError(f"{self.path} holds {len(stages)} programs, one per stage; this takes one: {self.path / stages[0]}")

    def _arrays(self, name: str) -> dict[str, NDArray]:
        self._check_single()
        path = self.path / name
        if name not in self.manifest["files"]:
            raise InputError(f"{self.path} holds no golden vectors")
        try:
            return load(read_bytes(path))
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path}: no readable safetensors file: {error}") from error


def write_bundle(
    path: str | Path,
    *,
    graph: "nir.NIRGraph | None" = None,
    program: Program | None = None,
    events: Mapping[str, NDArray[np.int32]] | None = None,
    golden: Recording | None = None,
    target: str = "loihi2",
    resources: Resources | None = None,
    graph_ledger: ledger.Ledger = (),
    report: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes] | None = None,
    page: "MakePage | bool" = True,
    force: bool = False,
) -> Bundle:
    """Write a bundle, whole or not at all.

    Args:
        path: the folder to make.
        graph: the float graph; None where the model came as integers.
        program: the integer program; None for target `nir`.
        golden: what the program makes of encoded inputs, recorded with record="all".
        events: these inputs; by default those that the recording carries.
        target: what it was made for.
        resources: what the program takes of a board, for target `loihi2` only; by default of one with a single chip.
        graph_ledger: the changes, where there is no program to carry them.
        report: anything that was measured, JSON-able but for NumPy's numbers and arrays, which become JSON's.
        files: what else it is to hold, by name.
        page: makes report.html of all the rest; True: as an export makes it; False: there is none.
        force: replace an older bundle.

    Raises:
        InputError: the path exists or cannot be written, or the arguments do not belong together.
        UnsupportedError, DoesNotFitError: target `loihi2`, and the chip cannot do or hold it, as of `check_chip`; target `netx`,
            and netx cannot express it.
    """
    events = golden.events or None if events is None and golden is not None else events
    if (events is None) != (golden is None):
        raise InputError("golden vectors need both the events and what the program made of them: give events= and golden=")
    golden = None if golden is None or events is None else replace(golden, events=events)
    stage = Stage(graph, program, golden, resources, graph_ledger, report or {})
    make: MakePage | None = resolve(MAKE_PAGE) if page is True else page or None
    return write_compiled(path, Compiled(find_target(target), (stage,), files=files or {}), page=make, force=force)


def write_compiled(path: str | Path, compiled: Compiled, *, page: "MakePage | None" = None, force: bool = False) -> Bundle:
    """Write a bundle of a compiled network, whole or not at all; arguments and errors as of `write_bundle`."""
    place = resolved(path)
    compiled.check()
    networks = network_files(compiled)
    json_text(compiled.measured)
    check_target(place, force, is_bundle)
    with whole_folder(place) as folder:
        manifest = add_page(folder, fill(folder, compiled, networks), place.name, page)
    return Bundle(place, manifest)


MAKE_PAGE = "snnfuse.report:whole_page"  # imported when it is first needed
MakePage = Callable[[Bundle, str], str]  # of a bundle, as it is but for the page, and the name that it will have


def add_page(folder: Path, manifest: dict[str, Any], name: str, page: MakePage | None) -> dict[str, Any]:
    """Write report.html into a bundle that is being written, if there is to be one; returns its manifest, which is written too."""
    if page is not None:
        (folder / PAGE).write_text(page(Bundle(folder, manifest), name), encoding="utf-8")
        manifest = {**manifest, "files": {**manifest["files"], PAGE: sha256(folder / PAGE)}}
        write_manifest(folder, manifest)
    return manifest


def read_bundle(path: str | Path) -> Bundle:
    """Open a bundle and check every file against its hash.

    Raises:
        InputError: it is missing, or no bundle that this version reads.
        VerificationError: a file is missing or is not the one that was written; names it.
        UnsafeFileError: it holds links, code or listed files that snnfuse writes into no bundle, or asks for more than the limits allow.
    """
    path = Path(path)
    recover(resolved(path))
    if not os.path.isdir(path):
        raise InputError(f"{path} is a file; a bundle is a folder" if os.path.exists(path) else f"{path}: no such folder")
    if not os.path.lexists(path / MANIFEST):
        raise InputError(f"{path}: no bundle, for it holds no {MANIFEST}")
    check_plain(path)
    raw = read_bytes(path / MANIFEST, "json-bytes")
    manifest = parse_json(raw, str(path / MANIFEST))
    if not isinstance(manifest, dict):
        raise InputError(f"{path / MANIFEST}: holds no JSON object")
    check_seal(raw, manifest, path / MANIFEST)
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
