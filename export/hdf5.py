"""The one way that HDF5 files from strangers are opened: nothing outside the file, no cycles, nothing larger than it can hold.

HDF5 can point to other files (external links, external storage, virtual data sets), name a group within itself, give one object any number
of names, and declare any size in a few bytes. `opened` walks the whole file before anything of it is read, and refuses all of that. And
HDF5 2.0 itself writes beyond its memory, or never ends, on some damaged files: a process of its own walks the file and copies what it
holds, without attributes, into a new one, and only that is opened here. It dies in place of this process.
"""

import faulthandler
import json
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

import h5py
import numpy as np

from snnfuse.hardware import errors
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsafeFileError
from snnfuse.hardware.limits import check_limit, check_unpacked
from snnfuse.hardware.reading import check_regular

FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 32000: "lzf"}  # any other would be a plugin: code from elsewhere
DENSEST = 1200  # bytes that a stored byte can stand for: deflate reaches 1,032
SPARE = 1 << 16  # bytes that may be declared without being stored, as fill values
TEXTS = 1 << 24  # bytes of texts that are read at once
SECONDS, PER_SECOND = 2, 1 << 19  # of processor time for any file, and bytes of it that a second more is given for: 5 times a MB of nodes
DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError, UnicodeError, RecursionError)
"""What h5py raises on damaged files, each for another place of the damage."""


@contextmanager
def opened(path: Path, what: str = "HDF5 file") -> Iterator[h5py.File]:
    """Open a file for reading, after all of it was checked.

    Args:
        path: of the file.
        what: it should be, in words, for the errors.

    Yields:
        h5py.File whose links all lead to objects in it, without attributes.

    Raises:
        UnsafeFileError: it refers to another file or to itself, needs a filter that is loaded from elsewhere, or declares more than
            `snnfuse.hardware.limits` allows.
        InputError: the file is missing, a folder, a pipe, or damaged; also for what h5py raises while the block reads it.
    """
    check_regular(path)
    try:
        with tempfile.TemporaryFile() as clean:  # has no name, so that nothing of it is left
            copy_apart(path, clean, what)
            with h5py.File(clean, "r") as file:
                yield file
    except SnnfuseError:
        raise
    except DAMAGE as error:
        _refuse(path, what, error)


def _refuse(path: Path, what: str, error: Exception) -> NoReturn:
    said = " ".join(str(error).split())
    if "truncated file" in said:
        raise InputError(f"{path}: is cut off, half written or half copied; write or copy it again") from error
    raise InputError(f"{path}: no readable {what}: {type(error).__name__}: {said}") from error


def copy_apart(path: Path, clean: IO[bytes], what: str = "HDF5 file") -> None:
    """Check a file and copy what it holds in a process of its own, where the system can fork; errors as of `opened`."""
    if not hasattr(os, "fork"):
        return _copy(path, clean, what)
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other threads, whose locks the child does not take
        child = os.fork()
    if child == 0:
        _copy_and_exit(path, clean, what, writer)
    os.close(writer)
    with open(reader, "rb") as file:
        said = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if said:
        kind, text = json.loads(said)
        raise getattr(errors, kind)(text)
    if status != 0:
        raise InputError(f"{path}: is so damaged that HDF5 ends or never does; write or copy it again")


def _copy_and_exit(path: Path, clean: IO[bytes], what: str, writer: int) -> NoReturn:
    """In the child: never returns, and leaves no core file."""
    import resource  # where there is no fork, there is none

    code = 1
    try:
        faulthandler.disable()  # the parent says it in a line
        seconds = SECONDS + path.stat().st_size // PER_SECOND
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            _copy(path, clean, what)
            code = 0
        except SnnfuseError as error:
            os.write(writer, json.dumps([type(error).__name__, str(error)]).encode())
        except BaseException as error:
            os.write(writer, json.dumps(["InputError", f"{path}: {type(error).__name__}: {error}"]).encode())
    finally:
        os._exit(code)


def _copy(path: Path, clean: IO[bytes], what: str) -> None:
    try:
        with h5py.File(path, "r") as file, h5py.File(clean, "w") as copy:
            check_unpacked(check(file, str(path)), path.stat().st_size, str(path))
            _copy_members(file, copy, path)
    except SnnfuseError:
        raise
    except DAMAGE as error:
        _refuse(path, what, error)


def check(file: h5py.File, where: str) -> int:
    """Walk everything that has a name in a file; returns the bytes that its arrays declare; errors as of `opened`."""
    waiting: list[tuple[h5py.Group, tuple[int, ...], str]] = [(file, (_address(file["/"]),), "")]  # a file is its root group
    names: dict[int, int] = {}
    links = declared = 0
    while waiting:
        group, ancestors, name = waiting.pop()
        check_limit("depth", len(ancestors), f"{where}: {name[:80] or '/'}")
        links += len(group)
        check_limit("edges", links, where)
        for key in map(str, group):
            place = f"{where}: {_shown(f'{name}/{key}')}"
            item = _member(group, key, place)
            address = _address(item)
            if address in ancestors:
                raise UnsafeFileError(f"{place}: a group that holds itself; no file that a network is written to has one")
            names[address] = names.get(address, 0) + 1
            check_limit("shared-links", names[address], place)
            check_limit("nodes", len(names), where)
            if isinstance(item, h5py.Group):
                waiting.append((item, (*ancestors, address), f"{name}/{key}"))
            elif isinstance(item, h5py.Dataset):
                declared += _declared(item, place)
                check_limit("file-bytes", declared, where)
    return declared


def _member(group: h5py.Group, key: str, place: str) -> object:
    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise UnsafeFileError(f"{place}: a link, which could lead to any other file; what networks are written to holds none")
    return group[key]


def _declared(data: h5py.Dataset, place: str) -> int:
    """Return the bytes that a data set unpacks to, which the file can hold."""
    plist = data.id.get_create_plist()
    if plist.get_external_count() or data.is_virtual:
        raise UnsafeFileError(f"{place}: its values lie in another file, which would be read in its place; refused")
    foreign = [code for code in (plist.get_filter(i)[0] for i in range(plist.get_nfilters())) if code not in FILTERS]
    if foreign:
        raise UnsafeFileError(f"{place}: stored through filter {foreign[0]}, which HDF5 would load as code; write it with gzip or none")
    if data.size is None:  # an empty data space
        return 0
    declared = data.size * max(data.dtype.itemsize, 1)
    check_limit("array-bytes", declared, place)
    stored = data.id.get_storage_size()
    if declared > SPARE + stored * (DENSEST if plist.get_nfilters() else 1):
        raise InputError(f"{place}: declares {declared} bytes, of which the file stores {stored}; it is damaged or incomplete")
    return declared


def _copy_members(group: h5py.Group, copy: h5py.Group, path: Path) -> None:
    for key in map(str, group):
        item = group[key]
        if isinstance(item, h5py.Group):
            _copy_members(item, copy.create_group(key), path)
        elif isinstance(item, h5py.Dataset):
            value = _texts(item, path) if item.dtype.hasobject and item.shape else item[()]
            copy.create_dataset(key, data=value, dtype=None if isinstance(value, h5py.Empty) else item.dtype)


def _texts(data: h5py.Dataset, path: Path) -> np.ndarray:
    """Return the texts of an array, which may all be one that is as long as the file."""
    size = path.stat().st_size
    step = max(1, TEXTS * data.shape[0] // (max(math.prod(data.shape), 1) * size))
    found, held = np.empty(data.shape, object), 0
    for start in range(0, data.shape[0], step):
        part = found[start : start + step] = data[start : start + step]
        held += sum(len(text) for text in part.flat)
        check_unpacked(held, size, f"{path}: {_shown(str(data.name))}")
    return found


def _address(item: object) -> int:
    return int(h5py.h5o.get_info(item.id).addr)  # type: ignore[attr-defined]  # every object of a file has an id


def _shown(name: str) -> str:
    """Return a name without what would reach a terminal as a control sequence."""
    return "".join(c if c.isprintable() else "?" for c in name[:120]).lstrip("/")
