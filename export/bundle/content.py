"""What a bundle holds, checked and written into a folder."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from snnfuse.export.bundle.board_script import RUN_ON_BOARD, SCRIPT
from snnfuse.export.bundle.manifest import EVENTS, EXPECTED, GRAPH, MANIFEST, NET, REPORT, make_manifest
from snnfuse.export.targets import find_target
from snnfuse.hardware import ledger
from snnfuse.hardware.chip import Resources, check_chip
from snnfuse.hardware.chip.tiers import tiers
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.files import hash_files
from snnfuse.hardware.ir.encoding import check_events
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ir.storage import save_program

if TYPE_CHECKING:
    import nir

INTEGERS_ONLY = "the model came as integers, of which there is no float graph"


@dataclass(frozen=True, eq=False)
class Content:
    """What a bundle is to hold; attributes as the arguments of `write_bundle`."""

    target: str
    graph: "nir.NIRGraph | None"
    program: Program | None
    events: Mapping[str, NDArray[np.int32]] | None
    golden: Recording | None
    resources: Resources | None
    graph_ledger: ledger.Ledger
    report: Mapping[str, Any]
    files: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if self.events is None and self.golden is not None:
            object.__setattr__(self, "events", self.golden.events or None)

    @property
    def entries(self) -> ledger.Ledger:
        """Every change of meaning."""
        return self.program.ledger if self.program else self.graph_ledger

    @property
    def measured(self) -> dict[str, Any]:
        """What report.json holds."""
        runs_on = {"tiers": tiers(self.program)} if self.program else {}
        return {"ledger": ledger.to_json(self.entries), **runs_on, **self.report}


def fill(folder: Path, content: Content, network: tuple[bytes | None, dict[str, str]] | None = None) -> dict[str, Any]:
    """Write a bundle's files into an empty folder; returns its manifest. Errors as of `write_bundle`."""
    resources = content.resources
    if find_target(content.target).is_placed and content.program is not None and resources is None:
        resources = check_chip(content.program)
    net, absent = network or network_file(content.target, content.program)
    if content.graph is not None:
        _write_graph(folder, content.graph)
    else:
        absent[GRAPH] = INTEGERS_ONLY
    if content.program is not None:
        _write_program(folder, content.program, content.events, content.golden, content.target)
    if net is not None:
        (folder / NET).write_bytes(net)
    for name, data in content.files.items():
        (folder / name).write_bytes(data)
    (folder / REPORT).write_text(json_text(content.measured), encoding="utf-8")
    manifest = make_manifest(content.target, content.program, resources, len(content.entries), hash_files(folder), absent)
    (folder / MANIFEST).write_text(json_text(manifest), encoding="utf-8")
    return manifest


def _write_program(
    folder: Path, program: Program, events: Mapping[str, NDArray[np.int32]] | None, golden: Recording | None, target: str
) -> None:
    """The integers, and what they make of known inputs."""
    save_program(program, folder)
    if events is not None and golden is not None:
        _write_golden(folder, program, events, golden)
        if RUN_ON_BOARD in find_target(target).holds:
            (folder / RUN_ON_BOARD).write_text(SCRIPT, encoding="utf-8")


def json_text(content: Mapping[str, Any]) -> str:
    """One JSON object, indented; NumPy's numbers and arrays as JSON's.

    Raises:
        InputError: it holds what JSON cannot, NaN among it.
    """
    try:
        return json.dumps(content, indent=2, default=_plain, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"a report must be JSON-able: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not")


def network_file(target: str, program: Program | None) -> tuple[bytes | None, dict[str, str]]:
    """The program as a netx file, or why there is none."""
    from snnfuse.export.netx import net_bytes

    if program is None:
        return None, {}
    try:
        return net_bytes(program), {}
    except UnsupportedError as error:
        if NET in find_target(target).holds:
            raise
        return None, {NET: str(error)}


def check_arguments(content: Content) -> None:
    target, program = find_target(content.target), content.program
    if (program is not None) != target.has_program:
        raise InputError("a bundle for target 'nir' holds no program, every other one needs it")
    if program is None and content.graph is None:
        raise InputError(f"a bundle for target {target.name!r} needs a graph")
    if content.resources is not None and not target.is_placed:
        raise InputError(f"resources are those of a chip, which target {target.name!r} has none of; leave them out")
    if program is not None and not program.outputs:
        raise InputError("a program without outputs has nothing to verify")
    _check_golden(program, content.events, content.golden)


def _check_golden(program: Program | None, events: Any, golden: Recording | None) -> None:
    if (events is None) != (golden is None):
        raise InputError("golden vectors need both the events and what the program made of them: give events= and golden=")
    if program is None or golden is None:
        return
    check_events(program, events)
    missing = [name for name in program.neurons if name not in golden.spikes]
    if missing:
        raise InputError(f"golden vectors need every layer, {missing[0]!r} was not recorded: use record='all'")


def _write_graph(folder: Path, graph: "nir.NIRGraph") -> None:
    """By way of memory: HDF5 ends the whole process where a disk is full."""
    import nir

    content = io.BytesIO()
    nir.write(content, graph)
    (folder / GRAPH).write_bytes(content.getvalue())


def _write_golden(folder: Path, program: Program, events: Mapping[str, NDArray], golden: Recording) -> None:
    expected = {f"spikes/{name}": golden.spikes[name] for name in program.neurons}
    expected |= {f"{variable}/{name}": values for name, of in golden.states.items() for variable, values in of.items()}
    (folder / EVENTS).parent.mkdir()
    for name, arrays in ((EVENTS, events), (EXPECTED, expected)):
        (folder / name).write_bytes(save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))
