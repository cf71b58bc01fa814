"""Synaptic sums: forward is the chip's, integer for integer; backward is the float product's, in float32.

    forward    a = sum over groups of shift(n s, exponent)
    backward   of a = W s with W = sum over groups of n 2**exponent; into what is rounded, straight through

Sums are products of matrices in a format proven exact by `hardware.backends.torch_backend.precision`, from the largest weights that
the groups could hold, so that the proof outlives training. Where no group's shift rounds, the groups are summed before the product.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from snnfuse.export.lowering.weights import ConvWeights, SparseWeights, Weights
from snnfuse.export.quantization.rounding import FULL_SCALE, Rounds
from snnfuse.hardware.backends.torch_backend.arithmetic import DTYPE, shift, wrap32
from snnfuse.hardware.backends.torch_backend.devices import float32_is_exact
from snnfuse.hardware.backends.torch_backend.precision import FLOAT64_BITS, choose
from snnfuse.hardware.backends.torch_backend.synapses import convolve
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.fixed_point import INT32, WEIGHT_BITS
from snnfuse.nn.groups import grids, integers, unit

CHUNK = 1 << 24  # numbers that a sparse gradient works with at a time
Gradients = tuple[Tensor | None, Tensor | None]


class Matrix:
    """All-to-all weights (out, in)."""

    def __init__(self, weights: Weights) -> None:
        self.fan_in = weights.values.shape[1]

    def sums(self, payloads: Tensor, weights: Tensor) -> Tensor:
        """(rows, sources) to (rows, targets)."""
        return payloads @ weights.T

    def gradients(self, gradient: Tensor, payloads: Tensor, weights: Tensor, needed: tuple[bool, bool]) -> Gradients:
        """Into payloads and weights, where needed."""
        return gradient @ weights if needed[0] else None, gradient.T @ payloads if needed[1] else None


class Convolution:
    """Shared weights (C_out, C_in / groups, kH, kW)."""

    def __init__(self, weights: ConvWeights) -> None:
        self.conv = weights.synapse(np.zeros(weights.kernel.shape, np.int32), 0, WEIGHT_BITS)
        self.fan_in = int(np.prod(weights.kernel.shape[1:]))

    def sums(self, payloads: Tensor, weights: Tensor) -> Tensor:
        """As of `Matrix`."""
        return convolve(self.conv, weights, payloads)

    def gradients(self, gradient: Tensor, payloads: Tensor, weights: Tensor, needed: tuple[bool, bool]) -> Gradients:
        """As of `Matrix`; by PyTorch's own convolution, which may round."""
        conv, rows = self.conv, len(payloads)
        planes = gradient.reshape(rows, *conv.output_shape), payloads.reshape(rows, *conv.input_shape)
        into = torch.ops.aten.convolution_backward(
            *planes, weights, None, conv.stride, conv.padding, conv.dilation, False, (0, 0), conv.groups, (*needed, False)
        )
        return into[0].reshape(rows, -1) if needed[0] else None, into[1]


class Coordinates:
    """The stored weights of a sparse matrix, in its own order."""

    def __init__(self, weights: SparseWeights) -> None:
        matrix = weights.matrix
        self.shape, self.fan_in = matrix.shape, int(np.diff(matrix.indptr).max(initial=1))
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        self.indices = torch.as_tensor(np.stack([rows, matrix.indices]).astype(np.int64))

    def _matrix(self, weights: Tensor, turned: bool = False) -> Tensor:
        indices = self.indices.flip(0) if turned else self.indices
        shape = self.shape[::-1] if turned else self.shape
        return torch.sparse_coo_tensor(indices.to(weights.device), weights, shape, check_invariants=False)

    def sums(self, payloads: Tensor, weights: Tensor) -> Tensor:
        """As of `Matrix`."""
        return torch.sparse.mm(self._matrix(weights), payloads.T).T

    def gradients(self, gradient: Tensor, payloads: Tensor, weights: Tensor, needed: tuple[bool, bool]) -> Gradients:
        """As of `Matrix`."""
        back = torch.sparse.mm(self._matrix(weights, turned=True), gradient.T).T if needed[0] else None
        return back, self._into_weights(gradient, payloads) if needed[1] else None

    def _into_weights(self, gradient: Tensor, payloads: Tensor) -> Tensor:
        pairs = self.indices.to(gradient.device).split(max(1, CHUNK // len(gradient)), dim=1)
        return torch.cat([(gradient[:, rows] * payloads[:, columns]).sum(0) for rows, columns in pairs])


def operator(weights: Weights) -> "Matrix | Convolution | Coordinates":
    """What multiplies by weights of this structure."""
    if isinstance(weights, ConvWeights):
        return Convolution(weights)
    return Coordinates(weights) if isinstance(weights, SparseWeights) else Matrix(weights)


@dataclass(frozen=True, eq=False)
class Synapses:
    """A projection's synapse groups.

    Attributes:
        operator: the structure of the weights.
        rounds: the groups' exponents, widths and signs.
        payload: largest magnitude that a source sends.
    """

    operator: Matrix | Convolution | Coordinates
    rounds: Rounds
    payload: int

    def __post_init__(self) -> None:
        if self.bound >= 1 << FLOAT64_BITS - 1:
            raise UnsupportedError(f"sums of up to {self.bound} leave float64; send the analog inputs with fewer bits")

    @property
    def bound(self) -> int:
        """Largest sum before its shift."""
        return FULL_SCALE * self.operator.fan_in * self.payload

    @cached_property
    def drive(self) -> int:
        """Largest magnitude that arrives."""
        return sum(int(np.ceil(min(self.bound, INT32) * 2.0**g.exponent)) for g in grids(self.rounds))

    @cached_property
    def is_whole(self) -> bool:
        """Whether no shift rounds and no sum wraps, so that the groups may be added before the product."""
        most = sum(FULL_SCALE * 2.0**g.exponent for g in grids(self.rounds)) * self.operator.fan_in * self.payload
        return most < INT32 and self.bound < INT32 and all(unit(g) == int(unit(g)) for g in grids(self.rounds))

    def rounded(self, wanted: Tensor) -> "Weighted":
        """The integers of float weights times K."""
        parts = integers(wanted, self.rounds)
        total = sum((n * 2.0**g.exponent for n, g in zip(parts, grids(self.rounds))), torch.zeros_like(parts[0]))
        exact = float32_is_exact(wanted.device)
        if self.is_whole:
            largest = int(sum(FULL_SCALE * 2.0 ** max(g.exponent, 0) for g in grids(self.rounds)))
            dtype = getattr(torch, choose(largest * self.operator.fan_in, self.payload, exact).dtype)
            return Weighted(self, (total.to(dtype),), total.float(), parts)
        dtype = getattr(torch, choose(FULL_SCALE * self.operator.fan_in, self.payload, exact).dtype)
        return Weighted(self, tuple(n.to(dtype) for n in parts), total.float(), parts)


@dataclass(frozen=True, eq=False)
class Weighted:
    """Synapse groups with their weights.

    Attributes:
        synapses: the groups.
        factors: integers that payloads are multiplied with: one sum for all groups, or each group's.
        total: the weights that they come to, float32.
        parts: each group's integers, float64.
    """

    synapses: Synapses
    factors: tuple[Tensor, ...]
    total: Tensor
    parts: tuple[Tensor, ...]

    def arriving(self, payloads: Tensor, wanted: Tensor) -> Tensor:
        """What payloads (rows, sources) bring: float64 (rows, targets). Gradients go into both."""
        return _Arriving.apply(payloads, wanted, self)

    def exact(self, payloads: Tensor) -> Tensor:
        """`arriving` without gradients."""
        multiply = self.synapses.operator.sums
        sums = [multiply(payloads.to(n.dtype), n).to(DTYPE) for n in self.factors]
        if self.synapses.is_whole:
            return sums[0]
        if self.synapses.bound >= INT32:
            sums = [wrap32(total) for total in sums]
        shifted = [shift(total, g.exponent) for total, g in zip(sums, grids(self.synapses.rounds))]
        return sum(shifted[1:], shifted[0])


class _Arriving(Function):
    @staticmethod
    def forward(ctx: Any, payloads: Tensor, wanted: Tensor, weighted: Weighted) -> Tensor:
        ctx.save_for_backward(payloads.float())
        ctx.weighted, ctx.dtypes = weighted, (payloads.dtype, wanted.dtype)
        return weighted.exact(payloads)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (payloads,) = ctx.saved_tensors
        needed = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        into = ctx.weighted.synapses.operator.gradients(gradient.float(), payloads, ctx.weighted.total, needed)
        sent, weights = (None if x is None else x.to(dtype) for x, dtype in zip(into, ctx.dtypes))
        return sent, weights, None
