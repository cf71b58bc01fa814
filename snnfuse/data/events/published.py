"""mnistdvs-ntidigits-published: MNIST-DVS and N-TIDIGITS18 as S-CMRL's own code reads and pairs them, to compare with its figure.

What it does (github.com/Brain-Cog-Lab/S-CMRL, braincog/datasets/datasets.py), where the paper is silent:

    split     of each digit's 1,000 symbols at the scale 16 half train, drawn at random; the official one of the recordings
    images    events in 16 steps of equal duration, counts on 28 x 28; in training moved once by up to 4 pixels each way, what moves in is
              zero; then less 0.1307, over 0.3081: MNIST's mean and deviation, of counts
    sound     events of 64 channels in 16 steps, counts laid out as 8 x 8, enlarged to 28 x 28 bilinearly; not normalised
    pairs     500 of each digit on either side: symbol number k of a digit with its recording number k, which begin anew where they end;
              drawn once

It also chooses the best epoch on the test set, which is not done here. Recordings repeat, on one side only.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.encoders import Encoding
from snnfuse.data.events import aedat, mnist_dvs, mnistdvs_ntidigits, ntidigits
from snnfuse.data.events.binning import stacked, to_frames
from snnfuse.data.events.kept import kept_counts
from snnfuse.data.folders.decode import watched
from snnfuse.data.pairs import AudioVisual, Ints, Pairs, Pool
from snnfuse.data.pictures import weights
from snnfuse.data.settings import Settings, only
from snnfuse.hardware.errors import InputError

NAME = f"{mnistdvs_ntidigits.NAME}-published"
STEPS, SIZE, SCALE = 16, (28, 28), 16
EACH, MOVE = 500, 4  # pairs of a digit on either side; pixels
MEAN, DEVIATION = 0.1307, 0.3081
CHANNELS, LAID_OUT = 64, (8, 8)


def load(data_dir: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """16 steps of images (2, 28, 28) and of sounds (1, 28, 28).

    Raises:
        InputError: a file or folder is missing or damaged, a digit has too few symbols for both sides, or a setting is another.
    """
    only(settings, NAME, audio=("events",), time=(STEPS,), size=(SIZE,), encoder=("direct",), split=("published",))
    folder = mnistdvs_ntidigits.folder_of(data_dir)
    frames, digits = seen(folder / mnistdvs_ntidigits.IMAGES)
    split = np.random.default_rng(0)
    halves = [halved(np.flatnonzero(digits == digit), digit, split) for digit in range(10)]
    sides = []
    for number, side in enumerate(("train", "test")):
        chosen = np.concatenate([half[number] for half in halves])
        counts = moved(frames[chosen], np.random.default_rng(settings.seed)) if side == "train" else frames[chosen]
        images = Pool(counts, digits[chosen], timed=True, scale=1 / DEVIATION, offset=-MEAN / DEVIATION)
        sides.append(paired(images, heard(folder / mnistdvs_ntidigits.SOUNDS, side), settings.seed))
    used = replace(settings, audio="events", split="published")
    about = "MNIST-DVS (IMSE-CNM) and N-TIDIGITS18 (INI Zurich), split and paired as S-CMRL's code does"
    return AudioVisual(NAME, tuple("0123456789"), sides[0], sides[1], about, "recorded", used)


def seen(folder: Path) -> tuple[NDArray, Ints]:
    """Counts (symbols, 16, 2, 28, 28) and digits."""
    symbols = mnist_dvs.find_symbols(folder, (SCALE,))
    counts = kept_counts(
        "mnist-dvs",
        {"time": STEPS, "size": SIZE},
        [symbol.path for symbol in symbols],
        lambda: stacked([to_frames(aedat.read_aedat(one.path), STEPS, SIZE) for one in watched("MNIST-DVS", symbols, len(symbols))]),
    )
    return counts, np.array([symbol.digit for symbol in symbols], np.int64)


def halved(symbols: Ints, digit: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """A digit's symbols for training and for the test: 500 each, or of fewer half."""
    if len(symbols) < 2:
        raise InputError(f"{NAME}: digit {digit} has {len(symbols)} symbols at scale {SCALE}, and both sides need one")
    each = min(EACH, len(symbols) // 2)
    drawn = rng.permutation(symbols)
    return drawn[:each], drawn[each : 2 * each]


def moved(counts: NDArray, rng: np.random.Generator) -> NDArray:
    """Each of (symbols, time, 2, height, width) moved by up to 4 pixels, all its steps alike: torchvision's RandomCrop with padding."""
    height, width = counts.shape[-2:]
    padded = np.pad(counts, [(0, 0)] * (counts.ndim - 2) + [(MOVE, MOVE)] * 2)
    out = np.empty_like(counts)
    for one, source, (top, left) in zip(out, padded, rng.integers(0, 2 * MOVE + 1, (len(counts), 2)), strict=True):
        one[:] = source[..., top : top + height, left : left + width]
    return out


def heard(path: Path, side: str) -> Pool:
    """Recordings of a side as (recordings, 16, 1, 28, 28)."""
    recordings = ntidigits.read_ntidigits(path, side)
    if not recordings:
        raise InputError(f"{path}: {side} holds no recording of a single digit")
    counts = stacked([to_frames(recording.events, STEPS, (CHANNELS, 1)) for recording in recordings])
    pictures = enlarged(counts.reshape(*counts.shape[:2], 1, *LAID_OUT).astype(np.float32))
    return Pool(pictures, np.array([recording.digit for recording in recordings], np.int64), timed=True)


def enlarged(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., 8, 8) to (..., 28, 28), bilinearly, corners not aligned."""
    return (weights(LAID_OUT[0], SIZE[0]) @ pictures @ weights(LAID_OUT[1], SIZE[1]).T).astype(np.float32)


def paired(images: Pool, sounds: Pool, seed: int) -> Pairs:
    """Symbol number k of a digit with its recording number k, which begin anew where they end."""
    index = np.empty((len(images), 2), np.int64)
    index[:, 0] = np.arange(len(images))
    for digit in range(10):
        rows, members = np.flatnonzero(images.labels == digit), np.flatnonzero(sounds.labels == digit)
        if not members.size:
            raise InputError(f"{NAME}: digit {digit} has no recording")
        index[rows, 1] = np.resize(members, len(rows))
    return Pairs({"image": images, "audio": sounds}, index, STEPS, is_fixed=True, encoding=Encoding("direct", seed))
