"""esc10: 400 environmental sounds of five seconds, ten classes of forty (K. J. Piczak, 2015), sound alone.

A file is named <fold>-<source>-<take>.ogg. The five official folds keep the takes of one source together; "fold-k" tests on fold k and
trains on the others.
"""

import re
from pathlib import Path

import numpy as np

from snnfuse.data.folders.build import ENVIRONMENTAL, Kind, Sample, build
from snnfuse.data.folders.entries import SOUNDS, Entry, listing
from snnfuse.data.folders.splits import check_folds
from snnfuse.data.pairs import AudioVisual, Ints
from snnfuse.data.settings import Settings
from snnfuse.hardware.errors import InputError

ZIP = "esc10.zip"
CLASSES = (
    "Dog bark", "Rain", "Sea waves", "Baby cry", "Clock tick", "Person sneeze", "Helicopter", "Chainsaw", "Rooster", "Fire crackling"
)  # fmt: skip
FOLDERS = tuple(f"{number:03} - {name}" for number, name in enumerate(CLASSES, 1))
FOLDS = tuple(f"fold-{number}" for number in range(1, 6))
NAME = re.compile(r"([1-5])-(\d+)-([A-Z])")
KIND = Kind(
    name="esc10",
    size=(32, 64),
    splits=FOLDS,
    source="ESC-10 (K. J. Piczak, 2015, CC BY 3.0, clips by their authors on freesound.org)",
    page="https://github.com/karolpiczak/ESC-10",
    tree=f"DATA_DIR/{ZIP}, or the folders DATA_DIR/{FOLDERS[0]} to DATA_DIR/{FOLDERS[-1]}, with <fold>-<source>-<take>.ogg",
    sound=ENVIRONMENTAL,
)


def load(data_dir: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """The data set: sound as statistics, (266,) on each of 10 steps, or as pictures (1, 32, 64) on each of 4; no image."""
    KIND.check(settings)
    samples = clips_of(KIND, data_dir)
    folds, sources = folds_and_sources(samples)
    training = folds != fold_of(settings.split or KIND.splits[0])
    return build(KIND, CLASSES, samples, training, settings, groups=sources)


def clips_of(kind: Kind, data_dir: str | Path | None) -> list[Sample]:
    """All clips, sorted by class and name, with their classes' place in `CLASSES`.

    Args:
        kind: of the data set that asks, for messages.
        data_dir: as of `load`.

    Raises:
        InputError: there are none, a class is missing, or a file is of another kind or not named as released.
    """
    root = kind.root(data_dir, ZIP, f"esc10/{ZIP}", FOLDERS[0], f"esc10/{FOLDERS[0]}")
    root = root / "esc10" if (root / "esc10").is_dir() else root
    place = root / ZIP if (root / ZIP).exists() else root
    found: dict[str, list[Entry]] = {folder: [] for folder in FOLDERS}
    for name, entry in listing(place).items():
        folder = name.split("/")[-2] if "/" in name else ""
        if folder in found and entry.suffix in SOUNDS:
            found[folder].append(entry)
    for folder, entries in found.items():
        if not entries:
            raise InputError(f"{place}: {folder} is missing or holds no sound; {kind.expected}")
    return [Sample(label, None, entry) for label, entries in enumerate(found.values()) for entry in sorted(entries, key=str)]


def folds_and_sources(samples: list[Sample]) -> tuple[Ints, Ints]:
    """The fold, 1 to 5, and the source recording of every clip; InputError for one that is not named so, or a source in two folds."""
    matches = [(NAME.fullmatch(sample.stem), sample) for sample in samples]
    for match, sample in matches:
        if match is None:
            raise InputError(f"{sample.sound}: not named <fold>-<source>-<take> with a fold of 1 to 5; name it as released")
    folds, sources = np.array([(int(match[1]), int(match[2])) for match, _ in matches if match], np.int64).T
    check_folds(KIND.name, folds, sources)
    return folds, sources


def fold_of(split: str) -> int:
    """ "fold-3" is 3."""
    return int(split.removeprefix("fold-"))
