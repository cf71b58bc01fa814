"""Inputs from files and data sets: what calibrates a program, and what runs on it. Nothing here needs torch."""

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError

LABELS = "labels"


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs of a network.

    Attributes:
        inputs: numbers (time, batch, *shape) by name.
        labels: int64 (batch,), or None.
        source: where they are from, in words.
    """

    inputs: dict[str, NDArray]
    labels: NDArray[np.int64] | None
    source: str

    def __len__(self) -> int:
        return next(iter(self.inputs.values())).shape[1]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of one time step of one sample."""
        return {name: array.shape[2:] for name, array in self.inputs.items()}

    def select(self, batch: slice | NDArray) -> "Samples":
        """Some of the samples."""
        labels = None if self.labels is None else self.labels[batch]
        return replace(self, inputs={name: array[:, batch] for name, array in self.inputs.items()}, labels=labels)

    def named(self, names: Sequence[str]) -> "Samples":
        """Those inputs that a network has, in its order; a single array serves a single input under any name.

        Raises:
            InputError: one is missing.
        """
        if len(names) == len(self.inputs) == 1:
            return replace(self, inputs=dict(zip(names, self.inputs.values())))
        missing = [name for name in names if name not in self.inputs]
        if missing:
            raise InputError(f"{self.source}: no array {missing[0]!r}; the network's inputs are {', '.join(names)}")
        return replace(self, inputs={name: self.inputs[name] for name in names})


def read_samples(path: str | Path) -> Samples:
    """From an .npz file with one array (time, batch, *shape) per input, and optionally `labels` (batch,).

    Raises:
        InputError: the file is missing, damaged, holds objects in place of numbers, no samples, NaN, or shapes that disagree.
    """
    arrays = _read_npz(Path(path))
    labels = arrays.pop(LABELS, None)
    samples = Samples(arrays, None if labels is None else labels.astype(np.int64, copy=False), str(path))
    _check(samples, labels)
    return samples


def draw_samples(name: str, number: int, *, part: str = "train", data_dir: str | Path | None = None, seed: int = 0) -> Samples:
    """Samples of a data set of ours.

    Args:
        name: as `snnfuse.data.load` has it.
        number: how many; all, in order, where the part has no more.
        part: "train" or "test".
        data_dir: where the data set lies.
        seed: of the draw.
    """
    from snnfuse import data

    pairs = getattr(data.load(name, data_dir), part)
    chosen = np.arange(len(pairs))
    if number < len(pairs):
        chosen = np.sort(np.random.default_rng(seed).choice(len(pairs), number, replace=False))
    return Samples(pairs.steps(chosen), pairs.labels[chosen], f"{name}, {part} part")


def _read_npz(path: Path) -> dict[str, NDArray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise InputError(f"{path}: holds a single array; write it with numpy.savez(path, input=array)")
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'no .npz file'}") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: no .npz file of numbers: {error}") from error


def _check(samples: Samples, labels: NDArray | None) -> None:
    if not samples.inputs:
        raise InputError(f"{samples.source}: holds no array (time, batch, *shape) of inputs")
    for name, array in samples.inputs.items():
        if array.dtype.kind not in "fiub" or array.ndim < 2:
            raise InputError(f"{samples.source}: {name!r} is {array.dtype} {array.shape}, not numbers (time, batch, *shape)")
        if 0 in array.shape:
            raise InputError(f"{samples.source}: {name!r} is empty: {array.shape}")
        if not np.isfinite(array).all():
            raise InputError(f"{samples.source}: {name!r} holds NaN or infinite values")
    _check_sizes(samples.source, samples.inputs.items())
    if labels is not None and (labels.dtype.kind not in "iu" or labels.shape != (len(samples),)):
        raise InputError(f"{samples.source}: labels are {labels.dtype} {labels.shape}, not integers ({len(samples)},)")


def _check_sizes(source: str, arrays: Iterable[tuple[str, NDArray]]) -> None:
    sizes = {name: array.shape[:2] for name, array in arrays}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise InputError(f"{source}: arrays differ in time or batch: {listed}")
