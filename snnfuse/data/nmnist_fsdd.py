"""nmnist-fsdd: handwritten digits seen by an event camera (N-MNIST) with recorded spoken digits (FSDD), both real, of the same digit.

    DATA_DIR/nmnist/nmnist.zip, or what it holds in DATA_DIR/nmnist: <number>.bs2 and the lists train1K.txt and test100.txt
    DATA_DIR/fsdd/recordings.zip, or the folder DATA_DIR/fsdd/recordings

The 1,000 recordings of the first list train and the 100 of the second test; of the speech FSDD's official takes 0..4 test. Pairs are
drawn by class: 3 for each training recording, anew for every epoch, so that an epoch hears as much as it sees; and 20 for each test
recording, 2,000 in all. Each recording of a digit is cut into steps from its first event to its last; values are counts.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from snnfuse.data import fsdd
from snnfuse.data.events import bs2
from snnfuse.data.events.binning import stacked, to_frames
from snnfuse.data.events.kept import kept_entries
from snnfuse.data.folders.decode import watched
from snnfuse.data.folders.entries import Entry, listing
from snnfuse.data.pairs import AudioVisual, Pool, make_pairs
from snnfuse.data.readers import PLACES, data_folder
from snnfuse.data.settings import Settings, only
from snnfuse.data.signals import EVENTS
from snnfuse.hardware.errors import InputError

NAME = "nmnist-fsdd"
FOLDER, ZIP = "nmnist", "nmnist.zip"
LISTS = {"train": "train1K.txt", "test": "test100.txt"}
ROUNDS = {"train": 3, "test": 20}
TREE = f"expected DATA_DIR/{FOLDER}/{ZIP}, or <number>.bs2 and {' and '.join(LISTS.values())} of it there, and DATA_DIR/{fsdd.RECORDINGS}"
PAGES = f"https://www.garrickorchard.com/datasets/n-mnist and {fsdd.PAGE}"
STEPS, EVENT_STEPS, SIZE, SMALL = 12, 16, (bs2.SIDE, bs2.SIDE), (28, 28)


def load(data_dir: str | Path | None = None, settings: Settings = Settings()) -> AudioVisual:
    """The data set: events (2, 34, 34), OFF and ON, on 12 steps, and sound in one of three forms.

    With audio "frames", the default, sound is (144,) features on each step. With "picture", (1, 28, 28), the same on every step, or with
    "events", synthetic cochlea events (1, 28, 28), images are (2, 28, 28) too, on 16 steps. `size` is that of both.

    Raises:
        InputError: a file is missing or damaged, a list names what is not there, or it does not offer a setting.
    """
    allowed = {"features": ("log-mel",)} if settings.audio != "events" else {}
    only(
        settings, NAME, audio=("frames", "picture", "events"), time=(), size=(), encoder=("direct", "rate"), snr_db=(), **allowed
    )  # fmt: skip
    folder, as_frames = data_folder(data_dir), settings.audio in (None, "frames")
    steps, size = settings.time or (STEPS if as_frames else EVENT_STEPS), settings.size or (SIZE if as_frames else SMALL)
    seen = _images(folder, steps, size)
    path = fsdd.find_recordings(folder)
    if not path.exists():
        raise InputError(f"{NAME}: {path} is missing; {TREE}, where {PLACES}; their pages are {PAGES}")
    if settings.audio == "events":
        heard = fsdd.event_pools(path, settings, steps, size)
    else:
        heard = fsdd.sound_pools(path, replace(settings, size=size), steps)
    train, test = (
        make_pairs({"image": image, "audio": audio}, steps, settings.seed, settings.encoder, ROUNDS[side])
        for side, image, audio in zip(LISTS, seen, heard)
    )
    source = f"N-MNIST (G. Orchard et al., 2015, CC BY-SA 4.0) and {fsdd.LICENCE}"
    return AudioVisual(NAME, tuple("0123456789"), train, test, source, "recorded", settings, ("audio",))


def _images(folder: Path, steps: int, size: tuple[int, int]) -> list[Pool]:
    """Training and test recordings of digits."""
    place = folder / FOLDER / ZIP if (folder / FOLDER / ZIP).exists() else folder / FOLDER
    if not place.exists():
        raise InputError(f"{NAME}: {place} is missing; {TREE}, where {PLACES}; their pages are {PAGES}")
    files = {name.rpartition("/")[2]: entry for name, entry in listing(place).items()}
    pools = []
    for side, name in LISTS.items():
        if name not in files:
            raise InputError(f"{place}: the list {name} is missing; {TREE}")
        rows = read_list(files[name])
        lost = [number for number, _ in rows if f"{number}.bs2" not in files]
        if lost:
            raise InputError(f"{place}: {lost[0]}.bs2, which {name} lists, is missing")
        entries = [files[f"{number}.bs2"] for number, _ in rows]

        def make(entries: list[Entry] = entries) -> np.ndarray:
            read = watched("N-MNIST", entries, len(entries))
            return stacked([to_frames(bs2.decode_bs2(entry.read(), str(entry)), steps, size) for entry in read])

        items = kept_entries(f"n-mnist-{side}", {"time": steps, "size": size}, entries, make)
        pools.append(Pool(items, np.array([digit for _, digit in rows], np.int64), timed=True, signal=EVENTS))
    return pools


def read_list(entry: Entry) -> list[tuple[int, int]]:
    """Number and digit of every recording that a list names.

    Raises:
        InputError: a line is neither a comment nor two whole numbers, the second 0 to 9, a number comes twice, or there is none.
    """
    rows = []
    for number, line in enumerate(entry.read().decode("ascii", "replace").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) > 9:
            raise InputError(f"{entry}: line {number} is {line[:40]!r}, not a recording's number and its digit, 0 to 9")
        rows.append((int(words[0]), int(words[1])))
    if len({first for first, _ in rows}) < len(rows) or not rows:
        raise InputError(f"{entry}: lists {'a recording twice' if rows else 'no recording'}; fetch it again")
    return rows
