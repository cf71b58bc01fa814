"""Binned events, kept in the cache of decoded files, so that long recordings are read once."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from numpy.typing import NDArray

from snnfuse.data.events import aedat, binning, bs2, cochlea, saccade, stream
from snnfuse.data.folders import cache
from snnfuse.data.folders.entries import Entry
from snnfuse.hardware.errors import InputError

CODE = (aedat, binning, bs2, cochlea, saccade, stream)  # what decides the numbers, besides the recipe


def kept_counts(name: str, recipe: dict[str, object], files: Iterable[Path], make: Callable[[], NDArray]) -> NDArray:
    """Return what `make` gives, or gave earlier for the same recipe, files, code and libraries.

    Raises:
        InputError: a file is missing, or what `make` raises.
    """
    return kept_entries(name, recipe, [_entry(path) for path in files], make)


def kept_entries(name: str, recipe: dict[str, object], entries: Sequence[Entry], make: Callable[[], NDArray]) -> NDArray:
    """The same, of files that were listed already, or lie in a zip file."""
    digest = cache.key({**recipe, "events": cache.code_digest(CODE)}, entries, {})
    return cache.cached(name, digest, lambda: (make(), []))[0]


def _entry(path: Path) -> Entry:
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}") from error
    return Entry(path, stat.st_size, stat.st_mtime_ns)
