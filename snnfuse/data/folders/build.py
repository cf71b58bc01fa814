"""From samples, an image and a recording of one name each, to a data set."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.encoders import Encoding
from snnfuse.data.features import FLOOR, with_context
from snnfuse.data.folders.decode import image_array, sound_array
from snnfuse.data.folders.entries import IMAGES, SOUNDS, Entry, Files, class_folders, files_of
from snnfuse.data.pairs import AudioVisual, Ints, Pairs, Pool
from snnfuse.data.pictures import INT16_SCALE, to_int16
from snnfuse.data.readers import PLACES, data_folder
from snnfuse.data.recipes import SoundRecipe
from snnfuse.data.settings import Settings, only
from snnfuse.data.signals import PHOTOGRAPH, SPECTROGRAM, Signal
from snnfuse.hardware.errors import DataWarning, InputError

STEPS, PICTURE_STEPS = 12, 4
FRAMES_PER_STEP, BANDS, CONTEXT = 2, 40, 6
RATE, HIGHEST_HZ = 22_050, 11_025.0
SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Sample:
    """An image and its recording, None where the data set has no images or no sound, and their class."""

    label: int
    image: Entry | None
    sound: Entry | None

    @property
    def stem(self) -> str:
        """The name that its files share."""
        return self.file.stem

    @property
    def file(self) -> Entry:
        """The image, or else the recording."""
        return self.image or cast(Entry, self.sound)  # there is one of them


@dataclass(frozen=True)
class SoundLayout:
    """How recordings become frames: `steps` of `per_step` frames each, of `bands` bands, each step seeing the last `context` frames; of
    "mel-texture" the whole of a step, of "mel-statistics" the whole recording."""

    steps: int = STEPS
    per_step: int = FRAMES_PER_STEP
    bands: int = BANDS
    context: int = CONTEXT
    floor: float = FLOOR
    features: str = "log-mel"


ENVIRONMENTAL = SoundLayout(steps=10, per_step=5, bands=64, context=5, floor=1e-6, features="mel-statistics")


@dataclass(frozen=True)
class Kind:
    """What a data set is, besides its files.

    Attributes:
        name: as `load` knows it.
        size: (height, width) that images, and sound as a picture, have unless the settings say another.
        splits: names of the splits that it offers, the default first.
        source: one line with the licences.
        page: where it can be had.
        tree: the folders that are expected.
        speech: "recorded" or "none".
        sound: how recordings become frames.
    """

    name: str
    size: tuple[int, int]
    splits: tuple[str, ...]
    source: str
    page: str
    tree: str
    speech: str = "none"
    sound: SoundLayout = SoundLayout()

    def root(self, given: str | Path | None, *markers: str) -> Path:
        """The folder in which a marker lies: DATA_DIR, or DATA_DIR/<name>.

        Raises:
            InputError: it holds none of the markers; the message has the page and the tree.
        """
        folder = data_folder(given)
        places = (folder, folder / self.name)
        for place in places:
            if any((place / marker).exists() for marker in markers):
                return place
        raise InputError(f"{self.name}: {folder} holds no {' and no '.join(markers)}; {self.expected}")

    def need(self, root: Path, *names: str) -> None:
        """InputError, with the page and the tree, where one of several folders is missing."""
        for name in names:
            if not (root / name).is_dir():
                raise InputError(f"{self.name}: the folder {root / name} is missing; {self.expected}")

    @property
    def expected(self) -> str:
        """The tree and the page, for a message."""
        return f"expected {self.tree}, where {PLACES}; the data set's page is {self.page}"

    def check(self, settings: Settings, *, has_sound: bool = True) -> None:
        """InputError for a setting that it does not offer."""
        common: dict[str, tuple] = {"time": (), "size": (), "encoder": (), "split": self.splits}
        if not has_sound:
            return only(settings, self.name, **common)
        return only(settings, self.name, audio=("frames", "picture"), features=sound_features(settings), snr_db=(), **common)


def sound_features(settings: Settings) -> tuple[str, ...]:
    """What recordings in folders can be read as, in the form that the settings name."""
    return ("log-mel", "log-stft") if settings.audio == "picture" else ("log-mel", "mel-texture", "mel-statistics")


def paired_classes(images: Path, sounds: Path) -> tuple[tuple[str, ...], list[Sample]]:
    """Class names, sorted, and the samples of <images>/<class> and <sounds>/<class>, sorted by class and name.

    Raises:
        InputError: a class folder is missing from one of them, or a file has none of its name in the other; names them.
    """
    seen, heard = class_folders(images), class_folders(sounds)
    for has, lacks, names in ((images, sounds, {*seen} - {*heard}), (sounds, images, {*heard} - {*seen})):
        if names:
            raise InputError(f"{lacks / min(names)}: this class folder is missing, while {has / min(names)} exists")
    samples = []
    for label, name in enumerate(seen):
        samples += pair(label, files_of(images / name, IMAGES), files_of(sounds / name, SOUNDS), images / name, sounds / name)
    return tuple(seen), samples


def pair(label: int, images: Files, sounds: Files, image_folder: Path, sound_folder: Path) -> list[Sample]:
    """Samples of one class, sorted by name; InputError for files without a partner."""
    for alone, has, lacks in ((images.keys() - sounds.keys(), image_folder, sound_folder),
                              (sounds.keys() - images.keys(), sound_folder, image_folder)):  # fmt: skip
        if alone:
            names = ", ".join(sorted(alone)[:SHOWN]) + (", ..." if len(alone) > SHOWN else "")
            raise InputError(f"{has}: {len(alone)} files have none of their name in {lacks}: {names}; add or remove")
    return [Sample(label, images[stem], sounds[stem]) for stem in images]


def build(
    kind: Kind,
    classes: Sequence[str],
    samples: Sequence[Sample],
    training: NDArray[np.bool_],
    settings: Settings,
    groups: Ints | None = None,
) -> AudioVisual:
    """Decode the samples and make both sides of the split.

    Args:
        kind: what the data set is.
        classes: what label 0, 1, ... means.
        samples: in a fixed order.
        training: (samples,), which of them train.
        settings: checked by `Kind.check`.
        groups: int64 (samples,), what must stay together when more is held out; None: every sample for itself.

    Raises:
        InputError: one side of the split is empty, or a file cannot be used.
    """
    if training.all() or not training.any():
        raise InputError(f"{kind.name}: {len(samples)} samples leave one side of the split empty")
    size, is_picture = settings.size or kind.size, settings.audio == "picture"
    images, sounds = ([entry for s in samples if (entry := getattr(s, name)) is not None] for name in ("image", "sound"))
    steps = settings.time or (kind.sound.steps if sounds and not is_picture else PICTURE_STEPS)
    labels, pools = np.array([sample.label for sample in samples], np.int64), {}
    if images:
        pools["image"] = Pool(image_array(kind.name, images, size), labels, scale=1 / 255, groups=groups, signal=PHOTOGRAPH)
    if sounds:
        pools["audio"] = sound_pool(kind, sounds, labels, training, settings, size, steps, groups)
    train, test = (side(pools, select, steps, settings) for select in (training, ~training))
    warn_of_classes(kind.name, classes, labels[~training])
    warn_of_copies(kind.name, train, test)
    used = replace(settings, split=settings.split or kind.splits[0])
    return AudioVisual(kind.name, tuple(classes), train, test, kind.source, kind.speech, used, ("audio",) if sounds else ())


def warn_of_classes(name: str, classes: Sequence[str], tested: Ints) -> None:
    """DataWarning for classes that nothing tests."""
    untested = [classes[label] for label in sorted({*range(len(classes))} - {*tested.tolist()})]
    if untested:
        warnings.warn(f"{name}: the test set holds nothing of {', '.join(untested[:SHOWN])}", DataWarning, stacklevel=4)


def warn_of_copies(name: str, train: Pairs, test: Pairs) -> None:
    """DataWarning where files of other names hold the same: a test item that a network has seen in training."""
    for modality, pool in test.pools.items():
        seen = {blake2b(item).digest() for item in train.pools[modality].items}
        copies = sum(blake2b(item).digest() in seen for item in pool.items)
        if copies:
            message = f"{name}: {copies} of {len(pool)} test items of {modality} equal a training item, number for number"
            warnings.warn(message, DataWarning, stacklevel=4)


def side(pools: dict[str, Pool], select: NDArray[np.bool_], steps: int, settings: Settings) -> Pairs:
    """One side: the selected samples, paired as they are."""
    index = np.repeat(np.arange(select.sum())[:, None], len(pools), axis=1)
    parts = {name: pool.part(select) for name, pool in pools.items()}
    return Pairs(parts, index, steps, is_fixed=True, encoding=Encoding(settings.encoder or "direct", settings.seed))


def sound_pool(
    kind: Kind, entries: list[Entry], labels: Ints, training: NDArray[np.bool_], settings: Settings, size: tuple[int, int], steps: int,
    groups: Ints | None,
) -> Pool:  # fmt: skip
    """Sound as frames, float32 (items, steps, context * bands), as statistics, (items, numbers), or as pictures, int16 (items, 1, *size);
    normalised with clean training recordings."""
    is_picture, layout = settings.audio == "picture", kind.sound
    features = settings.features or ("log-mel" if is_picture else layout.features)
    frames = {"log-mel": steps * layout.per_step, "mel-texture": steps, "mel-statistics": 1}
    shape = size if is_picture else (frames[features], layout.bands)
    recipe = SoundRecipe("picture" if is_picture else "frames", features, shape, False, RATE, HIGHEST_HZ, layout.floor)
    clean = sound_array(kind.name, entries, recipe)
    constants = recipe.constants(clean, training)
    clips = clean if settings.snr_db is None else sound_array(kind.name, entries, recipe, settings.snr_db, settings.seed)
    if is_picture:
        return Pool(to_int16(clips, constants), labels, scale=INT16_SCALE, groups=groups, signal=SPECTROGRAM)
    if features == "mel-statistics":
        return Pool(constants(clips)[:, 0], labels, groups=groups, signal=Signal(limits=SPECTROGRAM.limits))
    heard = constants(clips) if features == "mel-texture" else with_context(constants(clips), steps, layout.context)
    return Pool(heard, labels, timed=True, groups=groups, signal=replace(SPECTROGRAM, bands=layout.bands))
