"""The files of a bundle, written into a folder."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save

from snnfuse.export.bundle.board_script import RUN_ON_BOARD, SCRIPT
from snnfuse.export.bundle.compiled import Compiled, Stage
from snnfuse.export.bundle.manifest import EVENTS, EXPECTED, GRAPH, MANIFEST, NET, REPORT, make_manifest
from snnfuse.export.bundle.microcode import MICROCODE, microcode_text
from snnfuse.export.targets import Target
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.files import hash_files
from snnfuse.hardware.ir.pipeline import as_pipeline, stage_folder
from snnfuse.hardware.ir.pipeline_storage import FILE, pipeline_text
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ir.storage import save_program
from snnfuse.hardware.seal import BLANK, KEY, seal

if TYPE_CHECKING:
    import nir

INTEGERS_ONLY = "the model came as integers, of which there is no float graph"
Network = tuple[bytes | None, dict[str, str]]  # a netx file, or why there is none


def fill(folder: Path, compiled: Compiled, networks: list[Network]) -> dict[str, Any]:
    """Write a bundle's files into an empty folder; returns its manifest. Errors as of `write_bundle`.

    Args:
        folder: to fill: with one stage's files, or with a folder per stage and their wiring.
        compiled: what it is to hold.
        networks: by stage, as of `network_file`.
    """
    for name, data in compiled.files.items():
        (folder / name).write_bytes(data)
    if len(compiled.stages) == 1:
        return _fill_stage(folder, compiled.target, compiled.stages[0], networks[0], compiled.measured)
    for number, (stage, network) in enumerate(zip(compiled.stages, networks)):
        (folder / stage_folder(number)).mkdir()
        _fill_stage(folder / stage_folder(number), compiled.target, stage, network, stage.measured)
    (folder / FILE).write_text(pipeline_text(compiled.links, len(compiled.stages)), encoding="utf-8")
    (folder / REPORT).write_text(json_text(compiled.measured), encoding="utf-8")
    manifest = make_manifest(compiled.target.name, compiled.pipeline, len(compiled.ledger), hash_files(folder), staged=True)
    return write_manifest(folder, manifest)


def _fill_stage(folder: Path, target: Target, stage: Stage, network: Network, measured: Mapping[str, Any]) -> dict[str, Any]:
    (net, absent), resources, program = network, stage.resources, stage.program
    if program is not None and resources is None:
        resources = target.place(program)
    if stage.graph is not None:
        _write_graph(folder, stage.graph)
    else:
        absent = {**absent, GRAPH: INTEGERS_ONLY}
    if program is not None:
        save_program(program, folder)
    if program is not None and stage.golden is not None:
        _write_golden(folder, program, stage.golden)
        if RUN_ON_BOARD in target.holds:
            (folder / RUN_ON_BOARD).write_text(SCRIPT, encoding="utf-8")
            if (text := microcode_text(program)) is not None:
                (folder / MICROCODE).write_text(text, encoding="utf-8")
    if net is not None:
        (folder / NET).write_bytes(net)
    (folder / REPORT).write_text(json_text(measured), encoding="utf-8")
    pipeline = None if program is None else as_pipeline(program)
    manifest = make_manifest(target.name, pipeline, len(stage.ledger), hash_files(folder), absent, resources=resources)
    return write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write manifest.json with its own hash in it; returns what it says."""
    text = seal(json_text({**manifest, KEY: BLANK}))
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return json.loads(text)


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


def network_files(compiled: Compiled) -> list[Network]:
    """By stage, the program as a netx file, or why there is none; UnsupportedError for target `netx` and a program that it cannot say."""
    from snnfuse.export.netx import net_bytes

    found: list[Network] = []
    for number, stage in enumerate(compiled.stages):
        try:
            found.append((None if stage.program is None else net_bytes(stage.program), {}))
        except UnsupportedError as error:
            if NET in compiled.target.holds:
                raise UnsupportedError(f"stage {number + 1}: {error}" if len(compiled.stages) > 1 else str(error)) from error
            found.append((None, {NET: str(error)}))
    return found


def _write_graph(folder: Path, graph: "nir.NIRGraph") -> None:
    """By way of memory: HDF5 ends the whole process where a disk is full."""
    import nir

    from snnfuse.export.lowering.completing import writable

    content: Any = io.BytesIO()  # h5py takes it, though nir.write does not say so
    nir.write(content, writable(graph))
    (folder / GRAPH).write_bytes(content.getvalue())


def _write_golden(folder: Path, program: Program, golden: Recording) -> None:
    expected = {f"spikes/{name}": golden.spikes[name] for name in program.neurons}
    expected |= {f"{variable}/{name}": values for name, of in golden.states.items() for variable, values in of.items()}
    (folder / EVENTS).parent.mkdir()
    for name, arrays in ((EVENTS, golden.events), (EXPECTED, expected)):
        (folder / name).write_bytes(save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))
