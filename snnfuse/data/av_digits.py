"""av-digits: handwritten digits with synthetic speech, small enough to ship, so that everything can be tried offline.

Images: the 1,797 digits of 8 x 8 pixels that scikit-learn ships, the test part of "Optical Recognition of Handwritten Digits"
(E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998, CC BY 4.0). Speech: SYNTHETIC, made with eSpeak NG (a GPL-3.0
program, whose licence does not extend to what it says) by make_av_digits.py in several voices, pitches and speeds.

The last 360 images and all clips of four voices form the test set. No voice and no image is on both sides.
"""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from snnfuse.data.features import FLOOR, measure, with_context
from snnfuse.data.pairs import AudioVisual, Pool, make_pairs
from snnfuse.data.pictures import resize
from snnfuse.data.settings import Settings, only
from snnfuse.data.signals import IMAGE, SPECTROGRAM
from snnfuse.hardware.errors import InputError

NAME = "av-digits"
FILE = Path(__file__).with_name("av_digits.npz")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_VOICES = ("en-gb-scotland+m2", "en-us+f4", "en-gb-x-rp+m4", "en-us+m6")
TEST_IMAGES = 360  # the last ones
IMAGE_SIZE = 8, 8
INK = 16  # full ink of an 8 x 8 image
LEVELS = 255  # a stored clip counts from the floor, 0, to the loudest band
STEPS, COLUMNS, BANDS, CONTEXT = 8, 16, 20, 4
FRAMES = replace(SPECTROGRAM, bands=BANDS)
PICTURE_STEPS = 4


def read(path: Path = FILE) -> dict[str, np.ndarray]:
    """The stored arrays.

    Raises:
        InputError: the file is missing, damaged, or another one.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in ("images", "image_labels", "clips", "clip_labels", "clip_voices")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not the embedded data set ({error}); reinstall snnfuse") from error


def load(data_dir: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """The data set: images (1, 8, 8), 8 time steps of audio with 80 features. `data_dir` is not used: the data is embedded.

    With audio "picture" the sound is (1, 8, 8) as well, on every step, of which there may be any number (4). `size` resizes both.
    """
    is_picture = settings.audio == "picture"
    only(settings, NAME, audio=("frames", "picture"), time=() if is_picture else (STEPS,), size=(), features=("log-mel",), encoder=())
    steps = settings.time or (PICTURE_STEPS if is_picture else STEPS)
    stored = read()
    images = stored["images"][:, None].astype(np.float32) / INK
    labels, digits = stored["image_labels"].astype(np.int64), stored["clip_labels"].astype(np.int64)
    clips = (1 - stored["clips"].astype(np.float32) / LEVELS) * np.float32(np.log(FLOOR))
    held = np.isin(stored["clip_voices"], TEST_VOICES)
    normalised = measure(clips[~held])(clips)
    if settings.size is not None:
        images = resize(images, settings.size)
    if is_picture:
        audio = resize(normalised.swapaxes(1, 2)[:, None], settings.size or IMAGE_SIZE)  # row 0 is the lowest band
    else:
        audio = with_context(normalised, STEPS, CONTEXT)
    train, test = slice(None, -TEST_IMAGES), slice(-TEST_IMAGES, None)
    sides = (
        {
            "image": Pool(images[seen], labels[seen], signal=IMAGE),
            "audio": Pool(audio[heard], digits[heard], timed=not is_picture, signal=SPECTROGRAM if is_picture else FRAMES),
        }
        for seen, heard in ((train, ~held), (test, held))
    )
    pairs = [make_pairs(pools, steps, settings.seed, settings.encoder) for pools in sides]
    return AudioVisual(
        name=NAME,
        classes=WORDS,
        train=pairs[0],
        test=pairs[1],
        source="Optical Recognition of Handwritten Digits (UCI, CC BY 4.0) with synthetic speech (eSpeak NG)",
        speech="synthetic",
        settings=settings,
    )
