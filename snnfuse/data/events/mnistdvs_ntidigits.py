"""mnistdvs-ntidigits: handwritten digits seen by an event camera (MNIST-DVS) with digits heard by a silicon cochlea (N-TIDIGITS18).

Both are cut into steps of equal duration, each recording from its first event to its last. Images are (2, height, width): OFF, ON. Sound
is (1, height, width): rows are channels, columns are stretches of time within the step (`to_strips`). Values are counts; the encoder
"rate" makes them 1 where there was any event, for a count is at least a probability of 1.

N-TIDIGITS18 keeps its official split, and validation keeps its speakers whole. MNIST-DVS has none: a tenth of each digit's symbols, drawn
with a fixed seed so that the test set is the same whatever the seed of a run, is the test set. A split may be a scale, "scale16" (default:
the digits fill the sensor), "scale8", "scale4", or "all"; of a symbol all scales are on one side.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from snnfuse.data.events import aedat, mnist_dvs, ntidigits
from snnfuse.data.events.binning import stacked, to_frames, to_strips
from snnfuse.data.events.kept import kept_counts
from snnfuse.data.folders.decode import watched
from snnfuse.data.pairs import AudioVisual, Pairs, Pool, hold_out, make_pairs
from snnfuse.data.readers import PLACES, data_folder
from snnfuse.data.settings import Settings, only
from snnfuse.data.signals import EVENTS
from snnfuse.hardware.errors import InputError

NAME = "mnistdvs-ntidigits"
IMAGES, SOUNDS = "mnist-dvs", "n-tidigits/n-tidigits.hdf5"
TREE = f"expected DATA_DIR/{IMAGES}/{mnist_dvs.LAYOUT} and DATA_DIR/{SOUNDS}, where {PLACES}"
SPLITS = {f"scale{scale}": (scale,) for scale in mnist_dvs.SCALES} | {"all": mnist_dvs.SCALES}
STEPS, SIZE, SPLIT = 16, (28, 28), "scale16"
TEST_FRACTION, TEST_SEED = 0.1, 0


def load(given: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """The data set: 16 steps of images (2, 28, 28) and of sounds (1, 28, 28), unless the settings say otherwise.

    Raises:
        InputError: a file or folder is missing or damaged, or it does not offer a setting.
    """
    only(settings, NAME, audio=("events",), time=(), size=(), encoder=("direct", "rate"), split=tuple(SPLITS))
    folder = folder_of(given)
    time, size = settings.time or STEPS, settings.size or SIZE
    images = _images(folder / IMAGES, SPLITS[settings.split or SPLIT], time, size)
    seen = hold_out(make_pairs({"image": images}, time, TEST_SEED), TEST_FRACTION, TEST_SEED)
    sides = [
        _side(part.pools["image"], _sounds(folder / SOUNDS, side, time, size), settings) for part, side in zip(seen, ("train", "test"))
    ]
    return AudioVisual(
        name=NAME,
        classes=tuple("0123456789"),
        train=sides[0],
        test=sides[1],
        source="MNIST-DVS (IMSE-CNM) and N-TIDIGITS18 (INI Zurich), as recorded by an event camera and a silicon cochlea",
        speech="recorded",
        settings=replace(settings, audio="events", split=settings.split or SPLIT),
    )


def _side(images: Pool, sounds: Pool, settings: Settings) -> Pairs:
    return make_pairs({"image": images, "audio": sounds}, images.items.shape[1], settings.seed, settings.encoder)


def folder_of(given: str | Path | None) -> Path:
    """The folder that holds both; InputError with what is expected where one is missing."""
    folder = data_folder(given)
    for path, there in ((folder / IMAGES, (folder / IMAGES).is_dir()), (folder / SOUNDS, (folder / SOUNDS).is_file())):
        if not there:
            raise InputError(f"{NAME}: {path} is missing; {TREE}")
    return folder


def _images(folder: Path, scales: tuple[int, ...], time: int, size: tuple[int, int]) -> Pool:
    symbols = mnist_dvs.find_symbols(folder, scales)
    items = kept_counts(
        "mnist-dvs",
        {"time": time, "size": size},
        [symbol.path for symbol in symbols],
        lambda: stacked([to_frames(aedat.read_aedat(one.path), time, size) for one in watched("MNIST-DVS", symbols, len(symbols))]),
    )
    digits = np.array([symbol.digit for symbol in symbols], np.int64)
    numbers = np.array([symbol.number for symbol in symbols], np.int64)
    symbols_of = np.unique(np.stack([digits, numbers], 1), axis=0, return_inverse=True)[1].reshape(-1)
    return Pool(items, digits, timed=True, groups=symbols_of, signal=EVENTS)


def _sounds(path: Path, side: str, time: int, size: tuple[int, int]) -> Pool:
    recordings = ntidigits.read_ntidigits(path, side)
    if not recordings:
        raise InputError(f"{path}: {side} holds no recording of a single digit")
    items = stacked([to_strips(recording.events, time, size) for recording in recordings])
    speakers = np.unique([recording.speaker for recording in recordings], return_inverse=True)[1].astype(np.int64)
    return Pool(items, np.array([recording.digit for recording in recordings], np.int64), timed=True, groups=speakers, signal=EVENTS)
