"""What every kind of synapse group is and can do.

For the spikes s of the step before (a synapse takes one step):

    a = shift(W s, exponent)        shift(x, e) = x 2**e, rounded down for e < 0, *after* the sum

A kind says where its weights stand: `matrix(values)` puts any values in the places of its weights. All else follows from that, or
from the convolution that a kind with shared weights names; a kind overrides what it can do for less.

What runs a program takes a group in one of three forms, which it finds so:

    if (conv := synapse.convolution) is not None    a kernel that is moved over an image, of type Conv2d, whatever the kind
    elif scipy.sparse.issparse(synapse.matrix())    listed synapses: CSR (out, in), sorted, each pair once, indices in range
    else                                            all to all: an int32 array (out, in)

and needs to know no kind. Both are made of read-only arrays that were proven in range when the group was built.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import INT32
from snnfuse.hardware.ir.json_fields import INTEGER
from snnfuse.hardware.ir.synapses.exact_products import Matrix, product
from snnfuse.hardware.ir.synapses.weights import check_weights

if TYPE_CHECKING:
    from snnfuse.hardware.ir.synapses.conv2d import Conv2d

MOST_NEURONS = INT32 - 1  # compiled code counts neurons in int32
GROUP_FIELDS = {"exponent": INTEGER, "bits": INTEGER}  # how a file holds what every kind has


class Synapse(ABC):
    """A synapse group: integer weights from one population to another, and one exponent for all of them.

    A kind is a frozen dataclass with these attributes (and others), whose `__post_init__` proves them, `check` among the rest.

    Attributes:
        weights: integers that the chip holds, read-only; see `snnfuse.hardware.ir.synapses.weights`.
        exponent: -8..7.
        bits: per weight, 1..8.
    """

    weights: Any
    exponent: int
    bits: int

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Target and source neurons."""

    @abstractmethod
    def matrix(self, values: NDArray | None = None) -> Matrix:
        """The weights as a matrix (out, in) over flattened neurons in C order: an array, or CSR where most pairs are not connected.

        Args:
            values: other numbers to put in the places of the weights, of the shape of `self.values`.
        """

    @property
    def values(self) -> NDArray[np.int32]:
        """Every stored weight, each once."""
        return self.weights

    @property
    def convolution(self) -> "Conv2d | None":
        """The same synapses as a convolution, None where they do not share weights in this way."""
        return None

    @cached_property
    def count(self) -> int:
        """Connected pairs of neurons, those of weight 0 among them."""
        places = self.matrix(np.ones_like(self.values))
        return places.nnz if sparse.issparse(places) else places.size

    def check(self) -> None:
        """Raise FixedPointError for what a chip cannot hold, InputError for a population that is empty or beyond 2**31 - 1 neurons."""
        check_weights(np.asarray(self.values), self.exponent, self.bits)
        for name in ("exponent", "bits"):
            object.__setattr__(self, name, int(getattr(self, name)))
        if not all(1 <= n <= MOST_NEURONS for n in self.size):
            raise InputError(f"synapses from {self.size[1]} to {self.size[0]} neurons; a population has 1..{MOST_NEURONS}")

    def times(self, messages: NDArray, values: NDArray | None = None) -> NDArray:
        """W s before the exponent's shift, with no wrap: (rows, targets), int64, or float64 of float64.

        Args:
            messages: (rows, sources), bool, integers or float64.
            values: other weights in the same places, as for `matrix`, of magnitude up to 256.
        """
        return product(self.matrix(values), messages)

    def transposed_times(self, scores: NDArray, values: NDArray | None = None) -> NDArray:
        """W transposed times a score per target (targets,): a score per source, of the scores' dtype; `values` as for `times`."""
        return self.matrix(values).T.astype(scores.dtype) @ scores

    def row(self, target: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The synapses into one target neuron: source indices and weights."""
        matrix = self.matrix()
        if sparse.issparse(matrix):
            part = slice(*matrix.indptr[target : target + 2])
            return matrix.indices[part].astype(np.int64), matrix.data[part].astype(np.int64)
        return np.arange(self.size[1]), matrix[target].astype(np.int64)

    def row_sum(self) -> int:
        """A bound on the magnitudes of the weights into one target, added up."""
        return int(self.times(np.ones((1, self.size[1]), np.int64), np.abs(self.values)).max(initial=0))

    def spike_sums(self) -> tuple[int, int]:
        """Bounds on W s before the exponent's shift, over all binary spikes s and all targets: (lowest, highest)."""
        ones = np.ones((1, self.size[1]), np.int64)
        inhibition, excitation = (self.times(ones, weights) for weights in (np.minimum(self.values, 0), np.maximum(self.values, 0)))
        return int(inhibition.min()), int(excitation.max())

    def fan_out(self, effective: bool = False) -> NDArray[np.int64]:
        """Synapses of each source neuron, int64 (sources,); with `effective`, those of weight other than 0 only."""
        counted = self.values != 0 if effective else np.ones_like(self.values)
        return self.transposed_times(np.ones(self.size[0]), counted).astype(np.int64)  # as floats, exactly and by BLAS

    def arrivals(self, spikes: NDArray) -> NDArray[np.int64]:
        """Synaptic operations that arrive at each target, (rows, targets), of events (rows, sources) that are counted in integers."""
        return self.times(spikes.astype(np.int64, copy=False), np.ones_like(self.values))

    def connects_within(self, other: "Synapse") -> bool:
        """Return True if it connects no neurons that another group does not: both together are one weight in floating point."""
        mine, others = self.convolution, other.convolution
        if mine is not None and others is not None:
            return mine.geometry == others.geometry
        if mine is not None or others is not None or self.size != other.size:
            return False
        few, more = (group.matrix(np.ones(group.values.shape, np.int64)) for group in (self, other))
        if sparse.issparse(few) and sparse.issparse(more):
            return (few + more).nnz == more.nnz
        return not sparse.issparse(few) and not sparse.issparse(more)
