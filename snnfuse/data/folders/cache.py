"""What was decoded from many files, kept so that it is decoded once.

A kept array is found by a key made of everything that decides its numbers: the recipe, the code that computes it, the versions of
the libraries, and every file's path, size and time. It is written beside its place and renamed, so that a reader, or another
writer, sees a whole file or none; one that is damaged is computed anew, with a DataWarning. `SNNFUSE_CACHE` names the folder
(~/.cache/snnfuse), and "off" there keeps nothing.
"""

import hashlib
import inspect
import json
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
import scipy
from numpy.typing import NDArray

from snnfuse.data import corruptions, features, pictures, recipes, sound_statistics
from snnfuse.data.folders import entries as entries_module
from snnfuse.data.folders import images, sounds
from snnfuse.data.folders.entries import Entry
from snnfuse.hardware.errors import DataWarning
from snnfuse.hardware.files import whole_file

ENVIRONMENT = "SNNFUSE_CACHE"
OFF = "off"
CODE = (
    features,
    sound_statistics,
    pictures,
    recipes,
    corruptions,
    entries_module,
    images,
    sounds,
)  # what decides the numbers, besides the recipe
DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)  # NotImplementedError is a RuntimeError
Made = tuple[NDArray, list[str]]  # an array and the notes to be told with it


def folder() -> Path | None:
    """Return the folder of cached arrays; None where nothing is to be cached."""
    named = os.environ.get(ENVIRONMENT)
    if named == OFF:
        return None
    return Path(named).expanduser() if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snnfuse"


@lru_cache(maxsize=2)
def code_digest(modules: tuple[ModuleType, ...] = CODE) -> str:
    """Return a digest of the modules' sources: it changes with every edit, so that nobody has to think of a version number."""
    return hashlib.sha256("\0".join(inspect.getsource(module) for module in modules).encode()).hexdigest()


def key(recipe: Mapping[str, object], entries: Sequence[Entry], libraries: Mapping[str, str]) -> str:
    """64 hexadecimal digits over all that decides an array."""
    said = {"recipe": recipe, "code": code_digest(), "libraries": {"numpy": np.__version__, "scipy": scipy.__version__, **libraries}}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
    for entry in entries:
        digest.update(json.dumps([os.path.abspath(entry.path), entry.member, entry.size, entry.stamp]).encode() + b"\n")
    return digest.hexdigest()


def cached(name: str, digest: str, make: Callable[[], Made]) -> Made:
    """The array kept under a key, or else made and kept, with its notes. A folder that cannot be written to is a DataWarning."""
    kept = folder()
    if kept is None:
        return make()
    path = kept / f"{name}-{digest}.npz"
    found = _read(path)
    if found is not None:
        return found
    made = make()
    try:
        _write(path, made)
    except OSError as error:
        message = f"{path}: cannot be written ({error.strerror or error}); it is computed every time unless ${ENVIRONMENT} names a folder"
        warnings.warn(message, DataWarning, stacklevel=3)
    return made


def _read(path: Path) -> Made | None:
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:  # reading checks the zip file's checksums
            return stored["array"], [str(note) for note in stored["notes"]]
    except DAMAGE as error:
        warnings.warn(f"{path}: damaged ({error}); it is computed anew", DataWarning, stacklevel=3)
        return None


def _write(path: Path, made: Made) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, array=made[0], notes=np.array(made[1], dtype=np.str_))
