"""Geometry of a convolution, as torch.nn.functional.conv2d has it: a correlation with zero padding.

Everything is found from `Axis.taps`: which input lies under one tap of a kernel at which outputs, padding left out. So work and memory
grow with inputs, outputs and taps that meet, whatever stride, padding and dilation are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import INT32


@dataclass(frozen=True)
class Axis:
    """A kernel along one axis of its input.

    Attributes:
        size: of the input.
        kernel, stride, padding, dilation: 1.., 1.., 0.., 1...
    """

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def outputs(self) -> int:
        """Positions of the kernel, floor((n + 2 p - d (k - 1) - 1) / stride) + 1; less than 1 where it is larger than its padded input."""
        return (self.size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    def tap(self, place: int) -> tuple[slice, slice]:
        """Inputs that lie under one tap of the kernel, and the outputs where they do: slices of the same length, of 0 for none."""
        offset = place * self.dilation - self.padding
        first = max(0, -(offset // self.stride))
        count = max(0, min(self.outputs, (self.size - 1 - offset) // self.stride + 1) - first)
        start = first * self.stride + offset if count else 0
        return slice(start, start + self.stride * max(count - 1, 0) + bool(count), self.stride), slice(first, first + count)


class Tap(NamedTuple):
    """One tap of a kernel that meets an input.

    Attributes:
        place: its index in (kH, kW).
        inputs, outputs: indices into arrays (..., H, W): what lies under it, and the outputs where it does.
    """

    place: tuple[int, int]
    inputs: tuple
    outputs: tuple


@dataclass(frozen=True)
class Geometry:
    """A convolution without its weights.

    Attributes:
        kernel: (C_out, C_in / groups, kH, kW).
        input_shape: (C_in, H, W).
        stride, padding, dilation: (vertical, horizontal).
        groups: channel groups.
    """

    kernel: tuple[int, ...]
    input_shape: tuple[int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def check(self) -> "Geometry":
        """The same in plain integers.

        Raises:
            InputError: a number is out of range or does not fit the others, or there are more than 2**31 - 1 inputs or outputs.
        """
        pairs = {name: _integers(name, getattr(self, name), 2, least) for name, least in LEAST.items()}
        input_shape = _integers("input shape", self.input_shape, 3, 1)
        if not isinstance(self.groups, (int, np.integer)) or not 1 <= self.groups < INT32:
            raise InputError(f"groups: {self.groups} groups do not divide the output channels of weights {self.kernel}")
        if self.kernel[1] * self.groups != input_shape[0] or self.kernel[0] % self.groups or not min(self.kernel):
            raise InputError(f"weights {self.kernel} in {self.groups} groups do not fit an input of {input_shape}")
        checked = Geometry(self.kernel, input_shape, pairs["stride"], pairs["padding"], pairs["dilation"], int(self.groups))
        for axis in checked.axes:
            if axis.outputs < 1:
                padded = axis.size + 2 * axis.padding
                raise InputError(f"a kernel of {axis.kernel} (dilation {axis.dilation}) is larger than its padded input of {padded}")
        if max(prod(input_shape), prod(checked.output_shape)) >= INT32:
            raise InputError(f"a convolution from {input_shape} to {checked.output_shape}: more than {INT32 - 1} neurons")
        return checked

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Vertical and horizontal."""
        vertical, horizontal = zip(self.input_shape[1:], self.kernel[2:], self.stride, self.padding, self.dilation, strict=True)
        return Axis(*vertical), Axis(*horizontal)

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(C_out, H, W)."""
        vertical, horizontal = self.axes
        return self.kernel[0], vertical.outputs, horizontal.outputs

    def taps(self) -> Iterator[Tap]:
        """The taps of a kernel that meet an input anywhere, in C order."""
        rows, columns = ([axis.tap(place) for place in range(axis.kernel)] for axis in self.axes)
        for (y, (down, to_down)), (x, (right, to_right)) in ((a, b) for a in enumerate(rows) for b in enumerate(columns)):
            if to_down.start < to_down.stop and to_right.start < to_right.stop:
                yield Tap((y, x), (..., down, right), (..., to_down, to_right))

    @cached_property
    def meetings(self) -> NDArray[np.int64]:
        """At how many output positions each tap meets an input and no padding, (kH, kW)."""
        met = np.zeros(self.kernel[2:], np.int64)
        for tap in self.taps():
            met[tap.place] = prod(to.stop - to.start for to in tap.outputs[1:])
        return met

    def matrix(self, weights: NDArray) -> sparse.csr_matrix:
        """The convolution written out as CSR (out, in) of the weights' dtype, sorted; weights of the kernel's shape."""
        channels, per_group, *kernel = self.kernel
        (row, height), (column, width) = (_under(axis) for axis in self.axes)
        y, x, c, ky, kx = np.indices((height, width, per_group, *kernel), sparse=True)
        row, column, rows, columns = row[ky, y], column[kx, x], *self.input_shape[1:]
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        met = np.broadcast_to(inside, (height, width, per_group, *kernel))
        # every output channel of a group meets the same inputs through the same taps, and they ascend within a row: CSR as it stands
        taps = np.broadcast_to(np.arange(per_group * prod(kernel)).reshape(per_group, *kernel), met.shape)[met]
        sources = np.broadcast_to((c * rows + row) * columns + column, met.shape)[met]
        starts = np.arange(channels) // (channels // self.groups) * (per_group * rows * columns)
        ends = np.cumsum(np.tile(met.sum(axis=(2, 3, 4)).ravel(), channels))
        size = prod(self.output_shape), prod(self.input_shape)
        index = np.int32 if max(ends[-1], size[1]) < INT32 else np.int64
        sources = sources.astype(index) + starts.astype(index)[:, None]
        data = weights.reshape(channels, -1)[:, taps]
        return sparse.csr_matrix((data.ravel(), sources.ravel(), np.concatenate(([0], ends)).astype(index)), shape=size)


LEAST = {"stride": 1, "padding": 0, "dilation": 1}


def _integers(name: str, given: tuple[int, ...], length: int, least: int) -> tuple:
    words = {2: "two integers", 3: "three integers"}[length]
    axes = {2: "(vertical, horizontal)", 3: "(channels, height, width)"}[length]
    if np.shape(given) != (length,) or any(not isinstance(n, (int, np.integer)) or n < least for n in given):
        raise InputError(f"a convolution's {name} is {words} of at least {least}, {axes}, not {given!r}")
    if max(given) >= INT32:
        raise InputError(f"a convolution's {name} is {words} of at most {INT32 - 1}, {axes}, not {given!r}")
    return tuple(int(n) for n in given)


def _under(axis: Axis) -> tuple[NDArray[np.int64], int]:
    """Input index under each (kernel tap, output position), outside [0, size) where it meets padding; and the output size."""
    if axis.outputs < 1:
        raise InputError(
            f"a kernel of {axis.kernel} (dilation {axis.dilation}) is larger than its padded input of {axis.size + 2 * axis.padding}"
        )
    return np.arange(axis.kernel)[:, None] * axis.dilation + np.arange(axis.outputs) * axis.stride - axis.padding, axis.outputs


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Positions of a kernel along one axis, see `Axis`."""
    return Axis(size, kernel, stride, padding, dilation).outputs


def kernel_shape(weights: ArrayLike) -> tuple[int, int, int, int]:
    """Return the shape (C_out, C_in / groups, kH, kW) of weights with four axes."""
    out, into, height, width = np.shape(weights)
    return out, into, height, width


def conv_matrix(
    weights: NDArray,
    input_shape: tuple[int, int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> sparse.csr_matrix:
    """A convolution written out as a CSR matrix (out, in) of the weights' dtype; axes as in `Conv2d`."""
    return Geometry(kernel_shape(weights), input_shape, stride, padding, dilation, groups).matrix(weights)
