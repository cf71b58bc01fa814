"""Calibration data as people have them: files of arrays or of tensors, and in Python arrays, tensors, data sets and loaders."""

from pathlib import Path
from typing import Any

from snnfuse.data.samples import Samples, checked, read_samples
from snnfuse.export.quantization.calibration_data import MOST, WHERE, arrays_of, split

TENSORS = (".pt", ".pth")


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

    return checked(*split(read_torch_file(path, False), str(path)), str(path), batch_first)


def samples_of(data: Any, *, batch_first: bool = False, static_steps: int | None = None, most: int = MOST) -> Samples:
    """Samples of `Samples`, or of what `arrays_of` takes; errors as of that and `read_samples`."""
    if isinstance(data, Samples):
        return data
    return checked(*arrays_of(data, batch_first=batch_first, static_steps=static_steps, most=most), WHERE)
