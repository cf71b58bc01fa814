"""Float weights of a projection, in the three structures that a synapse group can have.

Each holds float64 `values` whose rounding to integers keeps the structure: `synapse` turns integers of the same layout into the
hardware's synapse group.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.ir.synapses import Conv2d, Dense, Diagonal, Geometry, Sparse
from snnfuse.hardware.limits import check_limit

PATCHES = 1 << 23  # values under a kernel that are copied at once
MOSTLY = 0.25  # share of a kernel that is not zero below which only that share is written out
DENSE_FROM = 0.5  # a matrix at least half full is cheaper stored whole than with an index per weight
LISTED_FROM, LISTED_BELOW = 1 << 12, 0.25  # size and filling of a layer's matrix whose zeros are structure, as of one written out


@dataclass(frozen=True, eq=False)
class DenseWeights:
    """A matrix (out, in), float64, over flattened neurons in C order."""

    matrix: NDArray[np.float64]

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers to round."""
        return self.matrix

    def scaled(self, rows: NDArray[np.float64]) -> "DenseWeights":
        """Each target neuron's weights times its factor in `rows` (out,)."""
        return DenseWeights(self.matrix * rows[:, None])

    def synapse(self, integers: NDArray[np.int32], exponent: int, bits: int) -> Dense:
        """The hardware's group with these integers."""
        return Dense(integers, exponent, bits)


@dataclass(frozen=True, eq=False)
class SparseWeights:
    """A scipy CSR matrix (out, in) of float64, over flattened neurons in C order."""

    matrix: sparse.csr_matrix

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers to round."""
        return self.matrix.data

    @cached_property
    def is_diagonal(self) -> bool:
        """Whether it connects each neuron with the one of the same index, and all of them."""
        rows, columns = self.matrix.shape
        return rows == columns == self.matrix.nnz and all(
            np.array_equal(part[:rows], np.arange(rows)) for part in (self.matrix.indices, self.matrix.indptr)
        )

    def scaled(self, rows: NDArray[np.float64]) -> "SparseWeights":
        """Each target neuron's weights times its factor in `rows` (out,)."""
        return SparseWeights(sparse.csr_matrix(sparse.diags(rows) @ self.matrix))

    def synapse(self, integers: NDArray[np.int32], exponent: int, bits: int) -> Sparse | Diagonal:
        """The hardware's group with these integers; a synapse that is 0 is not stored, unless all are."""
        if self.is_diagonal and integers.all():
            return Diagonal(integers, exponent, bits)
        held = sparse.csr_matrix((integers, self.matrix.indices.copy(), self.matrix.indptr.copy()), shape=self.matrix.shape)
        if integers.any():
            held.eliminate_zeros()
        return Sparse(held, exponent, bits)


@dataclass(frozen=True, eq=False)
class ConvWeights:
    """A convolution: kernel (C_out, C_in / groups, kH, kW), float64; geometry as in `snnfuse.hardware.Conv2d`."""

    kernel: NDArray[np.float64]
    input_shape: tuple[int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers to round."""
        return self.kernel

    @property
    def geometry(self) -> Geometry:
        """The same without its weights."""
        return Geometry(self.kernel.shape, self.input_shape, self.stride, self.padding, self.dilation, self.groups)

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(C_out, H, W), by the hardware's own formula; below 1 where the kernel is larger than its input."""
        return self.geometry.output_shape

    @property
    def matrix(self) -> sparse.csr_matrix:
        """The same written out, (out, in); of one tap that is mostly zeros without these."""
        plain = self.kernel.shape[2:] == self.stride == (1, 1) and self.padding == (0, 0) and self.groups == 1
        if plain and np.count_nonzero(self.kernel) < MOSTLY * self.kernel.size:
            mixture, places = sparse.csr_matrix(self.kernel[:, :, 0, 0]), sparse.identity(int(np.prod(self.input_shape[1:])))
            return sparse.kron(mixture, places, format="csr")
        listed = int(np.prod(self.output_shape)) * self.kernel[0].size
        check_limit("array-bytes", 8 * listed, f"a convolution of {self.input_shape}, written out to be composed with another layer,")
        return self.geometry.matrix(self.kernel)

    def times(self, rows: NDArray) -> NDArray[np.float64]:
        """The matrix times rows (rows, sources), (rows, targets), without writing it out: many times as fast where it is large."""
        (up, left), (down, across), dilation = self.padding, self.stride, self.dilation
        spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, self.kernel.shape[2:]))
        parts = [np.reshape(k, (len(k), -1)).T for k in np.split(self.kernel, self.groups)]
        found = np.empty((len(rows), *self.output_shape))
        places = int(np.prod(self.output_shape[1:]))
        block = max(1, PATCHES // (places * parts[0].shape[0] * self.groups))
        for start in range(0, len(rows), block):
            frames = rows[start : start + block].reshape(-1, *self.input_shape)
            padded = np.pad(frames, ((0, 0), (0, 0), (up, up), (left, left)))
            axes: Any = (2, 3)  # its stub takes a single one
            windows = sliding_window_view(padded, spans, axis=axes)[:, :, ::down, ::across, :: dilation[0], :: dilation[1]]
            for i, (channels, kernel) in enumerate(zip(np.split(windows, self.groups, axis=1), parts)):
                patches = channels.transpose(0, 2, 3, 1, 4, 5).astype(np.float64, order="C").reshape(len(frames) * places, -1)
                sums = (patches @ kernel).reshape(len(frames), *self.output_shape[1:], -1)
                width = kernel.shape[1]
                found[start : start + block, i * width : (i + 1) * width] = sums.transpose(0, 3, 1, 2)
        return found.reshape(len(rows), -1)

    @property
    def meetings(self) -> NDArray[np.int64]:
        """At how many positions each tap meets an input and no padding, (kH, kW)."""
        return self.geometry.meetings

    def scaled(self, rows: NDArray[np.float64]) -> "ConvWeights | SparseWeights":
        """Each target neuron's weights times its factor in `rows` (out,); stays a convolution where a channel shares one factor."""
        by_channel = rows.reshape(self.kernel.shape[0], -1)
        if (by_channel == by_channel[:, :1]).all():
            return replace(self, kernel=self.kernel * by_channel[:, 0, None, None, None])
        return SparseWeights(self.matrix).scaled(rows)

    def synapse(self, integers: NDArray[np.int32], exponent: int, bits: int) -> Conv2d:
        """The hardware's group with these integers."""
        return Conv2d(integers, self.input_shape, self.stride, self.padding, self.dilation, self.groups, exponent, bits)


Weights = DenseWeights | SparseWeights | ConvWeights
Matrix = NDArray[np.float64] | sparse.csr_matrix | sparse.csc_matrix


def count_nonzero(matrix: Matrix) -> int:
    """Stored weights of a sparse matrix, those that are not zero of a dense one."""
    return int(np.count_nonzero(matrix)) if isinstance(matrix, np.ndarray) else matrix.nnz


def count_connections(weights: Weights) -> int:
    """Connected pairs of neurons, without writing a convolution out."""
    if isinstance(weights, ConvWeights):
        return weights.kernel.shape[0] * weights.kernel.shape[1] * int(weights.meetings.sum())
    return count_nonzero(weights.matrix)


def from_matrix(matrix: Matrix) -> DenseWeights | SparseWeights:
    """Dense or sparse, whichever stores the matrix in less."""
    if count_nonzero(matrix) >= DENSE_FROM * np.prod(matrix.shape):
        return DenseWeights(matrix if isinstance(matrix, np.ndarray) else matrix.toarray())
    compressed = sparse.csr_matrix(matrix)
    compressed.eliminate_zeros()
    return SparseWeights(compressed)


def from_layer(matrix: NDArray[np.float64]) -> DenseWeights | SparseWeights:
    """A linear layer's matrix: whole, for its zeros are weights too, unless it is large and mostly zeros, as a transposed convolution that
    was written out, or a pruned layer."""
    is_listed = matrix.size >= LISTED_FROM and np.count_nonzero(matrix) < LISTED_BELOW * matrix.size and matrix.any()
    return from_matrix(matrix) if is_listed else DenseWeights(matrix)
