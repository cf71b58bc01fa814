"""crema-d-published and urbansound8k-av-published: the same files as S-CMRL's own code reads and splits them, to compare with its figures.

What it does (github.com/Brain-Cog-Lab/S-CMRL, braincog/datasets/datasets.py), where the paper is silent:

    images, training   a random part of 8 to 100 % of the image, resized to 128 x 128, mirrored or not; three such copies of each image are
                       drawn once and kept, and every epoch takes one of them
    images, test       shorter side to 256 pixels, then the centre, 128 x 128: a quarter of a square image
    images             less ImageNet's mean, over its deviation, by channel
    sound              22.05 kHz, cut to [-1, 1], log(|STFT| + 1e-7) of 512 points, hop 353, resized to 128 x 128; as it is, and unchanged
    time               both the same on all steps
    split              of CREMA-D that of the folders, in which the actors of the test set are known from training. Of UrbanSound8K-AV
                       the first 70 % of each class in the order that the folder gives its files, ours by name: pieces of one recording
                       are on both sides, so that the figure says how well recordings are remembered. A warning says how many.

It also chooses the best epoch on the test set, which is not done here.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.encoders import Encoding
from snnfuse.data.folders import crema_d, urbansound8k_av
from snnfuse.data.folders.build import HIGHEST_HZ, PICTURE_STEPS, RATE, Kind, Sample
from snnfuse.data.folders.decode import centre_array, crop_array, sound_array
from snnfuse.data.pairs import AudioVisual, Ints, Pairs, Pool
from snnfuse.data.recipes import SoundRecipe
from snnfuse.data.settings import Settings, only
from snnfuse.hardware.errors import DataWarning

SIZE, SHORTER, COPIES = (128, 128), 256, 3
MEAN, DEVIATION = (np.array(numbers, np.float32)[:, None, None] for numbers in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
PORTION = 0.7
Read = tuple[tuple[str, ...], list[Sample], NDArray[np.bool_], Ints]  # classes, samples, which train, and what should have stayed together


@dataclass(frozen=True)
class Published:
    """A data set as published.

    Attributes:
        kind: whose files it reads.
        read: of their root, what they hold and how they are split.
        together: what the split divides, in words.
    """

    kind: Kind
    read: Callable[[str | Path | None], Read]
    together: str

    @property
    def name(self) -> str:
        """As `load` knows it."""
        return f"{self.kind.name}-published"

    def load(self, data_dir: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
        """Images (3, 128, 128) and sound (1, 128, 128), the same on each of 4 steps, unless the settings say another number."""
        only(settings, self.name, audio=("picture",), time=(), size=(SIZE,), features=("log-stft",), split=("published",))
        classes, samples, training, groups = self.read(data_dir)
        warn_of_leakage(self, training, groups)
        steps = settings.time or PICTURE_STEPS
        sides = [
            self.side([s for s, trains in zip(samples, training) if trains == side], settings.seed, steps, side) for side in (True, False)
        ]
        used = replace(settings, audio="picture", features="log-stft", split="published")
        return AudioVisual(self.name, classes, sides[0], sides[1], self.kind.source, self.kind.speech, used)

    def side(self, samples: Sequence[Sample], seed: int, steps: int, trains: bool) -> Pairs:
        """Images and sounds of the training side or of the test side."""
        seen, heard = ([entry for s in samples if (entry := getattr(s, name)) is not None] for name in ("image", "sound"))
        copies = COPIES if trains else 1
        pictures = crop_array(self.name, seen, SIZE, COPIES, seed) if trains else centre_array(self.name, seen, SHORTER, SIZE)
        labels = np.array([sample.label for sample in samples], np.int64)
        images = Pool(pictures, np.repeat(labels, copies), scale=1 / (255 * DEVIATION), offset=-MEAN / DEVIATION,
                      groups=np.repeat(np.arange(len(labels)), copies))  # fmt: skip
        recipe = SoundRecipe("picture", "log-stft", SIZE, False, RATE, HIGHEST_HZ)
        sounds = Pool(sound_array(self.name, heard, recipe), labels)
        index = np.stack([np.arange(len(labels)) * copies, np.arange(len(labels))], axis=1)
        chosen = {"image": COPIES} if trains else {}
        return Pairs({"image": images, "audio": sounds}, index, steps, is_fixed=True, encoding=Encoding("direct", seed), copies=chosen)


def warn_of_leakage(published: Published, training: NDArray[np.bool_], groups: Ints) -> None:
    """DataWarning with how many test samples are of what trains, too."""
    known = int(np.isin(groups[~training], groups[training]).sum())
    if known:
        said = f"{known} of {int((~training).sum())} test samples are of {published.together} that train too, as in the published split"
        warnings.warn(f"{published.name}: {said}; compare it with nothing but the published figures", DataWarning, stacklevel=4)


def read_crema_d(data_dir: str | Path | None) -> Read:
    """The folders' own split."""
    kind = crema_d.KIND
    root = kind.root(data_dir, crema_d.FOLDER) / crema_d.FOLDER
    kind.need(root, *(f"{side}/{modality}" for side in crema_d.SIDES for modality in crema_d.MODALITIES))
    samples, held = crema_d.read_sides(root)
    return crema_d.EMOTIONS, samples, ~held, np.array([crema_d.actor_of(sample) for sample in samples], np.int64)


def read_urbansound8k_av(data_dir: str | Path | None) -> Read:
    """The first 70 % of each class by name."""
    kind = urbansound8k_av.KIND
    root = kind.root(data_dir, urbansound8k_av.VISION, urbansound8k_av.SOUND)
    kind.need(root, urbansound8k_av.VISION, urbansound8k_av.SOUND)
    classes, samples = urbansound8k_av.paired_classes(root / urbansound8k_av.VISION, root / urbansound8k_av.SOUND)
    labels = np.array([sample.label for sample in samples])
    training = np.zeros(len(samples), bool)
    for label in range(len(classes)):
        members = np.flatnonzero(labels == label)
        training[members[: round(len(members) * PORTION)]] = True
    return classes, samples, training, np.array([urbansound8k_av.source_of(sample) for sample in samples], np.int64)


SETS = (Published(crema_d.KIND, read_crema_d, "actors"), Published(urbansound8k_av.KIND, read_urbansound8k_av, "recordings"))
