"""urbansound8k: the 8,732 city sounds of UrbanSound8K (J. Salamon, C. Jacoby, J. P. Bello, 2014), sound alone.

Files are named <fsID>-<classID>-<occurrence>-<slice>.wav, where fsID is the recording that a sound was cut from, and lie in their folds,
fold1 to fold10, which keep a recording's sounds together. "fold-k" tests on fold k and trains on the other nine, the data set's own
protocol, whose figure is the mean over the ten.
"""

import re
from pathlib import Path

import numpy as np

from snnfuse.data.folders.build import ENVIRONMENTAL, Kind, Sample, build
from snnfuse.data.folders.entries import SOUNDS, listing
from snnfuse.data.folders.splits import check_folds
from snnfuse.data.folders.urbansound8k_av import FOLDS, NAME
from snnfuse.data.pairs import AudioVisual
from snnfuse.data.settings import Settings
from snnfuse.hardware.errors import InputError

CLASSES = (
    "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "engine_idling", "gun_shot", "jackhammer", "siren",
    "street_music",
)  # fmt: skip
PLACES = ("UrbanSound8K", "urbansound8k", "audio", "fold1", "UrbanSound8K.zip", "urbansound8k.zip")
FOLD = re.compile(r"fold(\d+)")
KIND = Kind(
    name="urbansound8k",
    size=(32, 64),
    splits=FOLDS,
    source="UrbanSound8K (J. Salamon, C. Jacoby, J. P. Bello, CC BY-NC 3.0, sounds by their authors on freesound.org)",
    page="https://urbansounddataset.weebly.com/urbansound8k.html",
    tree="DATA_DIR/UrbanSound8K/audio/fold<1 to 10>/<fsID>-<classID>-<occurrence>-<slice>.wav, or the same in DATA_DIR/UrbanSound8K.zip",
    sound=ENVIRONMENTAL,
)


def load(data_dir: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """The data set: sound as statistics, (266,) on each of 10 steps, or as pictures (1, 32, 64) on each of 4; no image.

    Raises:
        InputError: a file or fold is missing or damaged, a name does not say recording and class, a recording lies in two folds, or it does
            not offer a setting.
    """
    KIND.check(settings)
    samples, folds, sources = read_folds(KIND.root(data_dir, *PLACES))
    tested = int((settings.split or KIND.splits[0]).removeprefix("fold-"))
    return build(KIND, CLASSES, samples, folds != tested, settings, groups=sources)


def read_folds(root: Path) -> tuple[list[Sample], np.ndarray, np.ndarray]:
    """Every sound, sorted by class and name, its fold and its recording."""
    archives = [root / name for name in PLACES if name.endswith(".zip") and (root / name).is_file()]
    place = archives[0] if archives else next((root / name for name in PLACES[:3] if (root / name).is_dir()), root)
    rows = []
    for name, entry in listing(place).items():
        folder = FOLD.fullmatch(name.split("/")[-2]) if "/" in name else None
        if folder is None or entry.suffix not in SOUNDS:
            continue
        match = NAME.fullmatch(entry.stem)
        if match is None or int(match[2]) >= len(CLASSES) or not 1 <= int(folder[1]) <= len(FOLDS):
            raise InputError(f"{entry}: not named fold<1 to 10>/<fsID>-<classID>-<occurrence>-<slice>, classID 0 to 9; name it as released")
        rows.append((int(match[2]), entry.stem, int(folder[1]), int(match[1]), entry))
    if not rows:
        raise InputError(f"{KIND.name}: {place} holds no sound in a folder fold1 to fold10; {KIND.expected}")
    rows.sort(key=lambda row: (row[0], row[1], str(row[4])))
    folds, sources = (np.array([row[at] for row in rows], np.int64) for at in (2, 3))
    check_folds(KIND.name, folds, sources)
    return [Sample(label, None, entry) for label, _, _, _, entry in rows], folds, sources
