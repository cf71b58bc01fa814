"""Synapse groups on a device: spikes to synaptic input, without rounding.

Every group is one product of matrices, which adds products of payloads and weights and nothing else, so that the proof in
`precision` holds whatever the library's order of summation is. A convolution is written as such a product too, of its kernel with
the windows of its input: PyTorch's own may run by Winograd's or Fourier's transform (cuDNN, NNPACK), which multiply by fractions.
"""

from collections.abc import Callable, Iterator
from math import prod

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from snnfuse.hardware.backends.torch_backend.arithmetic import DTYPE, int64_low32, shift
from snnfuse.hardware.backends.torch_backend.precision import Bounds, Precision, choose
from snnfuse.hardware.ir.fixed_point import INT32
from snnfuse.hardware.ir.kinds import SYNAPSES, resolve
from snnfuse.hardware.ir.nodes import Connection
from snnfuse.hardware.ir.synapses import Conv2d, Diagonal, Synapse

Sums = Callable[[Tensor], Tensor]


class DeviceSynapse:
    """One connection's weights on a device.

    Attributes:
        precision: how it is summed.
        row_bytes: working memory per row, besides its input and output.

    Args:
        connection, bounds: the group, and the magnitudes it was proven for.
        float32: whether float32 products are exact on the device.
        chunk: bytes that a product may take; more rows than fit are multiplied one part after the other.
    """

    def __init__(self, connection: Connection, bounds: Bounds, device: torch.device, float32: bool, chunk: int) -> None:
        synapse, total = connection.synapse, bounds.total(connection)
        self.precision = choose(bounds.row_sums[connection], bounds.payloads[connection.source], float32)
        self.row_bytes = row_bytes(synapse, self.precision)
        self._chunk_rows = max(1, chunk // self.row_bytes)
        self._targets = synapse.size[0]
        self._product = make_product(synapse, getattr(torch, self.precision.dtype), device)
        self._exponent, self._wraps = synapse.exponent, total >= INT32
        self._wraps_shifted = synapse.exponent > 0 and min(total, INT32) << synapse.exponent >= INT32

    def add_to(self, drive: Tensor, payloads: Tensor) -> None:
        """Add what arrives on each row, an int32 value per target.

        Args:
            drive: float64 (rows, targets).
            payloads: bool or int32 (rows, sources).
        """
        for start in range(0, len(payloads), self._chunk_rows):
            rows = slice(start, start + self._chunk_rows)
            drive[rows] += self._input(payloads[rows])

    def _input(self, payloads: Tensor) -> Tensor:
        total = self._sums(payloads)
        if self._wraps:
            total = int64_low32(total.to(torch.int64))
        total = total.to(DTYPE)
        if self._exponent:
            total = shift(total, self._exponent)
        return int64_low32(total.to(torch.int64)).to(DTYPE) if self._wraps_shifted else total

    def _sums(self, payloads: Tensor) -> Tensor:
        """W s as far as its low 32 bits are concerned, (rows, targets)."""
        if self.precision.parts == 1:
            return self._product(payloads)
        total = torch.zeros(len(payloads), self._targets, dtype=torch.int64, device=payloads.device)
        for low, part in parts_of(payloads, self.precision):
            total += int64_low32(self._product(part).to(torch.int64)) << low  # below 2**63: 32 bits, shifted by at most 31
            total = int64_low32(total)
        return total


def parts_of(payloads: Tensor, precision: Precision) -> Iterator[tuple[int, Tensor]]:
    """(lowest bit, part): payload = sum of part * 2**(lowest bit). The highest part keeps the sign, the others are not negative."""
    bits = precision.part_bits
    for low in range(0, bits * (precision.parts - 1), bits):
        yield low, payloads >> low & ((1 << bits) - 1)
    low = bits * (precision.parts - 1)
    yield low, payloads >> low


def row_bytes(synapse: Synapse, precision: Precision) -> int:
    """Bytes that one row takes while it is multiplied: operand, windows, sums, and their float64 or int64 copies."""
    targets, sources = synapse.size
    width = 4 if precision.dtype == "float32" else 8
    conv = synapse.convolution
    windows = prod(conv.weights.shape[1:]) * conv.groups * prod(conv.output_shape[1:]) if conv is not None else 0
    return 2 * width * sources + width * windows + (width + 24) * targets


def make_product(synapse: Synapse, dtype: torch.dtype, device: torch.device) -> Sums:
    """W s as a function of payloads (rows, sources) to sums (rows, targets) of a dtype: the kind's own, or by its convolution or matrix."""
    own = SYNAPSES.of(synapse).torch
    if own is not None:
        return resolve(own)(synapse, dtype, device)
    if synapse.convolution is not None:
        return _convolution(synapse.convolution, dtype, device)
    matrix = synapse.matrix()
    if sparse.issparse(matrix):
        coordinates = _coordinates(matrix, dtype, device)
        return lambda payloads: torch.sparse.mm(coordinates, payloads.to(dtype).T).T
    weights = torch.tensor(matrix, dtype=dtype, device=device).T
    return lambda payloads: payloads.to(dtype) @ weights


def elementwise(diagonal: Diagonal, dtype: torch.dtype, device: torch.device) -> Sums:
    """W s of one-to-one synapses, as `make_product`."""
    weights = torch.tensor(diagonal.weights, dtype=dtype, device=device)
    return lambda payloads: payloads.to(dtype) * weights


def _coordinates(matrix: sparse.csr_matrix, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A COO tensor: PyTorch's CSR products need MKL on CPUs."""
    entries = matrix.tocoo()
    indices = torch.as_tensor(np.stack([entries.row, entries.col]).astype(np.int64)).to(device)
    values = torch.tensor(entries.data, dtype=dtype, device=device)
    return torch.sparse_coo_tensor(indices, values, matrix.shape, check_invariants=True).coalesce()


def _convolution(conv: Conv2d, dtype: torch.dtype, device: torch.device) -> Sums:
    weights = torch.tensor(conv.weights, dtype=dtype, device=device)
    return lambda payloads: convolve(conv, weights, payloads.to(dtype))


def convolve(conv: Conv2d, weights: Tensor, payloads: Tensor) -> Tensor:
    """One product of matrices: payloads (rows, sources) to sums (rows, targets).

    Args:
        conv: its geometry.
        weights: (C_out, C_in / groups, kH, kW), of the payloads' dtype.
        payloads: over the flattened input.
    """
    rows = len(payloads)
    kernels = weights.reshape(conv.groups, weights.shape[0] // conv.groups, -1)
    windows = unfold(conv, payloads.reshape(rows, *conv.input_shape))
    sums = torch.bmm(kernels, windows.reshape(conv.groups, kernels.shape[2], -1))
    return sums.reshape(weights.shape[0], rows, -1).transpose(0, 1).reshape(rows, -1)


def unfold(conv: Conv2d, x: Tensor) -> Tensor:
    """The input under each tap of the kernel: (rows, C_in, H, W) to (C_in, taps, rows, H_out, W_out)."""
    rows, columns = conv.weights.shape[2:]
    windows = x.new_zeros(x.shape[1], rows * columns, len(x), *conv.output_shape[1:])
    for (y, z), inputs, outputs in conv.geometry.taps():
        windows[:, y * columns + z][outputs] = x.transpose(0, 1)[inputs]
    return windows
