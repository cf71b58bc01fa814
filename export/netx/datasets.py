"""Datasets of a netx file, each checked before it is believed; errors are InputError and name the dataset."""

from typing import TYPE_CHECKING

import numpy as np

from snnfuse.export.netx.contents import Array
from snnfuse.hardware.errors import InputError

if TYPE_CHECKING:
    import h5py

MOST = 1 << 28  # elements of one dataset: a few bytes of a damaged file can claim any number


def one(group: "h5py.Group", key: str) -> int:
    """A dataset of one whole number, whatever its shape."""
    values = integers(group, key)
    if values.size != 1:
        raise InputError(f"{where(group, key)}: expected one integer, found {values.size}")
    return int(values.flat[0])


def integers(group: "h5py.Group", key: str) -> Array:
    """A dataset of whole numbers, whatever its type: SLAYER writes them as float32. netx would cut 3.7 to 3."""
    values = numbers(group, key)
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or np.abs(values).max(initial=0) > 2**31:
        bad = values[~np.isfinite(values) | (values != np.rint(values)) | (np.abs(values) > 2**31)].flat[0]
        raise InputError(f"{where(group, key)}: holds {bad:g}; netx files hold integers (SLAYER's quantize_8bit makes them)")
    return values.astype(np.int64)


def numbers(group: "h5py.Group", key: str) -> np.ndarray:
    """A dataset of numbers, as float64."""
    dataset = dataset_of(group, key)
    if dataset.dtype.kind not in "biuf" or dataset.size is None or dataset.size > MOST:
        raise InputError(f"{where(group, key)}: expected at most {MOST} numbers, found {dataset.size} of {dataset.dtype}")
    return np.asarray(dataset[()], np.float64)


def text(group: "h5py.Group", key: str) -> str:
    """A dataset of one name."""
    dataset = dataset_of(group, key)
    value = dataset[()] if dataset.size == 1 else None
    value = value.flat[0] if isinstance(value, np.ndarray) else value
    if not isinstance(value, bytes) or not value.isascii():
        raise InputError(f"{where(group, key)}: expected a name, found {dataset.dtype} of shape {dataset.shape}")
    return value.decode("ascii")


def dataset_of(group: "h5py.Group", key: str) -> "h5py.Dataset":
    """A dataset that has to be there."""
    import h5py

    if key not in group:
        raise InputError(f"{where(group, key)}: missing")
    found = group[key]
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{where(group, key)}: not a data set")
    return found


def group_of(parent: "h5py.Group", key: str) -> "h5py.Group | None":
    """A group, None where there is none."""
    import h5py

    found = parent.get(key)
    return found if isinstance(found, h5py.Group) else None


def where(group: "h5py.Group", key: str) -> str:
    """A dataset's place, for errors."""
    return f"{group.name}/{key}".lstrip("/")


def unknown(group: "h5py.Group", known: set[str]) -> tuple[str, ...]:
    """Names in a group that lava-dl does not write there."""
    return tuple(sorted(set(group) - known))
