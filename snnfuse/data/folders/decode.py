"""From files to arrays: every image of a data set at one size, every recording through one recipe, each through the cache."""

import os
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.corruptions import noisy_wave
from snnfuse.data.features import Floats
from snnfuse.data.folders import cache
from snnfuse.data.folders.entries import Entry
from snnfuse.data.folders.images import read_centre, read_crops, read_image, require_pillow
from snnfuse.data.folders.sounds import read_sound, require_soundfile
from snnfuse.data.recipes import SoundRecipe
from snnfuse.hardware.errors import DataWarning

THREADS = min(8, os.cpu_count() or 1)  # decoders let go of Python's lock
MANY = 200  # files from which on a terminal shows how far it is


def image_array(name: str, entries: Sequence[Entry], size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 (entries, 3, *size), in the order of the entries."""
    digest = cache.key({"form": "image", "size": size}, entries, {"pillow": require_pillow()})
    return _told(cache.cached(f"{name}-images", digest, lambda: _collect(f"{name}: images", entries, lambda e: read_image(e, size))), name)


def crop_array(name: str, entries: Sequence[Entry], size: tuple[int, int], copies: int, seed: int) -> NDArray[np.uint8]:
    """uint8 (entries * copies, 3, *size): of each entry random parts, one after the other (`read_crops`)."""
    digest = cache.key({"form": "crops", "size": size, "copies": copies, "seed": seed}, entries, {"pillow": require_pillow()})

    def read(entry: Entry) -> tuple[NDArray, str | None]:
        return read_crops(entry, size, copies, seed)

    found = _told(cache.cached(f"{name}-crops", digest, lambda: _collect(f"{name}: images", entries, read)), name)
    return found.reshape(-1, *found.shape[2:])


def centre_array(name: str, entries: Sequence[Entry], shorter: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 (entries, 3, *size), each the centre of an image whose shorter side is `shorter` pixels."""
    digest = cache.key({"form": "centre", "size": size, "shorter": shorter}, entries, {"pillow": require_pillow()})

    def read(entry: Entry) -> tuple[NDArray, str | None]:
        return read_centre(entry, shorter, size)

    return _told(cache.cached(f"{name}-centres", digest, lambda: _collect(f"{name}: images", entries, read)), name)


def sound_array(name: str, entries: Sequence[Entry], recipe: SoundRecipe, snr_db: float | None = None, seed: int = 0) -> Floats:
    """Apply the recipe to each recording; return float32 (entries, ...) in the order of the entries.

    snr_db, seed: of white noise on each waveform, of which every recording has its own; None for none.
    """

    def features_of(entry: Entry) -> tuple[Floats, str | None]:
        rate, wave, note = read_sound(entry)
        if snr_db is not None:
            wave = noisy_wave(wave, snr_db, np.random.default_rng([seed, zlib.crc32(entry.stem.encode(errors="surrogateescape"))]))
        return recipe(wave, rate), note

    said = {**asdict(recipe), "snr_db": snr_db, "noise_seed": None if snr_db is None else seed}
    digest = cache.key(said, entries, {"soundfile": require_soundfile()})
    return _told(cache.cached(f"{name}-sounds", digest, lambda: _collect(f"{name}: recordings", entries, features_of)), name)


def _collect(title: str, entries: Sequence[Entry], read: Callable[[Entry], tuple[NDArray, str | None]]) -> cache.Made:
    """Read every entry into one array; one note for each kind of conversion, with the first file that needed it."""
    first, note = read(entries[0])
    out = np.empty((len(entries), *first.shape), first.dtype)
    kinds: Counter[str] = Counter()
    example: dict[str, Entry] = {}
    pool = ThreadPoolExecutor(THREADS)
    try:
        for row, (array, note) in enumerate(watched(title, pool.map(read, entries), len(entries))):
            out[row] = array
            if note is not None:
                kinds[note] += 1
                example.setdefault(note, entries[row])
    finally:
        pool.shutdown(cancel_futures=True)  # a file that is refused, or a user who has had enough, does not wait for the others
    return out, [f"{kind}: {count} of {len(entries)} files, the first {example[kind]}" for kind, count in sorted(kinds.items())]


def watched(title: str, items: Any, total: int, many: int = MANY) -> Any:
    """Yield the items unchanged; on a terminal, where they are `many`, with a progress bar and their number."""
    if total < many or not sys.stderr.isatty():
        return items
    return _shown(title, items, total)


def _shown(title: str, items: Iterable[Any], total: int) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(items, total, description=title)


def _told(made: cache.Made, name: str) -> NDArray:
    """The array, its notes told as warnings."""
    array, notes = made
    for note in notes:
        warnings.warn(f"{name}: {note}", DataWarning, stacklevel=3)
    return array
