"""Folders that appear whole or not at all, and hashes of what they hold."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from snnfuse.hardware.errors import InputError


def sha256(path: Path) -> str:
    """Of a file's content, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hash_files(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder, by its path relative to it with forward slashes, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def check_target(target: Path, force: bool, is_ours: Callable[[Path], bool]) -> None:
    """Refuse a target that cannot be written or must not be replaced, before any work is done for it.

    Raises:
        InputError: it exists and `force` is not set, or it is not one of ours, or the folder it would lie in cannot be written.
    """
    recover(target)
    if target.exists() or target.is_symlink():
        if not force:
            raise InputError(f"{target} exists; use --force to replace it, or choose another folder with -o")
        if not is_ours(target):
            raise InputError(f"{target} exists and is no bundle, so --force does not replace it; choose another folder with -o")
    place = next(parent for parent in (target.parent, *target.parent.parents) if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{target} cannot be written: {place} " + ("is write-protected" if place.is_dir() else "is no folder"))


def recover(target: Path) -> None:
    """Put back what a killed replacement had moved aside."""
    aside = _aside(target)
    if aside.exists() and not target.exists():
        aside.rename(target)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.replaced")


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` when the block ends and is removed when it raises.

    What was there is moved aside first and removed last, so that an interruption at any point leaves the old folder or the new
    one; between the two renames the old one lies aside, from where `recover` takes it.

    Raises:
        InputError: it cannot be written.
    """
    new = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        yield new
        new.chmod(0o777 & ~_umask())  # mkdtemp's folder is for its owner only
        _replace(new, target)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
