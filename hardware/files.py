"""Files and folders that appear whole or not at all, refused before the work for them is done, and hashes of what they hold."""

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from snnfuse.hardware.errors import InputError

LONGEST_NAME = 200  # bytes of a target's name that stand in the name of what is unfinished


def sha256(path: Path) -> str:
    """Of a file's content, in hex."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            total.update(part)
    return total.hexdigest()


def list_files(folder: Path) -> list[str]:
    """Everything below a folder that is no folder itself, by its path relative to it with forward slashes, sorted."""
    files = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in files)


def hash_files(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder, by its path as of `list_files`."""
    return {name: sha256(folder / name) for name in list_files(folder)}


def resolved(path: str | Path) -> Path:
    """The absolute path without links: what a link points to is what is written and replaced."""
    return Path(os.path.realpath(path))


def check_target(target: Path, force: bool, is_ours: Callable[[Path], bool]) -> None:
    """Refuse a target that cannot be written or must not be replaced, before any work is done for it.

    An empty folder may be replaced without `force`.

    Args:
        target: as of `resolved`.
        force: whether one of ours may be replaced.
        is_ours: whether an existing folder is.

    Raises:
        InputError: it exists and `force` is not set, or it is not one of ours, or the folder it would lie in cannot be written.
    """
    recover(target)
    here = Path.cwd()
    if target == here or target in here.parents:
        raise InputError(f"{target} is the current folder or holds it, and is replaced as a whole; choose another folder with -o")
    place = next(parent for parent in (target.parent, *target.parent.parents) if os.path.exists(parent))
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{target} cannot be written: {place} " + ("is write-protected" if place.is_dir() else "is no folder"))
    _check_names(target, place)
    if os.path.lexists(target):
        _check_existing(target, force, is_ours)


def _check_names(target: Path, place: Path) -> None:
    """Those of folders to be made, and the one that the older folder has on the way, which is longer than the target's own."""
    for name in (*target.relative_to(place).parts, _aside(target).name):
        try:
            os.lstat(place / name)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise InputError(f"{target} cannot be written: {error.strerror}") from error


def _check_existing(target: Path, force: bool, is_ours: Callable[[Path], bool]) -> None:
    if os.path.ismount(target):
        raise InputError(f"{target} is a mount point, which cannot be replaced; choose a folder inside it")
    if target.is_dir() and not any(target.iterdir()):
        return
    if not force:
        raise InputError(f"{target} exists; use force=True to replace it, or choose another folder")
    if not is_ours(target):
        raise InputError(f"{target} exists and is no bundle, so force=True does not replace it; choose another folder")


def recover(target: Path) -> None:
    """Put back what a killed replacement had moved aside; InputError where that cannot be done.

    target: as of `resolved`.
    """
    if not target.name or os.path.lexists(target) or not os.path.lexists(_aside(target)):
        return
    try:
        _aside(target).rename(target)
    except OSError as error:
        raise InputError(f"{_aside(target)} cannot be moved back to {target}: {error.strerror}") from error


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.replaced")


def _prefix(target: Path, pid: int | str) -> str:
    """What the name of something unfinished begins with; a long name is cut, for a file system allows some 255 bytes."""
    return f".{os.fsencode(target.name)[:LONGEST_NAME].decode(errors='ignore')}.new-{pid}-"


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` when the block ends and is removed when it raises.

    What was there is moved aside first and removed last, so that an interruption at any point leaves the old folder or the new
    one; between the two renames the old one lies aside, from where `recover` takes it. What killed processes left half-filled
    is removed.

    Raises:
        InputError: it cannot be written.
    """
    new = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        new = Path(tempfile.mkdtemp(dir=target.parent, prefix=_prefix(target, os.getpid())))
        yield new
        new.chmod(0o777 & ~_umask())  # mkdtemp's folder is for its owner only
        _replace(new, target)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)


def _remove_abandoned(target: Path) -> None:
    """Half-filled files and folders for the same target whose process, which their name tells, is gone."""
    name = re.compile(re.escape(_prefix(target, "PID")).replace("PID", r"(\d+)") + r"\w{8}")
    with suppress(OSError):  # a folder may be writable and not readable
        for path in list(target.parent.iterdir()):
            match = name.fullmatch(path.name)
            if match and not _is_alive(int(match[1])):
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # someone else's
        return True
    return True


def _replace(new: Path, target: Path) -> None:
    aside = _aside(target)
    if target.exists():
        shutil.rmtree(aside, ignore_errors=True)
        target.rename(aside)
    try:
        new.rename(target)
    except BaseException:
        recover(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def check_output_file(path: Path, keep: Sequence[Path | None] = ()) -> None:
    """Refuse a path that cannot be written.

    Args:
        path: of a file, a device or a pipe.
        keep: files, and folders with all that is in them, which must not be written to.

    Raises:
        InputError: the path is a folder, lies in none that can be written, or is one of `keep`.
    """
    place = _real_place(path)
    if os.path.isdir(place):
        raise InputError(f"{path}: cannot be written: it is a folder; give the name of a file")
    if not os.path.isdir(place.parent):
        raise InputError(f"{path}: cannot be written: the folder {path.parent} does not exist")
    if not os.access(place if _is_device(place) else place.parent, os.W_OK):
        raise InputError(f"{path}: cannot be written: the folder {path.parent} is write-protected")
    _check_file_name(path, place)
    for kept in (_real_place(file) for file in keep if file is not None):
        if place == kept or kept in place.parents:
            raise InputError(f"{path}: would be written over an input, or into a bundle; choose another file")


def _check_file_name(path: Path, place: Path) -> None:
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
    place = _real_place(path)
    try:
        if _is_device(place):
            with place.open("wb") as file:
                file.write(content)
        else:
            with whole_file(place) as partial:
                partial.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Give an empty file to fill, which becomes `target` when the block ends and is removed when it raises.

    What killed processes left half-filled is removed.

    Raises:
        OSError: it cannot be written.
    """
    _remove_abandoned(target)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=_prefix(target, os.getpid()))
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())  # mkstemp's file is for its owner only
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _real_place(path: Path) -> Path:
    """What a link points to is what is replaced; but /dev/stdout may point to a pipe, which has no path of its own."""
    return path.absolute() if _is_device(path) else Path(os.path.realpath(path))


def _is_device(place: Path) -> bool:
    return os.path.exists(place) and not os.path.isfile(place) and not os.path.isdir(place)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
