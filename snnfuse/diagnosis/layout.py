"""A projection's float weights beside the integers that stand in their places."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.export.lowering.weights import ConvWeights, DenseWeights, Weights
from snnfuse.hardware.ir.synapses import Conv2d, Dense, Synapse, granularity, sign_mode


@dataclass(frozen=True, eq=False)
class Placed:
    """One synapse group in the layout of the float weights.

    Attributes:
        values: integers, of the shape of the float weights' values.
        exponent, bits: of the group.
        elsewhere: weights other than 0 where the float network connects nothing.
    """

    values: NDArray[np.int32]
    exponent: int
    bits: int
    elsewhere: int = 0

    @property
    def step(self) -> float:
        """Between neighbouring values that it may hold, times 2**exponent."""
        return granularity(sign_mode(self.values), self.bits) * 2.0**self.exponent


def place(weights: Weights, synapse: Synapse) -> Placed | None:
    """A group in the layout of these weights; None where it connects otherwise, as another kernel or stride does."""
    if isinstance(weights, DenseWeights) and isinstance(synapse, Dense):
        values = synapse.weights if synapse.weights.shape == weights.matrix.shape else None
    elif isinstance(weights, ConvWeights) and isinstance(synapse, Conv2d):
        values = synapse.weights if synapse.geometry == weights.geometry else None
    elif isinstance(weights, ConvWeights) or isinstance(synapse, Conv2d):
        values = None
    else:
        return _listed(weights, synapse)
    return None if values is None else Placed(values, synapse.exponent, synapse.bits)


def _listed(weights: Weights, synapse: Synapse) -> Placed | None:
    wanted, held = sparse.csr_matrix(weights.matrix), sparse.csr_matrix(synapse.matrix())
    if wanted.shape != held.shape:
        return None
    rows = np.repeat(np.arange(wanted.shape[0]), np.diff(wanted.indptr))
    values = np.asarray(held[rows, wanted.indices], np.int32).ravel()
    if isinstance(weights, DenseWeights):
        values, full = np.asarray(held.toarray(), np.int32), True
    else:
        full = False
    elsewhere = 0 if full else int(np.count_nonzero(held.data)) - int(np.count_nonzero(values))
    return Placed(values, synapse.exponent, synapse.bits, elsewhere)


def together(groups: list[Placed], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """What the groups hold together: integers times 2**exponent, added."""
    return sum((g.values * 2.0**g.exponent for g in groups), np.zeros(shape))
