"""FSDD, the Free Spoken Digit Dataset: recordings of single digits, and the official split of them, for every data set that speaks.

    DATA_DIR/fsdd/recordings.zip, or the folder DATA_DIR/fsdd/recordings, with <digit>_<speaker>_<take>.wav

Takes 0..4 of each speaker and digit are the official test set.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.corruptions import noisy_wave
from snnfuse.data.events import synthetic
from snnfuse.data.features import HIGHEST_HZ, Floats, with_context
from snnfuse.data.pairs import Pool
from snnfuse.data.pictures import to_unit
from snnfuse.data.readers import read_wavs, wav_files
from snnfuse.data.recipes import SoundRecipe
from snnfuse.data.settings import Settings
from snnfuse.data.signals import EVENTS, SPECTROGRAM
from snnfuse.hardware.errors import InputError

RECORDINGS = "fsdd/recordings.zip"
PAGE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
LICENCE = "Free Spoken Digit Dataset (CC BY-SA 4.0)"
RECORDING = re.compile(r"(\d)_([a-z]+)_(\d+)")
TEST_TAKES = 5  # the official split: takes 0..4
STEPS, BANDS, CONTEXT = 12, 24, 6
FRAMES_PER_STEP = 2
PICTURE_STEPS, SIZE = 4, (28, 28)
AS_FRAMES = SoundRecipe("frames", "log-mel", (STEPS * FRAMES_PER_STEP, BANDS), trims=True, rate=None, highest=HIGHEST_HZ)


def find_recordings(folder: Path) -> Path:
    """The zip file of recordings, or else the folder that was made of it; the zip file's path where there is neither."""
    unpacked = (folder / RECORDINGS).with_suffix("")
    return unpacked if unpacked.is_dir() and not (folder / RECORDINGS).exists() else folder / RECORDINGS


def sound_pools(path: Path, settings: Settings, steps: int) -> tuple[Pool, Pool]:
    """Training and test recordings as the settings ask for, normalised with the clean training recordings.

    Frames are (144,) on each of `steps`; a picture is (1, height, width), the same on every step, row 0 the lowest frequency.

    path: as of `find_recordings`.

    Raises:
        InputError: a recording is damaged or not named <digit>_<speaker>_<take>.wav.
    """
    recipe = sound_recipe(settings, steps)
    clean, digits, takes = read_clips(path, recipe=recipe)
    held = takes < TEST_TAKES
    clips = clean if settings.snr_db is None else read_clips(path, settings.snr_db, settings.seed, recipe)[0]
    audio = recipe.constants(clean, ~held)(clips)
    is_picture = settings.audio == "picture"
    signal = SPECTROGRAM if is_picture else replace(SPECTROGRAM, bands=BANDS)
    pool = Pool(audio if is_picture else with_context(audio, steps, CONTEXT), digits, timed=not is_picture, signal=signal)
    return pool.part(~held), pool.part(held)


def event_pools(path: Path, settings: Settings, steps: int, size: tuple[int, int]) -> tuple[Pool, Pool]:
    """Training and test recordings as synthetic events, counts (1, *size) on each of `steps`; errors as of `sound_pools`."""
    names = [(int(match[1]), int(match[3])) for match, *_ in read_waves(path)]
    digits, takes = np.array(names, np.int64).T

    def read() -> synthetic.Recordings:
        return ((match[0], rate, wave) for match, rate, wave in read_waves(path, settings.snr_db, settings.seed))

    pool = Pool(synthetic.sound_counts(path, wav_files(path), read, steps, size, settings), digits, timed=True, signal=EVENTS)
    held = takes < TEST_TAKES
    return pool.part(~held), pool.part(held)


def sound_recipe(settings: Settings, steps: int) -> SoundRecipe:
    """Return the recipe from a recording to features that the settings ask for."""
    if settings.audio != "picture":
        return replace(AS_FRAMES, shape=(steps * FRAMES_PER_STEP, BANDS))
    return replace(AS_FRAMES, form="picture", features=settings.features or "log-mel", shape=settings.size or SIZE)


def read_waves(path: Path, snr_db: float | None = None, seed: int = 0) -> Iterator[tuple[re.Match, int, NDArray]]:
    """Of each recording the match of its name, samples per second, and the waveform in units of full scale, with noise of its own where
    that is asked for."""
    number = -1
    for number, (name, rate, wave) in enumerate(read_wavs(path)):
        match = RECORDING.fullmatch(name)
        if match is None:
            raise InputError(f"{path}: {name}.wav is not named <digit>_<speaker>_<take>.wav")
        heard = to_unit(wave)  # before noise, which makes floats of it: those are taken to be in units of full scale
        yield match, rate, heard if snr_db is None else noisy_wave(heard, snr_db, np.random.default_rng([seed, number]))
    if number < 0:
        raise InputError(f"{path}: holds no .wav file")


def read_clips(
    path: Path, snr_db: float | None = None, seed: int = 0, recipe: SoundRecipe = AS_FRAMES
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Return features float32 (recordings, ...), digits and take numbers int64 (recordings,); all read-only, for they are cached.

    Args:
        path: as of `find_recordings`.
        snr_db: of white noise on each waveform; None for the recordings as they are.
        seed: of that noise, of which every recording has its own.
        recipe: from a waveform to an array.
    """
    stats = [file.stat() for file in wav_files(path)]
    return _read_clips(path.resolve(), tuple((stat.st_mtime_ns, stat.st_size) for stat in stats), snr_db, seed, recipe)


@lru_cache(maxsize=8)  # 7 to 9 MB each as set; one file is read with several levels of noise, by training and by tests of noise
def _read_clips(
    path: Path, version: tuple[tuple[int, int], ...], snr_db: float | None, seed: int, recipe: SoundRecipe
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """`version` changes with the file, so that what is kept is never an older one's."""
    clips, digits, takes = [], [], []
    for match, rate, heard in read_waves(path, snr_db, seed):
        clips.append(recipe(heard, rate))
        digits.append(int(match[1]))
        takes.append(int(match[3]))
    arrays = np.stack(clips), np.array(digits, np.int64), np.array(takes, np.int64)
    for array in arrays:
        array.flags.writeable = False
    return arrays
