"""Synapse groups in integers: weights of 1 to 8 bits, and one exponent for the whole group.

For the spikes s of the step before (a synapse takes one step):

    a = shift(W s, exponent)        shift(x, e) = x 2**e, rounded down for e < 0, *after* the sum

A weight of b bits steps by 2**(8 - b), or by twice that in a group that mixes signs, where the sign takes one bit:

    mixed        -256 .. 254, so even integers at 8 bits
    excitatory      0 .. 255
    inhibitory   -255 .. 0

Source: Lava 0.10, `lava/utils/weightutils.py`, which clips and truncates whatever it is given; here a weight that it would
change is an error, so that what is stored is what runs. For the same reason weights are kept as read-only int32: a copy of whatever
integers are given, unless it is one already.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.errors import FixedPointError, InputError
from snnfuse.hardware.ir.fixed_point import EXPONENT_RANGE, WEIGHT_BITS, check_range, held, read_only
from snnfuse.hardware.ir.json_fields import ARRAY, CSR, INTEGER, Field, plain, sizes
from snnfuse.hardware.ir.kinds import SynapseKind, register_synapse

LIMITS = {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)}


def sign_mode(weights: NDArray[np.int32]) -> str:
    """`mixed`, `excitatory` or `inhibitory`: what a group holding these weights is."""
    if not (weights < 0).any():
        return "excitatory"
    return "mixed" if (weights > 0).any() else "inhibitory"


def granularity(mode: str, bits: int) -> int:
    """The step between neighbouring legal weights."""
    return 1 << (WEIGHT_BITS - bits + (mode == "mixed"))


def check_weights(weights: NDArray[np.int32], exponent: int, bits: int) -> None:
    """Raise FixedPointError for a weight or exponent that the chip would change or cannot hold."""
    check_range("weight exponent", exponent, *EXPONENT_RANGE)
    check_range("weight bits", bits, 1, WEIGHT_BITS)
    mode = sign_mode(weights)
    check_range(f"{mode} weight", weights, *LIMITS[mode])
    step = granularity(mode, bits)
    between = weights[weights % step != 0]
    if between.size:
        raise FixedPointError(f"weight {between.flat[0]} is no multiple of {step}, the step of {bits}-bit {mode} weights")


@dataclass(frozen=True, eq=False)
class Dense:
    """All-to-all synapses.

    Attributes:
        weights: int32 (out, in), over flattened neurons in C order.
        exponent: -8..7.
        bits: 1..8.
    """

    weights: NDArray[np.int32]
    exponent: int = 0
    bits: int = WEIGHT_BITS

    def __post_init__(self) -> None:
        if np.ndim(self.weights) != 2:
            raise InputError(f"dense weights need two axes (out, in), these have shape {np.shape(self.weights)}")
        _hold(self)

    @property
    def size(self) -> tuple[int, int]:
        """Target and source neurons."""
        return self.weights.shape[0], self.weights.shape[1]

    @property
    def values(self) -> NDArray[np.int32]:
        """Every stored weight, each once."""
        return self.weights

    def matrix(self) -> NDArray[np.int32]:
        """The weights as a matrix (out, in)."""
        return self.weights


@dataclass(frozen=True, eq=False)
class Sparse:
    """Synapses listed one by one.

    Attributes:
        weights: scipy CSR matrix of int32, (out, in), over flattened neurons in C order; sorted, and each synapse listed once.
        exponent: -8..7.
        bits: 1..8.
    """

    weights: sparse.csr_matrix
    exponent: int = 0
    bits: int = WEIGHT_BITS

    def __post_init__(self) -> None:
        if not sparse.issparse(self.weights) or self.weights.format != "csr":
            raise InputError("sparse weights must be a scipy CSR matrix")
        check_weights(self.weights.data, self.exponent, self.bits)
        object.__setattr__(self, "weights", canonical(self.weights))

    @property
    def size(self) -> tuple[int, int]:
        """Target and source neurons."""
        return self.weights.shape

    @property
    def values(self) -> NDArray[np.int32]:
        """Every stored weight, each once."""
        return self.weights.data

    def matrix(self) -> sparse.csr_matrix:
        """The weights as a matrix (out, in)."""
        return self.weights


@dataclass(frozen=True, eq=False)
class Conv2d:
    """Convolution with shared weights, as torch.nn.functional.conv2d has it (a correlation, zero padding).

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
        shape, groups = np.shape(self.weights), self.groups
        if len(shape) != 4 or shape[1] * groups != self.input_shape[0] or shape[0] % groups:
            raise InputError(f"weights {shape} in {groups} groups do not fit an input of {self.input_shape}")
        for name, least in (("stride", 1), ("padding", 0), ("dilation", 1)):
            _check_pair(name, getattr(self, name), least)
        for axis in _axes(self):
            _window(*axis)
        _hold(self)

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(C_out, H, W) of the output."""
        return (self.weights.shape[0], *conv_output_size(self))

    @property
    def size(self) -> tuple[int, int]:
        """Target and source neurons."""
        return int(np.prod(self.output_shape)), int(np.prod(self.input_shape))

    @property
    def values(self) -> NDArray[np.int32]:
        """Every stored weight, each once."""
        return self.weights

    def matrix(self) -> sparse.csr_matrix:
        """The weights as a matrix (out, in)."""
        return self._matrix

    @cached_property
    def _matrix(self) -> sparse.csr_matrix:
        return conv_matrix(self.weights, self.input_shape, self.stride, self.padding, self.dilation, self.groups)


Synapse = Dense | Sparse | Conv2d


def _hold(synapse: Dense | Conv2d) -> None:
    check_weights(np.asarray(synapse.weights), synapse.exponent, synapse.bits)
    object.__setattr__(synapse, "weights", held(synapse.weights))


def _check_pair(name: str, pair: tuple[int, int], least: int) -> None:
    if np.shape(pair) != (2,) or any(not isinstance(n, (int, np.integer)) or n < least for n in pair):
        raise InputError(f"a convolution's {name} is two integers of at least {least}, (vertical, horizontal), not {pair!r}")


def canonical(weights: sparse.csr_matrix) -> sparse.csr_matrix:
    """A read-only copy with sorted indices; InputError for an index out of range, or a synapse that is listed twice."""
    try:
        matrix = sparse.csr_matrix((np.array(weights.data, np.int32), weights.indices.copy(), weights.indptr.copy()), weights.shape)
        matrix.check_format(full_check=True)  # scipy's products trust indices: one out of range would read foreign memory
    except ValueError as error:
        raise InputError(f"no valid CSR matrix: {error}") from error
    matrix.sort_indices()
    if not matrix.has_canonical_format:
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        again = np.flatnonzero((np.diff(rows) == 0) & (np.diff(matrix.indices) == 0))[0]
        raise InputError(
            f"sparse weights list the synapse from neuron {matrix.indices[again]} to neuron {rows[again]} twice; add them up first "
            "(weights.sum_duplicates()), or make them two connections"
        )
    for part in (matrix.data, matrix.indices, matrix.indptr):
        read_only(part)
    return matrix


def synapse_count(synapse: Synapse) -> int:
    """Connected pairs of neurons; of a convolution those that meet no padding, counted without writing it out."""
    if not isinstance(synapse, Conv2d):
        return int(synapse.weights.size)
    meetings = tap_meetings(synapse.weights.shape[2:], synapse.input_shape, synapse.stride, synapse.padding, synapse.dilation)
    return synapse.weights.shape[0] * synapse.weights.shape[1] * int(meetings.sum())


def conv_output_size(conv: Conv2d) -> tuple[int, int]:
    """Height and width of the output, floor((n + 2 p - d (k - 1) - 1) / stride) + 1 each."""
    height, width = _axes(conv)
    return output_size(*height), output_size(*width)


def _axes(conv: Conv2d) -> Iterator[tuple[int, int, int, int, int]]:
    """Input size, kernel, stride, padding and dilation, vertical and horizontal."""
    return zip(conv.input_shape[1:], np.shape(conv.weights)[2:], conv.stride, conv.padding, conv.dilation)


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Positions of a kernel along one axis."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def conv_matrix(
    weights: NDArray,
    input_shape: tuple[int, int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> sparse.csr_matrix:
    """A convolution written out as a CSR matrix (out, in) of the weights' dtype; axes as in `Conv2d`."""
    out_channels, per_group, *kernel = weights.shape
    rows, height = _window(input_shape[1], kernel[0], stride[0], padding[0], dilation[0])
    columns, width = _window(input_shape[2], kernel[1], stride[1], padding[1], dilation[1])
    y, x, c, ky, kx = np.indices((height, width, per_group, *kernel), sparse=True)
    row, column = rows[ky, y], columns[kx, x]
    inside = (row >= 0) & (row < input_shape[1]) & (column >= 0) & (column < input_shape[2])
    met = np.broadcast_to(inside, (height, width, per_group, *kernel))
    # every output channel of a group meets the same inputs through the same taps, and they ascend within a row: CSR as it stands
    taps = np.broadcast_to(np.arange(per_group * kernel[0] * kernel[1]).reshape(per_group, *kernel), met.shape)[met]
    sources = np.broadcast_to((c * input_shape[1] + row) * input_shape[2] + column, met.shape)[met]
    starts = np.arange(out_channels) // (out_channels // groups) * (per_group * input_shape[1] * input_shape[2])
    ends = np.cumsum(np.tile(met.sum(axis=(2, 3, 4)).ravel(), out_channels))
    size = (out_channels * height * width, int(np.prod(input_shape)))
    index = np.int32 if max(ends[-1], size[1]) < 2**31 else np.int64
    sources = sources.astype(index) + starts.astype(index)[:, None]
    data = weights.reshape(out_channels, -1)[:, taps]
    return sparse.csr_matrix((data.ravel(), sources.ravel(), np.concatenate(([0], ends)).astype(index)), shape=size)


def tap_meetings(
    kernel: tuple[int, int], input_shape: tuple[int, int, int], stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> NDArray[np.int64]:
    """At how many output positions each tap of a kernel meets an input and no padding: int64, of the kernel's (height, width)."""
    axes = zip(input_shape[1:], kernel, stride, padding, dilation, strict=True)
    vertical, horizontal = (((index >= 0) & (index < axis[0])).sum(1) for axis in axes for index, _ in [_window(*axis)])
    return vertical[:, None] * horizontal


def _window(size: int, kernel: int, stride: int, padding: int, dilation: int) -> tuple[NDArray[np.int64], int]:
    """Input index under each (kernel tap, output position), outside [0, size) where it meets padding; and the output size."""
    outputs = output_size(size, kernel, stride, padding, dilation)
    if outputs < 1:
        raise InputError(f"a kernel of {kernel} (dilation {dilation}) is larger than its padded input of {size + 2 * padding}")
    return np.arange(kernel)[:, None] * dilation + np.arange(outputs)[None, :] * stride - padding, outputs


_GROUP = {"exponent": INTEGER, "bits": INTEGER}
_GEOMETRY = {
    "input_shape": Field(plain, sizes(1, 3)),
    "stride": Field(plain, sizes(1, 2)),
    "padding": Field(plain, sizes(0, 2)),
    "dilation": Field(plain, sizes(1, 2)),
    "groups": INTEGER,
}
register_synapse(SynapseKind(Dense, {"weights": ARRAY, **_GROUP}))
register_synapse(SynapseKind(Sparse, {"weights": CSR, **_GROUP}))
register_synapse(SynapseKind(Conv2d, {"weights": ARRAY, **_GEOMETRY, **_GROUP}))
