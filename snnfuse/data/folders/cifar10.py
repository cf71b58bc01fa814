"""cifar10: images alone, from folders, from a zip file of them, or from the binary version of the original release.

The "python version" of the original release is a set of pickles, of which none is opened.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.encoders import Encoding
from snnfuse.data.folders.build import PICTURE_STEPS, Kind, Sample, build
from snnfuse.data.folders.entries import IMAGES, Files, class_folders, files_of, zip_classes
from snnfuse.data.pairs import AudioVisual, Pairs, Pool
from snnfuse.data.settings import Settings
from snnfuse.data.signals import PHOTOGRAPH
from snnfuse.hardware.errors import InputError, UnsafeFileError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDES = ("train", "test")
ZIP = "images.zip"
BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_BATCH = "test_batch.bin"
BINARY, PICKLES = "cifar-10-batches-bin", "cifar-10-batches-py"
SIZE = (32, 32)
ROW = 1 + 3 * 32 * 32  # label, then red, green and blue, each row by row
KIND = Kind(
    name="cifar10",
    size=SIZE,
    splits=("official",),
    source="CIFAR-10 (A. Krizhevsky, 2009)",
    page="https://www.cs.toronto.edu/~kriz/cifar.html",
    tree=(
        f"DATA_DIR/<train or test>/<class>/<name>.png (or .jpg), or the same in DATA_DIR/{ZIP}, or DATA_DIR/{BINARY}/{BATCHES[0]} ... "
        f"{TEST_BATCH} of the binary version"
    ),
)


def load(data_dir: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """The data set: images (3, 32, 32), the same on each of 4 steps; no sound."""
    KIND.check(settings, has_sound=False)
    root = KIND.root(data_dir, "train", ZIP, BATCHES[0], BINARY, PICKLES, "data_batch_1")
    for folder in (root, root / BINARY):
        if (folder / BATCHES[0]).exists():
            return from_binary(folder, settings)
    if (root / "train").exists():
        KIND.need(root, *SIDES)
        return from_files({side: {name: files_of(root / side / name, IMAGES) for name in class_folders(root / side)} for side in SIDES},
                          root, settings)  # fmt: skip
    if (root / ZIP).exists():
        return from_files(zip_classes(root / ZIP, IMAGES), root / ZIP, settings)
    raise UnsafeFileError(
        f"{root}: the python version of CIFAR-10 is pickles, and opening one would execute code from it; take the binary version, "
        f"from {KIND.page}, into {root / BINARY}"
    )


def from_files(sides: dict[str, dict[str, Files]], place: Path, settings: Settings) -> AudioVisual:
    """Return the data set read from image files, by side and class.

    Raises:
        InputError: the sides are not train and test, or a class is missing from one.
    """
    if set(sides) != set(SIDES):
        raise InputError(f"{place}: holds {', '.join(sorted(sides))} instead of {' and '.join(SIDES)}; {KIND.expected}")
    classes = tuple(sorted(sides["train"]))
    for lost in sorted(set(classes) ^ set(sides["test"])):
        raise InputError(f"{place}: class {lost} is missing from {'test' if lost in classes else 'train'}")
    samples = [[Sample(label, e, None) for label, c in enumerate(classes) for e in sides[side][c].values()] for side in SIDES]
    training = np.repeat([True, False], [len(side) for side in samples])
    return build(KIND, classes, samples[0] + samples[1], training, settings)


def from_binary(folder: Path, settings: Settings) -> AudioVisual:
    """Return the data set read from the binary version, the classes in its order.

    Raises:
        InputError: a file is missing or damaged, or another size is asked for.
    """
    if settings.size not in (None, SIZE):
        raise InputError(f"{KIND.name}: the binary version is read at {SIZE}, not {settings.size}; image files are resized")
    batches = [np.concatenate([read_batch(folder / name) for name in names]) for names in (BATCHES, (TEST_BATCH,))]
    steps, encoding = settings.time or PICTURE_STEPS, Encoding(settings.encoder or "direct", settings.seed)

    def pairs(rows: NDArray[np.uint8]) -> Pairs:
        pool = Pool(rows[:, 1:].reshape(-1, 3, 32, 32).copy(), rows[:, 0].astype(np.int64), scale=1 / 255, signal=PHOTOGRAPH)
        return Pairs({"image": pool}, np.arange(len(rows))[:, None], steps, is_fixed=True, encoding=encoding)

    return AudioVisual(KIND.name, CLASSES, pairs(batches[0]), pairs(batches[1]), KIND.source, KIND.speech, settings)


def read_batch(path: Path) -> NDArray[np.uint8]:
    """Return the rows of a batch file, uint8 (images, 3073): label, red, green, blue.

    Raises:
        InputError: the file is missing, cut short, or holds a label beyond 9.
    """
    try:
        raw = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {KIND.expected}") from error
    if not raw.size or raw.size % ROW:
        raise InputError(f"{path}: {raw.size} bytes are no whole number of images of {ROW} bytes; fetch it again")
    rows = raw.reshape(-1, ROW)
    if rows[:, 0].max() >= len(CLASSES):
        raise InputError(f"{path}: holds the label {rows[:, 0].max()}, beyond {len(CLASSES) - 1}; fetch it again")
    return rows
