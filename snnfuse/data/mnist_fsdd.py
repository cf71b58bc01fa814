"""mnist-fsdd: handwritten digits (MNIST) with recorded spoken digits (Free Spoken Digit Dataset), both real.

The official test recordings of FSDD (take 0..4 of each speaker and digit) with the last 2,000 images of MNIST's test file form
the test set; the other 8,000 images and all other recordings train. Images and recordings are paired by class with a fixed seed.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfuse.data import fsdd
from snnfuse.data.events import synthetic
from snnfuse.data.features import Floats
from snnfuse.data.fsdd import PICTURE_STEPS, RECORDINGS, SIZE, STEPS
from snnfuse.data.pairs import AudioVisual, Pool, make_pairs
from snnfuse.data.pictures import resize
from snnfuse.data.readers import PLACES, data_folder, read_idx
from snnfuse.data.settings import Settings, only
from snnfuse.data.signals import EVENTS, IMAGE
from snnfuse.hardware.errors import InputError

NAME = "mnist-fsdd"
IMAGES, LABELS = "mnist/t10k-images-idx3-ubyte.gz", "mnist/t10k-labels-idx1-ubyte.gz"
PAGES = f"https://yann.lecun.com/exdb/mnist and {fsdd.PAGE}"
TREE = (
    f"expected DATA_DIR/{IMAGES}, DATA_DIR/{LABELS} and DATA_DIR/{RECORDINGS} (<digit>_<speaker>_<take>.wav), "
    f"where {PLACES}; their pages are {PAGES}"
)
TEST_IMAGES = 2000  # the last ones


def data_dir(given: str | Path | None = None) -> Path:
    """The folder that holds the data: the argument, else $SNNFUSE_DATA, else ../shared/data.

    Raises:
        InputError: it, or one of the files in it, is missing; the message shows the tree that is expected.
    """
    folder = data_folder(given)
    for path in (folder / IMAGES, folder / LABELS, fsdd.find_recordings(folder)):
        if not path.exists():
            raise InputError(f"{NAME}: {path} is missing; {TREE}")
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
    return _dataset(Pool(images, labels, signal=IMAGE), fsdd.sound_pools(fsdd.find_recordings(folder), settings, steps), steps, settings)


def _as_events(folder: Path, settings: Settings) -> AudioVisual:
    """16 steps, or as many as `settings.time` says, of images (2, 28, 28) and sounds (1, 28, 28): `snnfuse.data.events.synthetic`."""
    steps, size = synthetic.shape_of(NAME, settings)
    pictures, labels = _read_pictures(folder)
    images = synthetic.picture_counts(folder / IMAGES, lambda: pictures, steps, size)
    sounds = fsdd.event_pools(fsdd.find_recordings(folder), settings, steps, size)
    whole = _dataset(Pool(images, labels, timed=True, signal=EVENTS), sounds, steps, settings)
    return replace(whole, source=f"{whole.source}; {synthetic.SOURCE}")


def _dataset(images: Pool, sounds: tuple[Pool, Pool], steps: int, settings: Settings) -> AudioVisual:
    """sounds: training recordings and test recordings."""
    late = np.arange(len(images)) >= len(images) - TEST_IMAGES
    sides = ({"image": images.part(late == test), "audio": sounds[test]} for test in (False, True))
    pairs = [make_pairs(pools, steps, settings.seed, settings.encoder) for pools in sides]
    return AudioVisual(
        name=NAME,
        classes=tuple("0123456789"),
        train=pairs[0],
        test=pairs[1],
        source=f"MNIST (public) and {fsdd.LICENCE}",
        speech="recorded",
        settings=settings,
        recordings=("audio",),
    )


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
