"""crema-d: 7,442 clips of 91 actors who say twelve sentences in six emotions (H. Cao et al., 2014): one frame and the sound of each.

The folders are those of S-CMRL; `python -m snnfuse.data.make_crema_d` makes them from the original release. Split "published" is that
of the folders, in which an actor is on both sides. Split "speakers" pools both and sets whole actors aside, about a tenth of the clips
as in the published one: no voice and no face is on both sides.
"""

import re
from pathlib import Path

import numpy as np

from snnfuse.data.folders.build import Kind, Sample, build, paired_classes
from snnfuse.data.folders.splits import by_group
from snnfuse.data.pairs import AudioVisual
from snnfuse.data.settings import Settings
from snnfuse.hardware.errors import InputError

EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
FOLDER = "processed_dataset"
SIDES, MODALITIES = ("train", "test"), ("visual", "audio")
KIND = Kind(
    name="crema-d",
    size=(128, 128),
    splits=("published", "speakers"),
    source="CREMA-D (H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova, R. Verma, Open Database License)",
    page="https://github.com/CheyneyComputerScience/CREMA-D",
    tree=(
        f"DATA_DIR/{FOLDER}/<train or test>/<visual or audio>/<{' or '.join(EMOTIONS)}>/<id>.<jpg or wav>, which "
        "`python -m snnfuse.data.make_crema_d ORIGINAL DATA_DIR` makes from the original release"
    ),
    speech="recorded",
)
NAME = re.compile(r"(\d{4})_[A-Z]{3}_([A-Z]{3})_[A-Z]{2}")
TRAINING = 0.9


def load(data_dir: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """The data set: images (3, 128, 128); sound as frames, (240,) on each of 12 steps, or as pictures (1, 128, 128) on each of 4."""
    KIND.check(settings)
    root = KIND.root(data_dir, FOLDER) / FOLDER
    KIND.need(root, *(f"{side}/{modality}" for side in SIDES for modality in MODALITIES))
    samples, held = read_sides(root)
    if settings.split != "speakers":
        return build(KIND, EMOTIONS, samples, ~held, settings)
    actors = np.array([actor_of(sample) for sample in samples], np.int64)
    training = by_group(np.zeros(len(samples), np.int64), actors, TRAINING)
    return build(KIND, EMOTIONS, samples, training, settings, groups=actors)


def read_sides(root: Path) -> tuple[list[Sample], np.ndarray]:
    """All samples, and which of them the folders test on.

    Raises:
        InputError: the folders are not the six emotions, files do not pair, or a clip is on both sides.
    """
    samples: list[Sample] = []
    counts = []
    for side in SIDES:
        classes, found = paired_classes(*(root / side / modality for modality in MODALITIES))
        if classes != EMOTIONS:
            raise InputError(f"{root / side}: holds the classes {', '.join(classes)}; {KIND.expected}")
        samples += found
        counts.append(len(found))
    first = {sample.stem: sample for sample in samples[: counts[0]]}
    for sample in samples[counts[0] :]:
        if sample.stem in first:
            raise InputError(f"{sample.file}: the same clip trains, {first[sample.stem].file}")
    return samples, np.repeat([False, True], counts)


def actor_of(sample: Sample) -> int:
    """The actor, the first four digits; InputError for a file that is not named so."""
    match = NAME.fullmatch(sample.stem)
    if match is None:
        raise InputError(f"{sample.file}: not named <actor>_<sentence>_<emotion>_<level>, so its actor is unknown; rename it")
    return int(match[1])
