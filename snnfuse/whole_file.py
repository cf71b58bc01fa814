"""Files that appear whole or not at all, refused before the work for them is done where they cannot be written."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

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
    if os.path.isdir(place):
        raise InputError(f"{path}: cannot be written: it is a folder; give the name of a file")
    if not os.path.isdir(place.parent):
        raise InputError(f"{path}: cannot be written: the folder {path.parent} does not exist")
    if not os.access(place if _is_device(place) else place.parent, os.W_OK):
        raise InputError(f"{path}: cannot be written: the folder {path.parent} is write-protected")
    _check_name(path, place)
    for kept in (_resolved(file) for file in keep if file is not None):
        if place == kept or kept in place.parents:
            raise InputError(f"{path}: would be written over an input, or into a bundle; choose another file")


def _check_name(path: Path, place: Path) -> None:
    try:
        os.lstat(place)
    except FileNotFoundError:
        pass
    except OSError as error:  # the name is too long
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file under exactly this name, replacing an older one at once; devices and pipes are written to as they are.

    content: all of it, for libraries that write files themselves fail on a full disk each in its own way.

    Raises:
        InputError: it cannot be written.
    """
    place = _resolved(path)
    try:
        if _is_device(place):
            with place.open("wb") as file:
                file.write(content)
        else:
            _replace(place, content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _replace(place: Path, content: bytes | memoryview) -> None:
    handle, partial = tempfile.mkstemp(dir=place.parent, prefix=".snnfuse.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(partial, 0o666 & ~_umask())  # mkstemp's file is for its owner only
        os.replace(partial, place)
    finally:
        Path(partial).unlink(missing_ok=True)


def _resolved(path: Path) -> Path:
    """What a link points to is what is replaced; but /dev/stdout may point to a pipe, which has no path of its own."""
    return path.absolute() if _is_device(path) else Path(os.path.realpath(path))


def _is_device(place: Path) -> bool:
    return os.path.exists(place) and not os.path.isfile(place) and not os.path.isdir(place)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
