"""cifar-esc: pictures and sounds of the same four things, both real: dog and dog bark, bird and rooster, ship and sea waves, airplane and
helicopter.

Pictures are CIFAR-10's with its own split; sounds ESC-10's, of which "fold-k" tests on fold k, so that no recording is on both sides.
Nobody recorded them together: pairs are drawn by class, anew for every epoch, and no sound tells which of the pictures goes with it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from snnfuse.data.folders import esc10
from snnfuse.data.folders.build import PICTURE_STEPS, Kind, sound_pool
from snnfuse.data.folders.decode import image_array
from snnfuse.data.folders.entries import IMAGES, Entry, listing
from snnfuse.data.pairs import AudioVisual, Pool, make_pairs
from snnfuse.data.settings import Settings
from snnfuse.data.signals import PHOTOGRAPH
from snnfuse.hardware.errors import InputError

PAIRS = {"dog": "Dog bark", "bird": "Rooster", "ship": "Sea waves", "airplane": "Helicopter"}  # of CIFAR-10 and of ESC-10
SIDES = ("train", "test")
ZIP = "images.zip"
KIND = Kind(
    name="cifar-esc",
    size=(32, 32),
    splits=esc10.FOLDS,
    source=f"CIFAR-10 (A. Krizhevsky, 2009) with {esc10.KIND.source}",
    page="https://www.cs.toronto.edu/~kriz/cifar.html and https://github.com/karolpiczak/ESC-10",
    tree=(
        f"DATA_DIR/cifar10/<train or test>/<class>/<name>.png (or .jpg), or the same in DATA_DIR/cifar10/{ZIP}, and "
        f"DATA_DIR/esc10/{esc10.ZIP}, or the folders of that file"
    ),
    sound=esc10.KIND.sound,
)


def load(data_dir: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """The data set: images (3, 32, 32); sound as statistics, (266,) on each of 10 steps, or as pictures (1, 32, 32) on each of 4."""
    KIND.check(settings)
    size, is_picture = settings.size or KIND.size, settings.audio == "picture"
    steps = settings.time or (PICTURE_STEPS if is_picture else KIND.sound.steps)
    sounds = _sounds(data_dir, settings, size, steps)
    images = _images(data_dir, size)
    sides = [make_pairs({"image": image, "audio": audio}, steps, settings.seed, settings.encoder) for image, audio in zip(images, sounds)]
    split = settings.split or KIND.splits[0]
    return AudioVisual(
        KIND.name, tuple(PAIRS), sides[0], sides[1], KIND.source, KIND.speech, replace(settings, split=split), ("audio",)
    )  # fmt: skip


def _sounds(data_dir: str | Path | None, settings: Settings, size: tuple[int, int], steps: int) -> tuple[Pool, Pool]:
    """Training and test sounds."""
    wanted = [esc10.CLASSES.index(sound) for sound in PAIRS.values()]
    samples = [sample for sample in esc10.clips_of(KIND, data_dir) if sample.label in wanted]
    folds, sources = esc10.folds_and_sources(samples)
    training = folds != esc10.fold_of(settings.split or KIND.splits[0])
    labels = np.array([wanted.index(sample.label) for sample in samples], np.int64)
    entries = [sample.file for sample in samples]
    pool = sound_pool(KIND, entries, labels, training, settings, size, steps, sources)
    return pool.part(training), pool.part(~training)


def _images(data_dir: str | Path | None, size: tuple[int, int]) -> tuple[Pool, Pool]:
    """Training and test images."""
    root = KIND.root(data_dir, "cifar10") / "cifar10"
    place = root / ZIP if (root / ZIP).exists() else root
    found: dict[tuple[str, ...], list[Entry]] = {(side, name): [] for side in SIDES for name in PAIRS}
    for name, entry in listing(place).items():
        place_in = tuple(name.split("/")[-3:-1])
        if place_in in found and entry.suffix in IMAGES:
            found[place_in].append(entry)
    for (side, name), entries in found.items():
        if not entries:
            raise InputError(f"{place}: {side}/{name} is missing or holds no image; {KIND.expected}")
    pools = []
    for side in SIDES:
        rows = [(entry, label) for label, name in enumerate(PAIRS) for entry in sorted(found[side, name], key=str)]
        items = image_array(KIND.name, [entry for entry, _ in rows], size)
        pools.append(Pool(items, np.array([label for _, label in rows], np.int64), scale=1 / 255, signal=PHOTOGRAPH))
    return pools[0], pools[1]
