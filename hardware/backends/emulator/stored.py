"""How weights are kept: one byte each, exactly, and what can be proven of their sums."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INT16 = (-(1 << 15), (1 << 15) - 1)
SAFE_ROWS = INT16[1] // 128  # rows of any int8 add up within int16


@dataclass(frozen=True, eq=False)
class Stored:
    """Weights w = factor * values.

    Attributes:
        values: int64, of the weights' shape; -128..127, or 0..255 where unsigned.
        factor: 1, 2 or -1.
        unsigned: which of the two ranges.
    """

    values: NDArray[np.int64]
    factor: int
    unsigned: bool


def store(weights: NDArray[np.int32]) -> Stored:
    """Legal weights of any sign mode: mixed ones are even, the others span 0..255 or -255..0."""
    values = weights.astype(np.int64)
    low, high = values.min(initial=0), values.max(initial=0)
    if low >= -128 and high <= 127:
        return Stored(values, 1, False)
    if not (values & 1).any() and low >= -256 and high <= 254:
        return Stored(values // 2, 2, False)
    if low >= 0 and high <= 255:
        return Stored(values, 1, True)
    if high <= 0 and low >= -255:
        return Stored(-values, -1, True)
    raise AssertionError(f"weights {low}..{high} are none that a synapse accepts")


def extremes(values: NDArray[np.int64], axes: tuple[int, ...]) -> tuple[int, int]:
    """Lowest and highest sum of any subset of the values along these axes: binary spikes choose a subset."""
    return int(np.minimum(values, 0).sum(axes).min(initial=0)), int(np.maximum(values, 0).sum(axes).max(initial=0))


def fits_16_bits(values: NDArray[np.int64], axes: tuple[int, ...]) -> bool:
    """Whether no such sum leaves int16."""
    lowest, highest = extremes(values, axes)
    return lowest >= INT16[0] and highest <= INT16[1]
