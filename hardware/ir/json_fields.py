"""Checked fields of a JSON record: what each may hold, how it is written, and how it is read back.

Arrays stay out of the JSON: a field refers to one by name. A reader raises InputError without a field's name, which `at` adds.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.csr import checked_csr
from snnfuse.hardware.reading import parse_json, read_bytes

LARGEST = 1 << 63  # beyond every size
Arrays = dict[str, NDArray]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; InputError names a file that is missing or holds something else, UnsafeFileError a limit."""
    record = parse_json(read_bytes(path, "json-bytes"), str(path))
    if not isinstance(record, dict):
        raise InputError(f"{path}: holds no JSON object")
    return record


class Field(NamedTuple):
    """How one field is stored: write(value, array name, arrays) -> JSON, read(JSON, arrays) -> value."""

    write: Callable[[Any, str, Arrays], Any]
    read: Callable[[Any, Arrays], Any]


def integer(value: Any, arrays: Arrays) -> int:
    if type(value) is not int:
        raise InputError(f"expected an integer, found {shown(value)}")
    return value


def number(value: Any, arrays: Arrays) -> float:
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        raise InputError(f"expected a finite number, found {shown(value)}")
    return float(value)


def text(value: Any, arrays: Arrays) -> str:
    if not isinstance(value, str):
        raise InputError(f"expected a string, found {shown(value)}")
    return value


def sizes(least: int, length: int | None = None) -> Callable[[Any, Arrays], tuple[int, ...]]:
    def read(value: Any, arrays: Arrays) -> tuple[int, ...]:
        good = isinstance(value, list) and all(type(n) is int and least <= n < LARGEST for n in value)
        if not good or (length is not None and len(value) != length):
            raise InputError(f"expected {length or 'a list of'} integers of at least {least}, found {shown(value)}")
        return tuple(value)

    return read


def _write_array(value: NDArray, name: str, arrays: Arrays) -> dict[str, str]:
    arrays[name] = value
    return {"array": name}


def _read_array(value: Any, arrays: Arrays) -> NDArray:
    name = value.get("array") if isinstance(value, dict) and set(value) == {"array"} else None
    if not isinstance(name, str) or name not in arrays:
        raise InputError(f"expected the name of a stored array, found {shown(value)}")
    array = arrays[name]
    if array.dtype not in (np.int32, np.int64):
        raise InputError(f"array {name!r} holds {array.dtype} values, not integers")
    return array


def _write_parameter(value: Any, name: str, arrays: Arrays) -> Any:
    return _write_array(value, name, arrays) if np.ndim(value) else int(value)


def _read_parameter(value: Any, arrays: Arrays) -> Any:
    return _read_array(value, arrays) if isinstance(value, dict) else integer(value, arrays)


def _write_csr(value: sparse.csr_matrix, name: str, arrays: Arrays) -> dict[str, Any]:
    parts = {part: _write_array(getattr(value, part), f"{name}.{part}", arrays) for part in ("data", "indices", "indptr")}
    return {"csr": parts, "shape": [int(n) for n in value.shape]}


def _read_csr(value: Any, arrays: Arrays) -> sparse.csr_matrix:
    value = keys(value, {"csr", "shape"})
    parts = {part: _read_array(stored, arrays) for part, stored in keys(value["csr"], {"data", "indices", "indptr"}).items()}
    out, into = sizes(1, 2)(value["shape"], arrays)
    return checked_csr(**parts, shape=(out, into))


def _read_floats(value: Any, arrays: Arrays) -> NDArray:
    name = value.get("array") if isinstance(value, dict) and set(value) == {"array"} else None
    if not isinstance(name, str) or name not in arrays:
        raise InputError(f"expected the name of a stored array, found {shown(value)}")
    if arrays[name].dtype != np.float64:
        raise InputError(f"array {name!r} holds {arrays[name].dtype} values, not float64")
    return arrays[name]


def _read_float_csr(value: Any, arrays: Arrays) -> sparse.csr_matrix:
    value = keys(value, {"csr", "shape"})
    parts = keys(value["csr"], {"data", "indices", "indptr"})
    data, out_into = _read_floats(parts["data"], arrays), sizes(1, 2)(value["shape"], arrays)
    indices, indptr = (_read_array(parts[part], arrays) for part in ("indices", "indptr"))
    places = checked_csr(np.arange(data.size), indices, indptr, (out_into[0], out_into[1]))
    return sparse.csr_matrix((data.ravel()[places.data], places.indices, places.indptr), places.shape)


def plain(value: Any, name: str, arrays: Arrays) -> Any:
    return list(int(n) for n in value) if isinstance(value, tuple) else value


def _read_numbers(value: Any, arrays: Arrays) -> float | tuple[float, ...]:
    return tuple(number(n, arrays) for n in value) if isinstance(value, list) else number(value, arrays)


def optional(field: Field) -> Field:
    """The same, or null for None."""
    return Field(
        lambda value, name, arrays: None if value is None else field.write(value, name, arrays),
        lambda value, arrays: None if value is None else field.read(value, arrays),
    )


INTEGER = Field(lambda value, name, arrays: int(value), integer)
NUMBER = Field(lambda value, name, arrays: float(value), number)
NUMBERS = Field(lambda value, name, arrays: [float(n) for n in value] if np.ndim(value) else float(value), _read_numbers)
TEXT = Field(plain, text)
SHAPE = Field(plain, sizes(1))
PARAMETER = Field(_write_parameter, _read_parameter)
ARRAY = Field(_write_array, _read_array)
CSR = Field(_write_csr, _read_csr)
FLOATS = Field(_write_array, _read_floats)
FLOAT_CSR = Field(_write_csr, _read_float_csr)


def at(field: str, read: Callable[..., Any], *args: Any) -> Any:
    """read(*args), with the field's name in front of its error."""
    try:
        return read(*args)
    except InputError as error:
        raise InputError(f"{field}: {error}") from error


def get(record: Mapping[str, Any], key: str, kind: type = object) -> Any:
    if key not in record or not isinstance(record[key], kind):
        raise InputError(f"{key}: " + (f"expected a {kind.__name__}, found {shown(record[key])}" if key in record else "missing"))
    return record[key]


def keys(record: Any, expected: set[str]) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise InputError(f"expected an object with {', '.join(sorted(expected))}, found {shown(record)}")
    missing, unknown = sorted(expected - set(record)), sorted(set(record) - expected)
    if missing or unknown:
        raise InputError(f"{missing[0]}: missing" if missing else f"{unknown[0]}: unknown field")
    return record


def shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
