"""A Program on disk: `program.json`, which one can read, and `program.safetensors`, which holds its arrays.

The JSON names every array that it refers to and the sha256 of the file they are in, so that two files that do not belong
together are noticed. Loading executes nothing and trusts nothing: each field is checked for its type here and for its range by
the primitive's own constructor, and an error says which file and which field.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from snnfuse.hardware import ledger
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.json_fields import (
    INTEGER,
    NUMBER,
    NUMBERS,
    TEXT,
    Arrays,
    at,
    get,
    integer,
    keys,
    number,
    optional,
    read_json,
    shown,
    text,
)
from snnfuse.hardware.ir.kinds import NEURONS, SYNAPSES, K, Kind, Registry
from snnfuse.hardware.ir.nodes import Connection, Output
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.reading import read_bytes

FORMAT = "snnfuse program"
VERSION = 3
READABLE = (1, 2, VERSION)  # version 1 had no graded neurons, so no ports, and no lags; 2 no values of outputs and no population code
JSON_FILE = "program.json"
ARRAY_FILE = "program.safetensors"


def save_program(program: Program, folder: str | Path) -> None:
    """Write `program.json` and `program.safetensors` into a folder, which is created where it is missing.

    Args:
        program: what to write.
        folder: files of the same names in it are replaced.

    Raises:
        InputError: the folder cannot be written.
    """
    arrays: Arrays = {}
    record = _program_record(program, arrays)
    blob = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    record["arrays_sha256"] = hashlib.sha256(blob).hexdigest()
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ARRAY_FILE).write_bytes(blob)
        (folder / JSON_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the program to {folder}: {error.strerror or error}") from error


def foreign_modules(program: Program) -> list[str]:
    """The modules of other packages that a process must import before it can load a program, sorted."""
    kinds: list[Kind] = [NEURONS.of(node) for node in program.nodes.values()]
    kinds += [SYNAPSES.of(connection.synapse) for connection in program.connections]
    return sorted({kind.source for kind in kinds if not kind.is_own})


def load_program(folder: str | Path) -> Program:
    """Inverse of `save_program`: equal in every field, scalars as int, arrays in the dtype they had.

    Raises:
        InputError: a file is missing, truncated, of another kind or version, or a field holds what no Program can; names both.
    """
    path = Path(folder) / JSON_FILE
    record = read_json(path)
    try:
        _check_header(record)
        expected = get(record, "arrays_sha256")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    arrays = _read_arrays(Path(folder) / ARRAY_FILE, expected)
    try:
        return _read_program(record, arrays)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read_arrays(path: Path, expected: object) -> Arrays:
    blob = read_bytes(path)
    if hashlib.sha256(blob).hexdigest() != expected:
        raise InputError(f"{path}: damaged or changed: its sha256 is not the arrays_sha256 of {JSON_FILE}")
    try:
        return load(blob)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: no safetensors file of integer arrays: {error}") from error


def _check_header(record: Mapping[str, Any]) -> None:
    if record.get("format") != FORMAT:
        raise InputError(f"format is {record.get('format')!r}, not {FORMAT!r}")
    if type(record.get("format_version")) is not int or record["format_version"] not in READABLE:
        raise InputError(f"format_version is {record.get('format_version')!r}; this snnfuse reads {READABLE[0]} to {VERSION}")


OUTPUT = {"node": TEXT, "decoder": TEXT, "num_classes": optional(INTEGER), "unit": optional(NUMBER), "offset": NUMBERS}
SINCE_3: dict[str, Any] = {"num_classes": None, "unit": None, "offset": 0.0}


def _program_record(program: Program, arrays: Arrays) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": VERSION,
        "dt": float(program.dt),
        "nodes": {name: _write(node, NEURONS, f"nodes.{name}", arrays) for name, node in program.nodes.items()},
        "connections": [_write_connection(i, c, arrays) for i, c in enumerate(program.connections)],
        "outputs": {name: _write_output(output, arrays) for name, output in program.outputs.items()},
        "decision": program.decision,
        "ledger": ledger.to_json(program.ledger),
    }


def _write_output(output: Output, arrays: Arrays) -> dict[str, Any]:
    return {name: field.write(getattr(output, name), name, arrays) for name, field in OUTPUT.items()}


def _write_connection(index: int, connection: Connection, arrays: Arrays) -> dict[str, Any]:
    synapse = _write(connection.synapse, SYNAPSES, f"connections.{index}", arrays)
    ends = {"source": connection.source, "target": connection.target, "port": int(connection.port)}
    return {**ends, "delay": int(connection.delay), "lag": int(connection.lag), "synapse": synapse}


def _write(value: Any, registry: Registry[K], name: str, arrays: Arrays) -> dict[str, Any]:
    kind = registry.of(value)
    if kind.source == "__main__":
        raise InputError(f"{name}: {kind.name} is defined in the script that runs, where no reader can import it; move it to a module")
    ends = {"type": kind.name} if kind.is_own else {"type": kind.name, "module": kind.source}
    return ends | {f: field.write(getattr(value, f), f"{name}.{f}", arrays) for f, field in kind.fields.items()}


def _read_program(record: Mapping[str, Any], arrays: Arrays) -> Program:
    record = {"decision": None, **record} if record["format_version"] < 3 else record
    record = keys(record, {"format", "format_version", "arrays_sha256", *(field.name for field in fields(Program))})
    nodes, outputs, version = get(record, "nodes", dict), get(record, "outputs", dict), record["format_version"]
    return Program(
        nodes={name: at(f"nodes.{name}", _read, node, NEURONS, arrays) for name, node in nodes.items()},
        connections=tuple(
            at(f"connections[{i}]", _read_connection, c, arrays, version) for i, c in enumerate(get(record, "connections", list))
        ),
        outputs={name: at(f"outputs.{name}", _read_output, output, arrays, version) for name, output in outputs.items()},
        dt=at("dt", _read_time_step, record["dt"], arrays),
        ledger=tuple(at(f"ledger[{i}]", _read_entry, e) for i, e in enumerate(get(record, "ledger", list))),
        decision=at("decision", optional(TEXT).read, record["decision"], arrays),
    )


def _read(record: Any, registry: Registry[K], arrays: Arrays) -> Any:
    record = record if isinstance(record, dict) else {}
    kind = registry.named(record.get("type"), record.get("module"))
    record = keys(record, {"type", *(() if kind.is_own else ("module",)), *kind.fields})
    values = {name: at(name, field.read, record[name], arrays) for name, field in kind.fields.items()}
    return kind.type(**values)


def _read_connection(record: Any, arrays: Arrays, version: int) -> Connection:
    if version == 1 and isinstance(record, dict):
        record = {"port": 0, "lag": 0} | record
    record = keys(record, {"source", "target", "port", "delay", "lag", "synapse"})
    synapse = at("synapse", _read, record["synapse"], SYNAPSES, arrays)
    source, target = (at(end, text, record[end], arrays) for end in ("source", "target"))
    delay, port, lag = (at(name, integer, record[name], arrays) for name in ("delay", "port", "lag"))
    return Connection(source, target, synapse, delay, port, lag)


def _read_output(record: Any, arrays: Arrays, version: int) -> Output:
    record = keys(SINCE_3 | record if version < 3 and isinstance(record, dict) else record, set(OUTPUT))
    return Output(**{name: at(name, field.read, record[name], arrays) for name, field in OUTPUT.items()})


def _read_time_step(value: Any, arrays: Arrays) -> float:
    if number(value, arrays) <= 0:
        raise InputError(f"a time step must be positive, found {shown(value)}")
    return number(value, arrays)


def _read_entry(record: Any) -> ledger.LedgerEntry:
    record = keys(record, {field.name for field in fields(ledger.LedgerEntry)})
    return ledger.LedgerEntry(**{field: at(field, text, value, {}) for field, value in record.items()})
