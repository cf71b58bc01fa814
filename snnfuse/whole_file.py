"""Files that appear whole or not at all, refused before the work for them is done where they cannot be written."""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from snnfuse.hardware.errors import InputError


def check_output_file(path: Path, keep: Sequence[Path | None] = ()) -> None:
    """Refuse a path that cannot be written.

    Args:
        path: of a file, a device or a pipe.
        keep: files, and folders with all that is in them, which must not be written to.

    Raises:
        InputError: the path is a folder, lies in none that can be written, or is one of `keep`.
    """
    place = _resolved(path)
    if place.is_dir():
        raise InputError(f"{path}: cannot be written: it is a folder; give the name of a file")
    if not os.path.isdir(place.parent):
        raise InputError(f"{path}: cannot be written: the folder {path.parent} does not exist")
    if not os.access(place if _is_device(place) else place.parent, os.W_OK):
        raise InputError(f"{path}: cannot be written: the folder {path.parent} is write-protected")
    for kept in (_resolved(file) for file in keep if file is not None):
        if place == kept or kept in place.parents:
            raise InputError(f"{path}: would be written over an input, or into a bundle; choose another file")


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under exactly this name, replacing an older one at once; devices and pipes are written to as they are.

    Raises:
        InputError: it cannot be written.
    """
    place = _resolved(path)
    try:
        if _is_device(place):
            with place.open("wb") as file:
                write(file)
        else:
            _replace(place, write)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _replace(place: Path, write: Callable[[BinaryIO], object]) -> None:
    handle, partial = tempfile.mkstemp(dir=place.parent, prefix=".snnfuse.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.chmod(partial, 0o666 & ~_umask())  # mkstemp's file is for its owner only
        os.replace(partial, place)
    finally:
        Path(partial).unlink(missing_ok=True)


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))  # what a link points to is what is replaced


def _is_device(place: Path) -> bool:
    return os.path.exists(place) and not place.is_file() and not place.is_dir()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
