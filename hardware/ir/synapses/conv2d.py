"""Convolutions, whose weights are shared by all positions of an image."""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS, held
from snnfuse.hardware.ir.json_fields import ARRAY, INTEGER, Field, plain, sizes
from snnfuse.hardware.ir.kinds import SynapseKind, register_synapse
from snnfuse.hardware.ir.synapses.base import GROUP_FIELDS, Synapse
from snnfuse.hardware.ir.synapses.exact_products import product_dtype, sum_dtype
from snnfuse.hardware.ir.synapses.geometry import Geometry, kernel_shape

WINDOWS = 1 << 20  # values under a kernel that are copied at once


@dataclass(frozen=True, eq=False)
class Conv2d(Synapse):
    """Convolution with shared weights, as torch.nn.functional.conv2d has it (a correlation, zero padding).

    A stride may be as large as an integer of 32 bits: of its phases (positions modulo the stride) only those count that an input has.

    Attributes:
        weights: int32 (C_out, C_in / groups, kH, kW).
        input_shape: (C_in, H, W).
        stride, padding, dilation: (vertical, horizontal).
        groups: channel groups.
        exponent: -8..7.
        bits: 1..8.
    """

    weights: NDArray[np.int32]
    input_shape: tuple[int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    exponent: int = 0
    bits: int = WEIGHT_BITS

    def __post_init__(self) -> None:
        if np.ndim(self.weights) != 4:
            raise InputError(f"a kernel needs four axes (C_out, C_in / groups, kH, kW), this one has shape {np.shape(self.weights)}")
        geometry = Geometry(kernel_shape(self.weights), self.input_shape, self.stride, self.padding, self.dilation, self.groups).check()
        for name in ("input_shape", "stride", "padding", "dilation", "groups"):
            object.__setattr__(self, name, getattr(geometry, name))
        object.__setattr__(self, "weights", np.asarray(self.weights))
        self.check()
        object.__setattr__(self, "weights", held(self.weights))

    @cached_property
    def geometry(self) -> Geometry:
        """The same without its weights."""
        return Geometry(kernel_shape(self.weights), self.input_shape, self.stride, self.padding, self.dilation, self.groups)

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(C_out, H, W) of the output."""
        return self.geometry.output_shape

    @property
    def size(self) -> tuple[int, int]:
        return prod(self.output_shape), prod(self.input_shape)

    @property
    def convolution(self) -> "Conv2d":
        return self

    @cached_property
    def count(self) -> int:
        """Connected pairs of neurons: those that meet no padding, counted without writing them out."""
        return self.weights.shape[0] * self.weights.shape[1] * int(self.geometry.meetings.sum())

    def matrix(self, values: NDArray | None = None) -> sparse.csr_matrix:
        return self._matrix if values is None else self.geometry.matrix(values)

    @cached_property
    def _matrix(self) -> sparse.csr_matrix:
        return self.geometry.matrix(self.weights)

    def times(self, messages: NDArray, values: NDArray | None = None) -> NDArray:
        dtype = product_dtype(prod(self.weights.shape[1:]), messages)
        kernels = self._by_group(self.weights if values is None else values).astype(dtype)
        images = messages.reshape(-1, self.groups, self.weights.shape[1], *self.input_shape[1:])
        return self._correlate(kernels, images).reshape(len(messages), -1).astype(sum_dtype(messages), copy=False)

    def _by_group(self, kernels: NDArray) -> NDArray:
        """(groups, C_out / groups, C_in / groups, kH, kW)."""
        return kernels.reshape(self.groups, -1, *kernels.shape[1:])

    def _correlate(self, kernels: NDArray, images: NDArray) -> NDArray:
        """Images (rows, groups, channels, H, W) and kernels by group to sums (rows, groups, channels, H_out * W_out)."""
        taps = list(self.geometry.taps())
        weights = np.stack([kernels[..., y, x] for (y, x), _, _ in taps], -1) if taps else kernels[..., 0, :0]
        weights = weights.reshape(*kernels.shape[:2], -1)
        size, outputs = images.shape[1:3], self.output_shape[1:]
        block = max(1, WINDOWS // (prod(size) * max(len(taps), 1) * prod(outputs)))
        sums = np.empty((len(images), *kernels.shape[:2], prod(outputs)), kernels.dtype)
        for first in range(0, len(images), block):
            part = images[first : first + block]
            windows = np.zeros((len(part), *size, len(taps), *outputs), kernels.dtype)
            for i, tap in enumerate(taps):
                windows[:, :, :, i][tap.outputs] = part[tap.inputs]
            np.matmul(weights, windows.reshape(len(part), size[0], weights.shape[2], prod(outputs)), out=sums[first : first + block])
        return sums

    def transposed_times(self, scores: NDArray, values: NDArray | None = None) -> NDArray:
        kernels = self._by_group((self.weights if values is None else values).astype(scores.dtype))
        given = scores.reshape(self.groups, kernels.shape[1], *self.output_shape[1:])
        back = np.zeros((self.groups, kernels.shape[2], *self.input_shape[1:]), scores.dtype)
        for (y, x), inputs, outputs in self.geometry.taps():
            patch = given[outputs]
            flat = np.matmul(kernels[..., y, x].transpose(0, 2, 1), patch.reshape(*patch.shape[:2], -1))
            back[inputs] += flat.reshape(*back.shape[:2], *patch.shape[2:])
        return back.ravel()

    def row(self, target: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        chosen = np.zeros(self.size[0], np.int64)
        chosen[target] = 1
        weights = self.transposed_times(chosen)
        return np.flatnonzero(weights), weights[weights != 0]

    def row_sum(self) -> int:
        """Of a target that meets no padding."""
        return int(np.abs(self.weights.astype(np.int64)).sum((1, 2, 3)).max(initial=0))

    def spike_sums(self) -> tuple[int, int]:
        """Of a target that meets no padding."""
        inhibition, excitation = np.minimum(self.weights, 0), np.maximum(self.weights, 0)
        return int(inhibition.sum((1, 2, 3)).min()), int(excitation.sum((1, 2, 3)).max())

    def arrivals(self, spikes: NDArray) -> NDArray[np.int64]:
        """All output channels of a group receive the same number, so that one is counted."""
        images = spikes.reshape(-1, self.groups, self.weights.shape[1], *self.input_shape[1:]).sum(2, keepdims=True, dtype=np.int64)
        one = np.ones((self.groups, 1, 1, *self.weights.shape[2:]), np.int64)
        return np.repeat(self._correlate(one, images), self.weights.shape[0] // self.groups, 2).reshape(len(spikes), -1)


_GEOMETRY = {
    "input_shape": Field(plain, sizes(1, 3)),
    "stride": Field(plain, sizes(1, 2)),
    "padding": Field(plain, sizes(0, 2)),
    "dilation": Field(plain, sizes(1, 2)),
    "groups": INTEGER,
}
register_synapse(SynapseKind(Conv2d, {"weights": ARRAY, **_GEOMETRY, **GROUP_FIELDS}))
