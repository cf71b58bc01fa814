"""Reading what strangers wrote: regular files only, JSON within limits, and a failure that no reader foresaw named by its file."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snnfuse.hardware.errors import InputError, SnnfuseError, UnforeseenFileError
from snnfuse.hardware.limits import check_limit, limit

BEGIN = 64  # bytes that tell what stands in place of a file
PLACE_HOLDERS = {
    b"version https://git-lfs.github.com/spec/": "is a pointer of Git LFS, not the file itself; get it with: git lfs pull",
    b"/annex/objects/": "is a pointer of git-annex, not the file itself; get it with: git annex get",
    b"<!doctype html": "is a web page, saved in place of the file; download the raw file",
    b"<html": "is a web page, saved in place of the file; download the raw file",
}
SHOWN = 200  # characters of an error of somebody else's


@contextmanager
def reading(file: object) -> Iterator[None]:
    """Name the file in whatever goes wrong in the block, which reads it or computes with nothing but what it holds.

    Args:
        file: its path, or what else names it.

    Raises:
        SnnfuseError: as the block raised it.
        UnforeseenFileError: for any other exception, which is its cause. The command line keeps the stack trace and ends with 2.
    """
    try:
        yield
    except SnnfuseError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:SHOWN]
        what = f"{type(error).__name__}: {said}" if said else type(error).__name__
        raise UnforeseenFileError(f"{file}: cannot be used as it is ({what})") from error


def check_regular(path: Path) -> None:
    """Refuse what is no file with an end: a folder, a pipe, a device; and what stands in place of one.

    Raises:
        InputError: says which, or that there is none.
    """
    if not os.path.isfile(path):
        found = "is a folder, not a file" if os.path.isdir(path) else "is no regular file" if os.path.exists(path) else "no such file"
        raise InputError(f"{path}: {found}")
    check_whole(path)


def check_whole(path: Path) -> None:
    """Refuse what stands for a file that is elsewhere: a pointer of Git LFS or git-annex, a web page, or nothing yet.

    Raises:
        InputError: says which, and how to get the file.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(BEGIN)
    except OSError:  # whoever reads it says so
        return
    for mark, what in PLACE_HOLDERS.items():
        if start.lstrip().lower().startswith(mark):
            raise InputError(f"{path}: {what}")
    if not start:
        raise InputError(f"{path}: it is empty; it was never written, or its copy never arrived")


def read_bytes(path: Path, most: str | None = None) -> bytes:
    """Return all of a regular file.

    Args:
        path: of the file.
        most: the limit on its size, of `snnfuse.hardware.limits`.

    Raises:
        InputError: it is missing, no regular file, or cannot be read.
        UnsafeFileError: it is larger.
    """
    try:
        if os.path.exists(path):
            check_regular(path)
        if most is not None:
            check_limit(most, path.stat().st_size, str(path))
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        if isinstance(error, SnnfuseError):
            raise
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def check_names(names: Iterable[object], what: str) -> None:
    """Refuse names that would steer a terminal, or that nobody could tell apart by what is seen.

    Args:
        names: those that are no strings are left to others.
        what: they are names of, as "a node".

    Raises:
        InputError: one holds a control character or another that is not printed; shows it escaped.
    """
    for name in names:
        if isinstance(name, str) and not name.isprintable():
            raise InputError(f"the name {ascii(name[:SHOWN])} of {what} holds a character that is not printed; rename it")


def parse_json(content: bytes, where: str) -> Any:
    """Return what a JSON text says, within the limits on its depth and on the digits of a number.

    Args:
        content: in UTF-8.
        where: names it in errors.

    Raises:
        InputError: it is no JSON, or no UTF-8; NaN and Infinity are no numbers.
        UnsafeFileError: it nests deeper, or has longer numbers, than `snnfuse.hardware.limits` allows.
    """
    try:
        found = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, parse_int=_whole(where), parse_float=_real(where))
    except SnnfuseError:
        raise
    except RecursionError as error:
        check_limit("json-depth", sys.getrecursionlimit(), where)
        raise InputError(f"{where}: nests deeper than Python reads") from error
    except ValueError as error:
        raise InputError(f"{where}: damaged, or no JSON file: {error}") from error
    if content.count(b"[") + content.count(b"{") > limit("json-depth"):
        _check_depth(found, where)
    return found


def _check_depth(content: Any, where: str) -> None:
    level, depth = [content], 0
    while level := [inner for inner in level if isinstance(inner, (dict, list))]:
        depth += 1
        check_limit("json-depth", depth, where)
        level = [value for inner in level for value in (inner.values() if isinstance(inner, dict) else inner)]


def _whole(where: str) -> Callable[[str], int]:
    return lambda digits: int(_short(digits, where))


def _real(where: str) -> Callable[[str], float]:
    return lambda digits: float(_short(digits, where))


def _short(digits: str, where: str) -> str:
    check_limit("json-digits", len(digits), where)
    return digits


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")
