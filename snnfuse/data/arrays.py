"""A user's own arrays as a data set: what training, export and report take.

An .npz file holds an array per input, (time, samples, *shape), or (samples, *shape) for those that `Settings.static` names; `labels`
(samples,), whole numbers from 0; and, if samples belong together, `groups` (samples,), such as the recording that each was cut from. A
fifth of each class, whole groups of it, is for the test, the same ones whatever the seed.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.encoders import Encoding
from snnfuse.data.pairs import AudioVisual, Ints, Pairs, Pool, held_items
from snnfuse.data.samples import LABELS, Samples, checked, read_arrays
from snnfuse.data.settings import Settings, only
from snnfuse.data.signals import Signal
from snnfuse.hardware.errors import InputError

TEST = 0.2  # of each class
GROUPS = "groups"
STEPS = 4  # of a sample whose inputs are all static


def load(path: Path, settings: Settings = Settings()) -> AudioVisual:
    """The data set in an .npz file.

    Raises:
        InputError: the file is damaged, arrays disagree, labels are missing or too few, values lie outside the limits that the settings
            declare, or the settings name what there is not.
    """
    arrays, source = read_arrays(path), str(path)
    labels, groups = arrays.pop(LABELS, None), arrays.pop(GROUPS, None)
    static = settings.static or ()
    for name in (*static, *(settings.inputs or {})):
        if name not in arrays:
            raise InputError(f"{source}: no array {name!r}, of which something is said; it holds {', '.join(arrays)}")
    timed = {name: array for name, array in arrays.items() if name not in static}
    held = {name: checked({name: arrays[name][None]}, labels, source).inputs[name][0] for name in static}
    over = checked(timed, labels, source) if timed else None
    only(settings, source, inputs=(), static=(), encoder=(), time=() if over is None else (over.steps,))
    if labels is None:
        raise InputError(f"{source}: holds no array `labels` (samples,), by which a network is trained and tested")
    together = None if groups is None else _groups(groups, labels, source)
    signals, steps = settings.inputs or {}, settings.time or STEPS
    pools = {}
    for name in arrays:
        timed, items = name not in held, held[name] if over is None or name in held else over.inputs[name].swapaxes(0, 1)
        signal = signals.get(name, Signal())
        pools[name] = Pool(np.ascontiguousarray(items, np.float32), labels.astype(np.int64), timed, groups=together, signal=signal)
    return divided(pools, source, settings, steps if over is None else over.steps)


def _groups(groups: NDArray, labels: NDArray, source: str) -> Ints:
    if groups.dtype.kind not in "iu" or groups.shape != labels.shape:
        raise InputError(f"{source}: groups are {groups.dtype} {groups.shape}, not whole numbers ({len(labels)},)")
    return groups.astype(np.int64)


def training_part(labels: Ints, groups: Ints | None, source: str, seed: int = 0) -> NDArray[np.bool_]:
    """Which samples train: all but a fifth of each class, whole groups.

    Raises:
        InputError: nothing of a class would be left, or a label is below 0.
    """
    if labels.min() < 0:
        raise InputError(f"{source}: labels hold {labels.min()}, and classes count from 0")
    try:
        return ~held_items(labels, groups, TEST, np.random.default_rng(seed))
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def divided(pools: Mapping[str, Pool], source: str, settings: Settings, time: int, seed: int = 0) -> AudioVisual:
    """A data set of pools whose items belong together in their order, of which `training_part` says the sides.

    Raises:
        InputError: as of `training_part`, or values lie outside the limits that an input declares.
    """
    for name, pool in pools.items():
        check_limits(source, name, pool)
    first = next(iter(pools.values()))
    training = training_part(first.labels, first.groups, source, seed)
    index = np.repeat(np.arange(len(first))[:, None], len(pools), axis=1)
    encoding = Encoding(settings.encoder or "direct", settings.seed)
    train, test = (Pairs(pools, index[side], time, is_fixed=True, encoding=encoding) for side in (training, ~training))
    classes = tuple(map(str, range(int(first.labels.max()) + 1)))
    return AudioVisual(source, classes, train, test, source=source, speech="none", settings=settings)


def check_limits(source: str, name: str, pool: Pool) -> None:
    """InputError for values outside the limits that an input declares."""
    if pool.signal.limits is None:
        return
    low, high = (float(value) * pool.scale for value in (pool.items.min(), pool.items.max()))
    if low < pool.signal.limits[0] or high > pool.signal.limits[1]:
        declared = "{:g}..{:g}".format(*pool.signal.limits)
        raise InputError(
            f"{source}: {name!r} holds values from {low:g} to {high:g}, and its range is said to be {declared}; say the true one"
        )


def from_arrays(samples: Samples, seed: int = 0) -> AudioVisual:
    """Divide labelled samples into a training and a test side.

    Args:
        samples: with labels; every sample stands for itself, and its inputs belong together.
        seed: of the division: a fifth of each class, one sample at least, is for the test.

    Raises:
        InputError: there are no labels, or too few samples of a class.
    """
    if samples.labels is None:
        raise InputError(f"{samples.source}: holds no array `labels` (samples,), by which a network is trained and tested")
    labels = samples.labels.astype(np.int64)
    pools = {name: Pool(np.ascontiguousarray(x.swapaxes(0, 1), np.float32), labels, timed=True) for name, x in samples.inputs.items()}
    return divided(pools, samples.source, Settings(), samples.steps, seed)
