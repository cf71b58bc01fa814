"""mnist-fsdd: handwritten digits (MNIST) with recorded spoken digits (Free Spoken Digit Dataset), both real.

The official test recordings of FSDD (take 0..4 of each speaker and digit) with the last 2,000 images of MNIST's test file form
the test set; the other 8,000 images and all other recordings train. Images and recordings are paired by class with a fixed seed.
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
from snnfuse.data.pairs import AudioVisual, Pool, make_pairs
from snnfuse.data.pictures import resize, to_unit
from snnfuse.data.readers import PLACES, data_folder, read_idx, read_wavs
from snnfuse.data.recipes import SoundRecipe
from snnfuse.data.settings import Settings, only
from snnfuse.hardware.errors import InputError

NAME = "mnist-fsdd"
IMAGES, LABELS, RECORDINGS = "mnist/t10k-images-idx3-ubyte.gz", "mnist/t10k-labels-idx1-ubyte.gz", "fsdd/recordings.zip"
PAGES = "https://yann.lecun.com/exdb/mnist and https://github.com/Jakobovski/free-spoken-digit-dataset"
TREE = (
    f"expected DATA_DIR/{IMAGES}, DATA_DIR/{LABELS} and DATA_DIR/{RECORDINGS} (<digit>_<speaker>_<take>.wav), "
    f"where {PLACES}; their pages are {PAGES}"
)
RECORDING = re.compile(r"(\d)_([a-z]+)_(\d+)")
TEST_IMAGES = 2000  # the last ones
TEST_TAKES = 5  # FSDD's official split: takes 0..4
STEPS, BANDS, CONTEXT = 12, 24, 6
FRAMES_PER_STEP = 2
PICTURE_STEPS, SIZE = 4, (28, 28)
AS_FRAMES = SoundRecipe("frames", "log-mel", (STEPS * FRAMES_PER_STEP, BANDS), trims=True, rate=None, highest=HIGHEST_HZ)


def data_dir(given: str | Path | None = None) -> Path:
    """The folder that holds the data: the argument, else $SNNFUSE_DATA, else ../shared/data.

    Raises:
        InputError: it, or one of the files in it, is missing; the message shows the tree that is expected.
    """
    folder = data_folder(given)
    for name in (IMAGES, LABELS, RECORDINGS):
        if not (folder / name).is_file():
            raise InputError(f"{NAME}: {folder / name} is missing; {TREE}")
    return folder


def load(given: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """The data set: images (1, height, width) and sound, in one of three forms.

    With audio "frames", the default: (144,) features on each of 12 steps, or as many as `settings.time` says, over which a recording
    is stretched. With "picture": (1, height, width), the same on each of 4 steps, row 0 the lowest frequency. `size` is (28, 28).
    With "events" both are synthetic events of the images and recordings, on 16 steps (`snnfuse.data.events.synthetic`).
    """
    if settings.audio == "events":
        return _as_events(data_dir(given), settings)
    is_picture = settings.audio == "picture"
    only(
        settings, NAME, audio=("frames", "picture", "events"), time=(), size=(), encoder=(), snr_db=(),
        features=("log-mel", *(["log-stft"] if is_picture else [])),
    )  # fmt: skip
    folder, steps = data_dir(given), settings.time or (PICTURE_STEPS if is_picture else STEPS)
    images, labels = read_images(folder, settings.size or SIZE)
    recipe = sound_recipe(settings, steps)
    clean, digits, takes = read_clips(folder / RECORDINGS, recipe=recipe)
    held = takes < TEST_TAKES
    clips = clean if settings.snr_db is None else read_clips(folder / RECORDINGS, settings.snr_db, settings.seed, recipe)[0]
    audio = recipe.constants(clean, ~held)(clips)
    audio = audio if is_picture else with_context(audio, steps, CONTEXT)
    return _dataset(Pool(images, labels), Pool(audio, digits, timed=not is_picture), held, steps, settings)


def _as_events(folder: Path, settings: Settings) -> AudioVisual:
    """16 steps, or as many as `settings.time` says, of images (2, 28, 28) and sounds (1, 28, 28): `snnfuse.data.events.synthetic`."""
    steps, size = synthetic.shape_of(NAME, settings)
    pictures, labels = _read_pictures(folder)
    images = synthetic.picture_counts(folder / IMAGES, lambda: pictures, steps, size)
    names = [(int(match[1]), int(match[3])) for match, *_ in _read_waves(folder / RECORDINGS)]
    digits, takes = np.array(names, np.int64).T
    audio = synthetic.sound_counts(
        folder / RECORDINGS,
        lambda: ((match[0], rate, wave) for match, rate, wave in _read_waves(folder / RECORDINGS, settings.snr_db, settings.seed)),
        steps,
        size,
        settings,
    )
    whole = _dataset(Pool(images, labels, timed=True), Pool(audio, digits, timed=True), takes < TEST_TAKES, steps, settings)
    return replace(whole, source=f"{whole.source}; {synthetic.SOURCE}")


def _dataset(images: Pool, audio: Pool, held: NDArray[np.bool_], steps: int, settings: Settings) -> AudioVisual:
    """`held` says which recordings are in the test set."""
    late = np.arange(len(images)) >= len(images) - TEST_IMAGES
    sides = ({"image": images.part(late == test), "audio": audio.part(held == test)} for test in (False, True))
    pairs = [make_pairs(pools, steps, settings.seed, settings.encoder) for pools in sides]
    return AudioVisual(
        name=NAME,
        classes=tuple("0123456789"),
        train=pairs[0],
        test=pairs[1],
        source="MNIST (public) and Free Spoken Digit Dataset (CC BY-SA 4.0)",
        speech="recorded",
        settings=settings,
        recordings=("audio",),
    )


def sound_recipe(settings: Settings, steps: int) -> SoundRecipe:
    """Return the recipe from a recording to features that the settings ask for."""
    if settings.audio != "picture":
        return replace(AS_FRAMES, shape=(steps * FRAMES_PER_STEP, BANDS))
    return replace(AS_FRAMES, form="picture", features=settings.features or "log-mel", shape=settings.size or SIZE)


def read_images(folder: Path, size: tuple[int, int] = SIZE) -> tuple[Floats, NDArray[np.int64]]:
    """Images float32 (images, 1, *size) in [0, 1], resized where size is not (28, 28), and labels int64 (images,)."""
    images, labels = _read_pictures(folder)
    values = images[:, None].astype(np.float32) / 255
    return values if images.shape[1:] == size else resize(values, size), labels


def _read_pictures(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """As they are stored, (images, 28, 28), and labels."""
    images, labels = read_idx(folder / IMAGES), read_idx(folder / LABELS)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise InputError(f"{folder / IMAGES}: images {images.shape} do not go with labels {labels.shape} of {folder / LABELS}")
    return images, labels.astype(np.int64)


def _read_waves(path: Path, snr_db: float | None = None, seed: int = 0) -> Iterator[tuple[re.Match, int, NDArray]]:
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
        path: the zip file of recordings.
        snr_db: of white noise on each waveform; None for the recordings as they are.
        seed: of that noise, of which every recording has its own.
        recipe: from a waveform to an array.
    """
    stat = path.stat()
    return _read_clips(path.resolve(), (stat.st_mtime_ns, stat.st_size), snr_db, seed, recipe)


@lru_cache(maxsize=8)  # 7 to 9 MB each as set; one file is read with several levels of noise, by training and by tests of noise
def _read_clips(
    path: Path, version: tuple[int, int], snr_db: float | None, seed: int, recipe: SoundRecipe
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """`version` changes with the file, so that what is kept is never an older one's."""
    clips, digits, takes = [], [], []
    for match, rate, heard in _read_waves(path, snr_db, seed):
        clips.append(recipe(heard, rate))
        digits.append(int(match[1]))
        takes.append(int(match[3]))
    arrays = np.stack(clips), np.array(digits, np.int64), np.array(takes, np.int64)
    for array in arrays:
        array.flags.writeable = False
    return arrays
