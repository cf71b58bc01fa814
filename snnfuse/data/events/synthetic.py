"""mnist-fsdd as events: synthetic events of real pictures and real recordings, labelled as made.

Images are (2, height, width) on every step: OFF, ON (`saccade`), seen by one and the same sensor whatever the seed of a run. Sound is
(1, height, width): `height` cochlea channels, the lowest in row 0, by `width` stretches of time within the step (`cochlea`, `to_strips`),
each recording from its first event to its last. Values are counts; the encoder "rate" makes them 1 where there was any event.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.events.binning import stacked, to_strips
from snnfuse.data.events.cochlea import sound_events
from snnfuse.data.events.kept import kept_counts
from snnfuse.data.events.saccade import CHUNK, picture_frames
from snnfuse.data.folders.decode import watched
from snnfuse.data.settings import Settings, only

STEPS, SIZE, SIZES = 16, (28, 28), ((28, 28), (34, 34))  # 34 x 34 sees all of a moving picture, as N-MNIST's
SOURCE = "synthetic events of them: simulated saccades of an event camera, simulated cochlea"
Recordings = Iterable[tuple[str, int, NDArray]]  # name, samples per second, waveform


def shape_of(name: str, settings: Settings) -> tuple[int, tuple[int, int]]:
    """Time steps and size that the settings ask for; InputError for what events do not offer."""
    only(settings, name, audio=("events",), time=(), size=SIZES, encoder=("direct", "rate"), snr_db=())
    return settings.time or STEPS, settings.size or SIZE


def picture_counts(path: Path, read: Callable[[], NDArray], time: int, size: tuple[int, int]) -> NDArray:
    """uint8 (pictures, time, 2, *size) of the pictures, uint8 (pictures, 28, 28), that `read` reads from a file."""

    def make() -> NDArray:
        pictures = read()
        parts = np.array_split(pictures, max(1, len(pictures) // CHUNK))
        return np.concatenate([picture_frames(part, time, size) for part in watched("pictures to events", parts, len(parts), many=2)])

    return kept_counts("saccades", {"time": time, "size": size}, [path], make)


def sound_counts(
    path: Path, files: Sequence[Path], read: Callable[[], Recordings], time: int, size: tuple[int, int], settings: Settings
) -> NDArray:
    """Return events of recordings read with the settings' noise, (recordings, time, 1, *size); InputError names one without events.

    path: for messages; files: what `read` reads.
    """

    def make() -> NDArray:
        heard = list(read())
        events = (
            sound_events(wave, rate, size[0], f"{path}: {name}.wav")
            for name, rate, wave in watched("recordings to events", heard, len(heard))
        )
        return stacked([to_strips(each, time, size) for each in events])

    noise = None if settings.snr_db is None else (settings.snr_db, settings.seed)
    return kept_counts("cochlea", {"time": time, "size": size, "noise": noise}, files, make)
