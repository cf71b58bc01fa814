"""Matrices that are convolutions after all: padding, cropping, strided slices and mixtures of channels keep an image an image.

NIR has no node that turns a vector back into an image, so a map that can be said as a convolution is said as one.
"""

from dataclasses import dataclass
from itertools import product

import nir
import numpy as np
from scipy import sparse

from snnfuse.export.tracing.emit.maps import MOST, Shape, size
from snnfuse.export.tracing.nodes.pieces import Array
from snnfuse.export.tracing.nodes.torch_layers import convolution

STRIDES, EXTRA = 5, 9  # what is tried: strides below the first, paddings beyond the least that is needed below the second


@dataclass(frozen=True, eq=False)
class Kernel:
    """A convolution: weight (out, in, *kernel), and stride and padding per axis."""

    weight: Array
    stride: Shape
    padding: Shape

    @property
    def mixes_channels(self) -> bool:
        """Whether each position only sees itself, so that it is a mixture of channels with zeros around."""
        return size(self.weight.shape[2:]) == 1 and set(self.stride) == {1}

    def node(self, bias: Array | None, shape: Shape) -> nir.NIRNode:
        """It in NIR, over inputs of `shape`."""
        found = convolution(self.weight, bias, shape, self.stride, self.padding, (1,) * len(self.stride))
        assert found is not None, self.weight.shape  # its sides are equal
        return found


def as_convolution(matrix: sparse.csr_matrix, before: Shape, after: Shape) -> Kernel | None:
    """The convolution that a matrix (after, before) is; None if it is none, or a kernel larger than a matrix may be.

    Args:
        matrix: of samples in C order.
        before, after: shapes (channels, *space) over one or two axes of space.
    """
    if len(before) not in (2, 3) or len(after) != len(before) or not matrix.nnz:
        return None
    entries = matrix.tocoo()
    rows, columns = np.unravel_index(entries.row, after), np.unravel_index(entries.col, before)
    for stride in product(range(1, STRIDES), repeat=len(before) - 1):
        offsets = [c - r * s for r, c, s in zip(rows[1:], columns[1:], stride, strict=True)]
        window = _window(offsets, stride, before[1:], after[1:])
        if window is None:
            continue
        padding, taps = window
        if after[0] * before[0] * size(taps) > MOST or max(taps) > max(before[1:]):
            continue  # strides as long as an image would make every map a convolution, and share nothing
        weight = np.zeros((after[0], before[0], *taps))
        weight[(rows[0], columns[0], *(o + p for o, p in zip(offsets, padding, strict=True)))] = entries.data
        taken = weight[(rows[0], columns[0], *(o + p for o, p in zip(offsets, padding, strict=True)))]
        if np.array_equal(taken, entries.data) and _uses(weight, stride, padding, before[1:], after[1:]) == matrix.nnz:
            return Kernel(weight, stride, padding)
    return None


def _uses(weight: Array, stride: Shape, padding: Shape, before: Shape, after: Shape) -> int:
    """How many numbers a convolution has, written out: for each weight the positions at which it meets its input."""
    met = np.ones((1,) * len(stride), np.int64)
    for axis, (taps, s, p, n, m) in enumerate(zip(weight.shape[2:], stride, padding, before, after, strict=True)):
        places = np.arange(m)[:, None] * s + np.arange(taps) - p
        met = met * ((places >= 0) & (places < n)).sum(0).reshape([-1 if i == axis else 1 for i in range(len(stride))])
    return int(((weight != 0) * met).sum())


def _window(offsets: list[np.ndarray], stride: Shape, before: Shape, after: Shape) -> tuple[Shape, Shape] | None:
    """Padding and kernel sides, those equal, that reach all offsets and give the output's shape."""
    choices = [_choices(int(o.min()), int(o.max()), *sizes) for o, *sizes in zip(offsets, stride, before, after, strict=True)]
    common = set.intersection(*({taps for _, taps in axis} for axis in choices))
    if not common:
        return None
    taps = min(common)
    return tuple(min(p for p, k in axis if k == taps) for axis in choices), (taps,) * len(choices)


def _choices(first: int, last: int, stride: int, before: int, after: int) -> list[tuple[int, int]]:
    """(padding, taps) along one axis: output = floor((before + 2 padding - taps) / stride) + 1."""
    found = []
    for padding in range(max(0, -first), max(0, -first) + EXTRA):
        most = before + 2 * padding - (after - 1) * stride
        least = max(most - stride + 1, last + padding + 1, 1)
        found += [(padding, taps) for taps in range(least, most + 1)]
    return found
