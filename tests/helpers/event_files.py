"""Event files in their true formats, for tests to write and to damage."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

HEADER = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n# Timestamps tick is 1 us\r\n"


def aedat_bytes(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray, header: bytes = HEADER) -> bytes:
    """AEDAT 2.0 of a DVS128: x from the left, y from the top, p 1 for ON, as `read_aedat` gives them."""
    address = (127 - np.asarray(y)) << 8 | (127 - np.asarray(x)) << 1 | (1 - np.asarray(p))
    return header + np.stack([address, np.asarray(t)], axis=1).astype(">u4").tobytes()


def random_events(rng: np.random.Generator, count: int, duration: int = 2_000_000) -> tuple[np.ndarray, ...]:
    """(t, x, y, p) in order of time."""
    return np.sort(rng.integers(5, duration, count)), *rng.integers(0, 128, (2, count)), rng.integers(0, 2, count)


def write_mnist_dvs(folder: Path, per_digit: int, scales: tuple[int, ...] = (16,), events: int = 200) -> None:
    """A tree as released, with random events."""
    rng = np.random.default_rng(0)
    for digit in range(10):
        for scale in scales:
            place = folder / f"grabbed_data{digit}/scale{scale}"
            place.mkdir(parents=True)
            for number in range(1, per_digit + 1):
                path = place / f"mnist_{digit}_scale{scale:02d}_{number:04d}.aedat"
                path.write_bytes(aedat_bytes(*random_events(rng, events)))


def spoken(
    speakers: tuple[str, ...], digits: str = "oz123456789", events: int = 60, seed: int = 0
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Recordings by label: addresses and seconds; one sequence of digits each too, which readers of single digits leave out."""
    rng = np.random.default_rng(seed)
    labels = [f"{speaker}-a-{said}" for speaker in speakers for said in (*digits, "1z3")]
    return {label: (rng.integers(0, 64, events).astype(np.uint8), np.sort(rng.random(events)).astype(np.float32)) for label in labels}


def write_ntidigits(path: Path, **sides: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    """An HDF5 file laid out as n-tidigits.hdf5; a side is what `spoken` gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for side, recordings in sides.items():
            file[f"{side}_labels"] = np.array([label.encode() for label in recordings])
            addresses, times = file.create_group(f"{side}_addresses"), file.create_group(f"{side}_timestamps")
            for label, (channels, seconds) in recordings.items():
                addresses[label], times[label] = channels, seconds
    return path


def damaged(rng: np.random.Generator, raw: bytes) -> bytes:
    """A file cut short, with bytes changed, overwritten, taken out or put in."""
    content, at, length = bytearray(raw), int(rng.integers(len(raw))), int(rng.integers(1, 48))
    noise = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
    kind = rng.integers(5)
    if kind == 0:
        return raw[:at]
    if kind == 1:
        for byte in noise[:12]:
            content[int(rng.integers(len(raw)))] = byte
    else:
        content[at : at + (0 if kind == 4 else length)] = b"" if kind == 3 else noise
    return bytes(content)
