"""A user's own files as a data set, of any number of inputs:

    FOLDER/<input>/<class>/<name>.<suffix>      an input's files are images, recordings or arrays, all of one kind
    FOLDER/groups.csv                           if samples belong together: lines "name,group"

Files of one name and class are one sample. Images are read as RGB of one size; recordings as features of sound, as in the data sets of
folders; an array, .npy, is (time, *shape), or (*shape) for inputs that `Settings.static` names.
"""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.arrays import divided, training_part
from snnfuse.data.folders.build import PICTURE_STEPS, STEPS, Kind, sound_features, sound_pool
from snnfuse.data.folders.decode import image_array
from snnfuse.data.folders.entries import IMAGES, SOUNDS, Files, class_folders, files_of
from snnfuse.data.pairs import AudioVisual, Ints, Pool
from snnfuse.data.samples import read_array
from snnfuse.data.settings import Settings, only
from snnfuse.data.signals import IMAGE, Signal
from snnfuse.hardware.errors import InputError

ARRAYS = (".npy",)
KINDS = {"images": IMAGES, "recordings": SOUNDS, "arrays": ARRAYS}
TABLE = "groups.csv"
SIZE = (32, 32)


def load(folder: Path, settings: Settings = Settings()) -> AudioVisual:
    """The data set in a folder.

    Raises:
        InputError: the folder is not as said above, inputs lack a class or a sample, a file is damaged, or the settings do not suit them.
    """
    allowed: dict[str, tuple] = {name: () for name in ("inputs", "static", "time", "size", "encoder", "snr_db")}
    only(settings, str(folder), audio=("frames", "picture"), features=sound_features(settings), **allowed)
    files = {name: _classes(folder / name) for name in class_folders(folder)}
    classes = _same(folder, files)
    rows = [(label, stem) for label, name in enumerate(classes) for stem in next(iter(files.values()))[name]]
    labels = np.array([label for label, _ in rows], np.int64)
    groups = _groups(folder, [stem for _, stem in rows])
    kinds = {name: _kind(folder / name, of) for name, of in files.items()}
    for name in (*(settings.static or ()), *(settings.inputs or {})):
        if name not in files:
            raise InputError(f"{folder}: no folder {name!r}, of which something is said; it holds {', '.join(files)}")
    read = {name: _arrays([files[name][classes[label]][stem].path for label, stem in rows]) for name in files if kinds[name] == "arrays"}
    over = [array.shape[1] for name, array in read.items() if name not in (settings.static or ())]
    steps = (
        over[0] if over else settings.time or (STEPS if "recordings" in kinds.values() and settings.audio != "picture" else PICTURE_STEPS)
    )
    training, pools = training_part(labels, groups, str(folder)), {}
    for name, kind in kinds.items():
        entries = [files[name][classes[label]][stem] for label, stem in rows]
        signal = (settings.inputs or {}).get(name)
        if kind == "arrays":
            static = name in (settings.static or ())
            pools[name] = Pool(read[name], labels, timed=not static, groups=groups, signal=signal or Signal())
        elif kind == "images":
            items = image_array(folder.name, entries, settings.size or SIZE)
            pools[name] = Pool(items, labels, scale=1 / 255, groups=groups, signal=signal or IMAGE)
        else:
            own = Kind(str(folder), SIZE, (), "", "", "")
            pool = sound_pool(own, entries, labels, training, settings, settings.size or SIZE, steps, groups)
            pools[name] = pool if signal is None else replace(pool, signal=signal)
    loaded = divided(pools, str(folder), settings, steps)
    heard = tuple(name for name, kind in kinds.items() if kind == "recordings")
    return replace(loaded, classes=classes, recordings=heard)


def _classes(folder: Path) -> dict[str, Files]:
    return {name: files_of(folder / name, (*IMAGES, *SOUNDS, *ARRAYS)) for name in class_folders(folder)}


def _same(folder: Path, files: dict[str, dict[str, Files]]) -> tuple[str, ...]:
    """The classes; InputError where inputs differ in them or in the names of their files."""
    first, *others = files
    for other in others:
        odd = sorted(files[first].keys() ^ files[other].keys())
        if odd:
            lacks = other if odd[0] in files[first] else first
            raise InputError(f"{folder / lacks / odd[0]}: this class folder is missing, while another input has it")
        for name, of in files[first].items():
            alone = sorted(of.keys() ^ files[other][name].keys())
            if alone:
                raise InputError(
                    f"{folder}: {name}/{alone[0]} is a file of {first if alone[0] in of else other} only; a sample has all inputs"
                )
    return tuple(files[first])


def _kind(folder: Path, classes: dict[str, Files]) -> str:
    suffixes = {entry.suffix for files in classes.values() for entry in files.values()}
    for kind, known in KINDS.items():
        if suffixes <= {*known}:
            return kind
    raise InputError(f"{folder}: holds {', '.join(sorted(suffixes))} side by side; an input's files are all images, recordings or arrays")


def _arrays(paths: list[Path]) -> NDArray[np.float32]:
    """(samples, *shape) of .npy files, which must agree."""
    first = read_array(paths[0])
    out = np.empty((len(paths), *first.shape), np.float32)
    for row, path in enumerate(paths):
        array = read_array(path)
        if array.shape != first.shape or not np.isfinite(array).all():
            what = (
                f"is {array.shape}, and {paths[0].name} is {first.shape}" if array.shape != first.shape else "holds NaN or infinite values"
            )
            raise InputError(f"{path}: {what}")
        out[row] = array
    return out


def _groups(folder: Path, stems: list[str]) -> Ints | None:
    """Of the table, if there is one."""
    path = folder / TABLE
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            named = {row[0]: row[1] for row in csv.reader(file) if row}
        groups = [named[stem] for stem in stems]
    except KeyError as error:
        raise InputError(f"{path}: has no line for {error.args[0]}") from error
    except (OSError, IndexError, ValueError, csv.Error) as error:
        raise InputError(f'{path}: not lines "name,group" ({error})') from error
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)
