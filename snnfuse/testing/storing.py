"""A failed case as a folder that one can read, send, and replay: nothing in it is executed.

case.json                      what was claimed, of which backend or board, by which test; the hashes of the other files, and its own
program.json, .safetensors     the program
events.safetensors             its integer inputs, (time, batch, *shape) each; not where only the program matters
README.txt                     the command that replays it
"""

import hashlib
import json
import re
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from snnfuse.hardware.chip import find_board
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.files import resolved, whole_folder
from snnfuse.hardware.ir.encoding import check_events
from snnfuse.hardware.ir.json_fields import at, get, keys, number, read_json, sizes, text
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.storage import ARRAY_FILE, JSON_FILE, load_program, save_program
from snnfuse.hardware.reading import parse_json, read_bytes, reading
from snnfuse.hardware.seal import BLANK, KEY, is_intact, seal
from snnfuse.testing.cases import Accuracy, BitExact, Case, Fits
from snnfuse.testing.settings import known_backends

FORMAT, VERSION = "snnfuse case", 2
UNHASHED = 1  # a version of which neither the case nor its files are hashed
LACKS = "whether case.json, program.json and events.safetensors are as they were written"
CASE, EVENTS, README = "case.json", "events.safetensors", "README.txt"
KINDS: dict[type[Case], tuple[str, tuple[str, ...]]] = {
    BitExact: ("bit-exact", ("backend",)),
    Fits: ("fits", ("board", "tier")),
    Accuracy: ("accuracy", ("backend", "output", "max_points", "labels", "float_classes")),
}
OLDER: dict[type, dict[str, Any]] = {Fits: {"tier": "A"}}  # what a case does not say that an older version wrote
READERS = {
    **dict.fromkeys(("backend", "output", "board", "tier", "test"), text),
    "max_points": number,
    **dict.fromkeys(("labels", "float_classes"), lambda value, arrays: np.array(sizes(0)(value, arrays), np.int64)),
}


def write_case(case: Case, folder: str | Path, test: str = "") -> Path:
    """Save a case below a folder.

    Args:
        case: what fails.
        folder: where cases are kept; created where it is missing.
        test: the test's name, which the case's begins with.

    Returns:
        The case's own folder, whose name ends with a hash of its content: the same failure is saved once.

    Raises:
        InputError: the folder cannot be written.
    """
    content = _content(case, test)
    target = resolved(folder) / f"{_slug(test)}-{_digest(content)}"
    note = f"A failed test of a program for Loihi 2: {test or 'no test named'}\nReplay it, in this folder: snnfuse replay .\n"
    with whole_folder(target) as place:
        for name, data in {**content, README: note.encode()}.items():
            (place / name).write_bytes(data)
    return target


def replay_command(folder: Path) -> str:
    """What a user types to see it fail again."""
    return f"snnfuse replay {shlex.quote(str(folder))}"


def read_case(folder: str | Path) -> Case:
    """Inverse of `write_case`.

    Raises:
        InputError: a file is missing or damaged, or holds what no case can; names it.
    """
    path = Path(folder) / CASE
    with reading(folder):
        return _read_case(Path(folder), path)


def _read_case(folder: Path, path: Path) -> Case:
    raw = read_bytes(path, "json-bytes")
    record = parse_json(raw, str(path))
    if not isinstance(record, dict):
        raise InputError(f"{path}: holds no JSON object")
    _check_hashes(raw, record, path)
    program = load_program(folder)
    try:
        kind, fields = _kind(record)
        hashes = () if record["format_version"] == UNHASHED else ("files", KEY)
        given = keys(OLDER.get(kind, {}) | record, {"format", "format_version", "kind", "test", *hashes, *fields})
        values = {field: at(field, READERS[field], given[field], {}) for field in fields}
        _check_names(program, values)
        events = {} if kind is Fits else {"events": _read_events(program, Path(folder) / EVENTS)}
        return kind(program=program, **events, **values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def is_hashed(folder: str | Path) -> bool:
    """Whether a case that was read carries hashes; those that an older snnfuse wrote do not."""
    return read_json(Path(folder) / CASE)["format_version"] != UNHASHED


def _check_hashes(raw: bytes, record: Mapping[str, Any], path: Path) -> None:
    """Raise InputError, naming the file, for a case that is not what was written; one of an older version has no hashes."""
    if record.get("format") != FORMAT or (KEY not in record and record.get("format_version") == UNHASHED):
        return
    if KEY not in record or not is_intact(raw, record):
        raise InputError(f"{path}: damaged or changed: its sha256 is not the one that it carries")
    files = record.get("files")
    for name, expected in files.items() if isinstance(files, dict) else ():
        if name not in (EVENTS, JSON_FILE, ARRAY_FILE) or hashlib.sha256(read_bytes(path.parent / name)).hexdigest() != expected:
            raise InputError(f"{path.parent / name}: damaged or changed: its sha256 is not the one in {CASE}")


def _kind(record: Mapping[str, Any]) -> tuple[type[Case], tuple[str, ...]]:
    if record.get("format") != FORMAT:
        raise InputError(f"format is {record.get('format')!r}, not {FORMAT!r}")
    if type(record.get("format_version")) is not int or record["format_version"] not in (UNHASHED, VERSION):
        raise InputError(f"format_version is {record.get('format_version')!r}; this snnfuse reads {UNHASHED} and {VERSION}")
    name = get(record, "kind", str)
    for kind, (known, fields) in KINDS.items():
        if name == known:
            return kind, fields
    raise InputError(f"kind is {name!r}, none of {', '.join(known for known, _ in KINDS.values())}")


def _check_names(program: Program, values: Mapping[str, Any]) -> None:
    if "board" in values:
        find_board(values["board"])
    if values.get("tier", "B") not in ("A", "B"):
        raise InputError(f"tier is {values['tier']!r}, neither 'A' nor 'B'")
    if "backend" in values and values["backend"] not in known_backends():
        raise InputError(f"backend is {values['backend']!r}, none of {', '.join(known_backends())}; import the module that registers it")
    if "output" in values and values["output"] not in program.outputs:
        raise InputError(f"output is {values['output']!r}, none of the program's: {', '.join(program.outputs)}")


def _read_events(program: Program, path: Path) -> dict[str, NDArray[np.int32]]:
    try:
        arrays = load(read_bytes(path))
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: no readable safetensors file: {error}") from error
    return check_events(program, arrays)


def _content(case: Case, test: str) -> dict[str, bytes]:
    """Files by name, but for the note."""
    kind, fields = KINDS[type(case)]
    record = {"format": FORMAT, "format_version": VERSION, "kind": kind, "test": test}
    record |= {field: _plain(getattr(case, field)) for field in fields}
    content = {} if isinstance(case, Fits) else {EVENTS: save({name: np.ascontiguousarray(array) for name, array in case.events.items()})}
    with tempfile.TemporaryDirectory(prefix="snnfuse-") as folder:
        save_program(case.program, folder)
        content |= {file.name: file.read_bytes() for file in Path(folder).iterdir()}
    record |= {"files": {name: hashlib.sha256(content[name]).hexdigest() for name in sorted(content)}, KEY: BLANK}
    return {CASE: seal(json.dumps(record, indent=1) + "\n").encode(), **content}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _digest(content: Mapping[str, bytes]) -> str:
    """Eight hex digits."""
    total = hashlib.sha256()
    for name in sorted(content):
        total.update(hashlib.sha256(content[name]).digest())
    return total.hexdigest()[:8]


def _slug(test: str) -> str:
    """A test's name as part of a file's: its end, which tells most, in letters that no shell minds."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", test.rpartition("/")[2]).strip("-")[-80:] or "case"
