"""The one way that HDF5 files from strangers are opened: nothing outside the file, no cycles, nothing larger than it can hold.

HDF5 can point to other files (external links, external storage, virtual data sets), name a group within itself, give one object any number
of names, and declare any size in a few bytes. `opened` walks the whole file before anything of it is read, and refuses all of that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from snnfuse.hardware.errors import InputError, SnnfuseError, UnsafeFileError
from snnfuse.hardware.limits import check_limit
from snnfuse.hardware.reading import check_regular

FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 32000: "lzf"}  # any other would be a plugin: code from elsewhere
DENSEST = 1200  # bytes that a stored byte can stand for: deflate reaches 1,032
SPARE = 1 << 16  # bytes that may be declared without being stored, as fill values
DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError, UnicodeError, RecursionError)
"""What h5py raises on damaged files, each for another place of the damage."""


@contextmanager
def opened(path: Path, what: str = "HDF5 file") -> Iterator[h5py.File]:
    """Open a file for reading, after all of it was checked.

    Args:
        path: of the file.
        what: it should be, in words, for the errors.

    Yields:
        h5py.File whose links all lead to objects in it.

    Raises:
        UnsafeFileError: it refers to another file or to itself, needs a filter that is loaded from elsewhere, or declares more than
            `snnfuse.hardware.limits` allows.
        InputError: the file is missing, a folder, a pipe, or damaged; also for what h5py raises while the block reads it.
    """
    check_regular(path)
    try:
        with h5py.File(path, "r") as file:
            check(file, str(path))
            yield file
    except SnnfuseError:
        raise
    except DAMAGE as error:
        said = " ".join(str(error).split())
        if "truncated file" in said:
            raise InputError(f"{path}: is cut off, half written or half copied; write or copy it again") from error
        raise InputError(f"{path}: no readable {what}: {type(error).__name__}: {said}") from error


def check(file: h5py.File, where: str) -> None:
    """Walk everything that has a name in a file; errors as of `opened`."""
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


def _address(item: object) -> int:
    return int(h5py.h5o.get_info(item.id).addr)  # type: ignore[attr-defined]  # every object of a file has an id


def _shown(name: str) -> str:
    """Return a name without what would reach a terminal as a control sequence."""
    return "".join(c if c.isprintable() else "?" for c in name[:120]).lstrip("/")
