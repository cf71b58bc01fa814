"""How much a file may ask for before anything is allocated: every limit in one table, and the one way to raise them.

A few kilobytes can declare any size, so each reader asks here first. The defaults hold for networks of 100 million weights and more on a
machine of a few gigabytes. `SNNFUSE_LIMITS="array-bytes=4GiB,nodes=1000000"` in the environment sets others.
"""

import os
import re
from dataclasses import dataclass
from types import MappingProxyType

from snnfuse.hardware.errors import InputError, UnsafeFileError

ENVIRONMENT = "SNNFUSE_LIMITS"
DENSE = 32  # times its own size that a file may unpack to, however much that is
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True)
class FileLimit:
    """A number that what a file declares may not exceed.

    Attributes:
        what: the quantity, in words.
        value: the default.
        is_bytes: whether it counts bytes.
    """

    what: str
    value: int
    is_bytes: bool = False


FILE_LIMITS = MappingProxyType(
    {
        "array-bytes": FileLimit("of memory for one array", 1 << 29, True),
        "file-bytes": FileLimit("of memory for all arrays of one file", 1 << 30, True),
        "unpacked-bytes": FileLimit("of memory for all arrays of one file that is less than 1/32 as large", 1 << 26, True),
        "pickle-bytes": FileLimit("of structure, all but the numbers, in one checkpoint", 1 << 22, True),
        "nodes": FileLimit("nodes of a graph, or objects of an HDF5 file", 200_000),
        "edges": FileLimit("edges of a graph, or links of an HDF5 file", 1_000_000),
        "depth": FileLimit("groups within each other", 64),
        "neurons": FileLimit("neurons and inputs of one program", 1 << 23),
        "time-steps": FileLimit("time steps of samples", 1 << 22),
        "padding": FileLimit("zeros on each side of a convolution's or pooling's input", 1 << 12),
        "archive-members": FileLimit("members of an archive", 100_000),
        "audio-channels": FileLimit("channels of sound", 256),
        "audio-rate": FileLimit("samples of sound per second", 1_000_000),
        "pixels": FileLimit("pixels of one image", 1 << 25),
        "shared-links": FileLimit("names of one object of an HDF5 file", 16),
        "json-bytes": FileLimit("of JSON in one file", 1 << 24, True),
        "json-depth": FileLimit("lists and objects within each other in JSON", 64),
        "json-digits": FileLimit("characters of one number in JSON", 400),
    }
)
"""By the name that `SNNFUSE_LIMITS` uses."""


def limit(name: str) -> int:
    """Return the value in force: the environment's, or the default.

    Raises:
        InputError: the environment names no limit, or no number.
    """
    return _chosen().get(name, FILE_LIMITS[name].value)


def check_limit(name: str, asked: int, where: str) -> None:
    """Refuse what a file declares beyond a limit.

    Args:
        name: of `FILE_LIMITS`.
        asked: how much the file declares.
        where: the file and the place in it.

    Raises:
        UnsafeFileError: it is more; says by which option it can be raised.
    """
    allowed = limit(name)
    if asked > allowed:
        known = FILE_LIMITS[name]
        raise UnsafeFileError(
            f"{where}: asks for {shown(asked, known)} {known.what}, and the limit is {shown(allowed, known)}; "
            f"if you trust the file, set {ENVIRONMENT}={name}={shown(asked, known)}"
        )


def check_unpacked(asked: int, stored: int, where: str) -> None:
    """Refuse a file whose arrays need more memory than the limits allow to all files, or to such small ones.

    Args:
        asked: bytes of all its arrays.
        stored: bytes of the file.
        where: names it.

    Raises:
        UnsafeFileError: they are more.
    """
    check_limit("file-bytes", asked, where)
    if asked > DENSE * stored:
        check_limit("unpacked-bytes", asked, where)


def shown(number: int, known: FileLimit) -> str:
    """Return a number that `SNNFUSE_LIMITS` reads, rounded up where it has a unit."""
    unit = next((unit for unit in ("GiB", "MiB") if number >= UNITS[unit]), "") if known.is_bytes else ""
    return f"{-(-number // UNITS[unit])}{unit}"


def _chosen() -> dict[str, int]:
    chosen = {}
    for part in filter(None, os.environ.get(ENVIRONMENT, "").split(",")):
        match = re.fullmatch(r"\s*([a-z-]+)=(\d{1,18})(|KiB|MiB|GiB)\s*", part)
        if match is None or match[1] not in FILE_LIMITS:
            names = ", ".join(FILE_LIMITS)
            raise InputError(f"{ENVIRONMENT}: {part!r} sets no limit; write NAME=NUMBER, as array-bytes=4GiB; the names are {names}")
        chosen[match[1]] = int(match[2]) * UNITS[match[3]]
    return chosen
