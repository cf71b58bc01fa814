"""N-TIDIGITS18: spoken digits through a silicon cochlea (CochleaAMS1b, 64 channels), one HDF5 file.

For train and for test (layout as released by Anumula, Neil, Delbruck and Liu, Front. Neurosci. 12:23, 2018; speakers are on one side only):

    train_labels        (recordings,) of bytes: gender-speaker-take-digits, such as b"man-ae-a-1z"
    train_addresses/    for each of them a data set of that name, (events,): channel 0..63
    train_timestamps/   the same, (events,): seconds

A digit is 1..9, z (zero) or o (oh). Recordings of a single digit are read; z and o are both class 0.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnfuse.data.events.stream import Events
from snnfuse.hardware.errors import InputError

CHANNELS = 64
LABEL = re.compile(r"([a-z]+-[a-z0-9]+)-([a-z0-9]+)-([oz1-9]+)")
DIGITS = {"o": 0, "z": 0} | {str(digit): digit for digit in range(1, 10)}
MICROSECONDS = 1_000_000
MOST = 10_000_000  # events of a recording, and recordings; a damaged file can claim more than any memory holds


@dataclass(frozen=True)
class Recording:
    """One spoken digit: its events (1, 64, 1), its class 0..9, and who said it."""

    events: Events
    digit: int
    speaker: str


def read_ntidigits(path: Path, side: str) -> list[Recording]:
    """The recordings of a single digit in the order of the labels.

    Args:
        path: the HDF5 file.
        side: "train" or "test".

    Raises:
        InputError: it is no such file, lacks a group, a recording or its times, holds labels of another kind or twice, or events that
            `Events` refuses.
    """
    from snnfuse.export.hdf5 import opened

    with opened(path) as file:
        return list(_recordings(path, file, side))


def _recordings(path: Path, file: Any, side: str) -> Iterator[Recording]:
    import h5py

    kinds = {f"{side}_labels": h5py.Dataset, f"{side}_addresses": h5py.Group, f"{side}_timestamps": h5py.Group}
    for name, kind in kinds.items():
        if not isinstance(file.get(name), kind):
            raise InputError(f"{path}: {name!r} is missing or no {kind.__name__.lower()}; N-TIDIGITS18 holds {', '.join(kinds)}")
    labels, addresses, times = (file[name] for name in kinds)
    names = _names(path, labels)
    _check_same(path, side, set(names), addresses, times)
    for name in names:
        speaker, _, digits = LABEL.fullmatch(name).groups()  # type: ignore[union-attr]  # _names has checked it
        if len(digits) == 1:
            source = f"{path}: {side} recording {name}"
            yield Recording(_events(source, addresses[name], times[name]), DIGITS[digits], speaker)


def _names(path: Path, labels: Any) -> list[str]:
    if labels.ndim != 1 or not 0 < labels.size <= MOST:
        raise InputError(f"{path}: {labels.name} has shape {labels.shape}; it must list the recordings")
    found = labels[()]
    names = [item.decode("ascii", "replace") if isinstance(item, bytes) else str(item) for item in found]
    for number, name in enumerate(names):
        if LABEL.fullmatch(name) is None:
            raise InputError(f"{path}: {labels.name}[{number}] is {name[:40]!r}, not gender-speaker-take-digits with digits o, z, 1..9")
    if len(set(names)) < len(names):
        raise InputError(f"{path}: {labels.name} lists {next(name for name in names if names.count(name) > 1)!r} twice")
    return names


def _check_same(path: Path, side: str, names: set[str], *groups: Any) -> None:
    """Labels and content must name the same recordings."""
    for group in groups:
        odd = sorted(names ^ set(group))
        if odd:
            where = f"{side}_labels" if odd[0] in names else group.name
            raise InputError(f"{path}: recording {odd[0]!r} is in {where} but not in both {side}_labels and {group.name}")


def _events(source: str, addresses: Any, times: Any) -> Events:
    import h5py

    for data, what in ((addresses, "addresses"), (times, "timestamps")):
        if not isinstance(data, h5py.Dataset) or data.ndim != 1 or len(data) > MOST or data.dtype.kind not in "iuf":
            raise InputError(f"{source}: its {what} are not a list of numbers, {MOST} at most")
    channel, seconds = addresses[()], times[()].astype(np.float64)
    if len(channel) != len(seconds):
        raise InputError(f"{source}: has {len(channel)} addresses and {len(seconds)} timestamps")
    if not len(channel):
        raise InputError(f"{source}: holds no events")
    if not np.isfinite(seconds).all() or np.abs(seconds).max() > 1e6:
        raise InputError(f"{source}: has a timestamp that is no number of seconds")
    whole = channel.astype(np.int64) if np.isfinite(channel).all() and np.abs(channel.astype(np.float64)).max() < 1e6 else None
    if whole is None or (whole != channel).any():
        raise InputError(f"{source}: has an address that is no channel, 0..{CHANNELS - 1}")
    none = np.zeros_like(whole)
    return Events(np.rint(seconds * MICROSECONDS).astype(np.int64), none, whole, none, (1, CHANNELS, 1), source)
