"""Calibration data as people have them: files of arrays or of tensors, and in Python arrays, tensors, data sets and loaders."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.samples import LABELS, Samples, checked, read_samples
from snnfuse.hardware.errors import InputError

TENSORS = (".pt", ".pth")
MOST = 256  # samples that are taken of a data set or loader, unless told
WHERE = "the calibration data"


def open_samples(path: str | Path, *, batch_first: bool = False) -> Samples:
    """Read samples from a file: .npz or .npy as `snnfuse.data.samples.read_samples` does, or .pt with a tensor, a pair (inputs, labels) or
    a dictionary of tensors, with "labels" among them or not.

    Args:
        path: of the file.
        batch_first: whether its arrays are (batch, time, ...), not (time, batch, ...).

    Raises:
        InputError, UnsafeFileError: as of `read_samples`, and `snnfuse.checkpoints.torch_file.read_torch_file`.
    """
    path = Path(path)
    if path.suffix not in TENSORS:
        return read_samples(path, batch_first=batch_first)
    from snnfuse.checkpoints.torch_file import read_torch_file

    return checked(*_split(read_torch_file(path, False), str(path)), str(path), batch_first)


def samples_of(data: Any, *, batch_first: bool = False, static_steps: int | None = None, most: int = MOST) -> Samples:
    """Samples of whatever Python holds.

    Args:
        data: `Samples`; an array or tensor; a pair (inputs, labels); a dictionary of arrays by input, with "labels" among them or not; a
            torch Dataset of (input, label) or a DataLoader of batches of them, of which the first are taken.
        batch_first: whether arrays, and batches of a loader, are (batch, time, ...), not (time, batch, ...). A sample of a data set is
            (time, ...).
        static_steps: for inputs without a time axis, (batch, ...), or (...) in a data set: for how many steps each stays.
        most: samples to take of a data set or loader.

    Raises:
        InputError: it is none of these, or as of `read_samples`.
    """
    if isinstance(data, Samples):
        return data
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not _is_plain(data):
        inputs, labels = _stacked([data[i] for i in range(min(most, len(data)))], static_steps is None)
    elif isinstance(data, Iterable) and not _is_plain(data):
        inputs, labels = _joined(data, most, 0 if batch_first or static_steps is not None else 1)
    else:
        inputs, labels = _split(data, WHERE)
    if static_steps is not None:
        inputs = {name: np.broadcast_to(array, (static_steps, *array.shape)) for name, array in inputs.items()}
    return checked(inputs, labels, WHERE, batch_first and static_steps is None)


def _is_plain(data: Any) -> bool:
    """Whether it is an array, tensor, pair or dictionary."""
    return isinstance(data, Mapping | Sequence | np.ndarray) or hasattr(data, "detach")


def _array(value: Any, source: str) -> NDArray:
    """A tensor or array as an array."""
    found = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    if found.dtype.kind not in "fiub":
        raise InputError(f"{source}: holds a {type(value).__name__}, not numbers; give an array or tensor (time, batch, *shape)")
    return found


def _split(data: Any, source: str) -> tuple[dict[str, NDArray], NDArray | None]:
    """Inputs by name, and labels."""
    if isinstance(data, Mapping):
        arrays = {str(name): _array(value, source) for name, value in data.items()}
        return arrays, arrays.pop(LABELS, None)
    if isinstance(data, tuple | list) and len(data) == 2 and np.ndim(data[1]) == 1 and np.ndim(data[0]) > 1:
        return {"input": _array(data[0], source)}, _array(data[1], source)
    return {"input": _array(data, source)}, None


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
        return _array(item, WHERE), None
    label = None if len(item) < 2 or np.size(item[1]) != 1 else np.asarray(_array(item[1], WHERE)).item()
    return _array(item[0], WHERE), label if isinstance(label, int) else None


def _joined(batches: Iterable[Any], most: int, axis: int) -> tuple[dict[str, NDArray], NDArray | None]:
    """The first batches of a loader, joined along their batch axis, up to so many samples."""
    parts, count = [], 0
    for inputs, labels in (_split(list(batch) if isinstance(batch, tuple) else batch, WHERE) for batch in islice(batches, most)):
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
