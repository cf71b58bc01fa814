"""Calibration data as Python holds them, as arrays: tensors, pairs, data sets and loaders of torch, of which nothing is imported."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError

MOST = 256  # samples that are taken of a data set or loader, unless told
LABELS = "labels"
WHERE = "the calibration data"
Parts = tuple[dict[str, NDArray], NDArray | None]  # inputs by name, "input" where they have none, and labels


def arrays_of(data: Any, *, batch_first: bool = False, static_steps: int | None = None, most: int = MOST) -> Parts:
    """Inputs (time, batch, ...) by name, and labels (batch,), of whatever Python holds.

    Args:
        data: an array or tensor; a pair (inputs, labels); a dictionary of arrays by input, with "labels" among them or not; a
            torch Dataset of (input, label) or a DataLoader of batches of them, of which the first are taken.
        batch_first: whether arrays, and batches of a loader, are (batch, time, ...), not (time, batch, ...). A sample of a data set is
            (time, ...).
        static_steps: for inputs without a time axis, (batch, ...), or (...) in a data set: for how many steps each stays.
        most: samples to take of a data set or loader.

    Raises:
        InputError: it is none of these, is empty, or its samples differ in shape.
    """
    if is_loaded(data):
        inputs, labels = split(data, WHERE)
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        inputs, labels = _stacked([data[i] for i in range(min(most, len(data)))], static_steps is None)
        batch_first = False
    elif isinstance(data, Iterable):
        inputs, labels = _joined(data, most, 0 if batch_first or static_steps is not None else 1)
    else:
        raise InputError(f"{WHERE}: a {type(data).__name__} is no array, data set or loader; give an array (time, batch, *shape)")
    if static_steps is not None:
        return {name: np.broadcast_to(array, (static_steps, *array.shape)) for name, array in inputs.items()}, labels
    return ({name: array.swapaxes(0, 1) for name, array in inputs.items()} if batch_first else inputs), labels


def plain(data: Any, names: Sequence[str]) -> Any:
    """Data as a network with inputs of these names takes them: what is read sample by sample as arrays by name, tensors as arrays."""
    if isinstance(data, Mapping):
        return {name: array(value, WHERE) if hasattr(value, "detach") else value for name, value in data.items()}
    if is_loaded(data):
        return array(data, WHERE) if hasattr(data, "detach") else data
    inputs, _ = arrays_of(data)
    return dict(zip(names, inputs.values())) if len(names) == len(inputs) == 1 else inputs


def is_loaded(data: Any) -> bool:
    """Return True for an array, tensor, pair or dictionary, False for what is read sample by sample."""
    return isinstance(data, Mapping | Sequence | np.ndarray | float | int) or hasattr(data, "detach")


def array(value: Any, source: str) -> NDArray:
    """A tensor or array as an array."""
    try:
        found = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # lists of different lengths
        raise InputError(f"{source}: holds a {type(value).__name__} that is no array: {error}") from error
    if found.dtype.kind not in "fiub":
        raise InputError(f"{source}: holds a {type(value).__name__}, not numbers; give an array or tensor (time, batch, *shape)")
    return found


def split(data: Any, source: str) -> tuple[dict[str, NDArray], NDArray | None]:
    """Inputs by name, and labels."""
    if isinstance(data, Mapping):
        arrays = {str(name): array(value, source) for name, value in data.items()}
        return arrays, arrays.pop(LABELS, None)
    if isinstance(data, tuple | list) and len(data) == 2 and np.ndim(data[1]) == 1 and np.ndim(data[0]) > 1:
        return {"input": array(data[0], source)}, array(data[1], source)
    whole = data[0] if isinstance(data, tuple | list) and len(data) == 1 else data  # of a data set that has no labels
    return {"input": array(whole, source)}, None


def _stacked(items: list[Any], has_time: bool) -> tuple[dict[str, NDArray], NDArray | None]:
    """Samples of a data set, (time, ...) each, with the batch second; of such without time, first."""
    if not items:
        raise InputError(f"{WHERE}: the data set is empty")
    parts = [_sample(item) for item in items]
    shapes = {part[0].shape for part in parts}
    if len(shapes) > 1:
        raise InputError(f"{WHERE}: samples differ in shape: {', '.join(map(str, sorted(shapes)[:3]))}; pad or cut them to one")
    labels = [label for _, label in parts]
    stacked = np.stack([array for array, _ in parts], 1 if has_time else 0)
    return {"input": stacked}, None if None in labels else np.asarray(labels)


def _sample(item: Any) -> tuple[NDArray, int | None]:
    """An input, and its label, where that is one whole number."""
    if not isinstance(item, tuple | list):
        return array(item, WHERE), None
    label = None if len(item) < 2 or math.prod(np.shape(item[1])) != 1 else np.asarray(array(item[1], WHERE)).item()
    return array(item[0], WHERE), label if isinstance(label, int) else None


def _joined(batches: Iterable[Any], most: int, axis: int) -> tuple[dict[str, NDArray], NDArray | None]:
    """The first batches of a loader, joined along their batch axis, up to so many samples."""
    parts, count = [], 0
    for inputs, labels in (split(list(batch) if isinstance(batch, tuple) else batch, WHERE) for batch in islice(batches, most)):
        parts.append((inputs, labels))
        count += next(iter(inputs.values())).shape[axis]
        if count >= most:
            break
    if not parts:
        raise InputError(f"{WHERE}: the loader is empty")
    taken = [slice(None)] * axis + [slice(most)]
    joined = {name: np.concatenate([inputs[name] for inputs, _ in parts], axis)[tuple(taken)] for name in parts[0][0]}
    if any(labels is None for _, labels in parts):
        return joined, None
    return joined, np.concatenate([labels for _, labels in parts if labels is not None])[:most]


def evenly(number: int, most: int) -> NDArray[np.int64]:
    """Of so many samples some, one at least."""
    return np.unique(np.linspace(0, number - 1, min(number, max(1, most))).astype(int))
