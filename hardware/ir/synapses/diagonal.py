"""One-to-one synapses: neuron i of the source to neuron i of the target. Relays, scales per neuron, feedback of each onto itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS, held
from snnfuse.hardware.ir.json_fields import ARRAY
from snnfuse.hardware.ir.kinds import SynapseKind, register_synapse
from snnfuse.hardware.ir.synapses.base import GROUP_FIELDS, Synapse
from snnfuse.hardware.ir.synapses.exact_products import sum_dtype


@dataclass(frozen=True, eq=False)
class Diagonal(Synapse):
    """One-to-one synapses between populations of the same size, a third of what the same costs as `Sparse`.

    Attributes:
        weights: int32 (neurons,), over flattened neurons in C order.
        exponent: -8..7.
        bits: 1..8.
    """

    weights: NDArray[np.int32]
    exponent: int = 0
    bits: int = WEIGHT_BITS

    def __post_init__(self) -> None:
        if np.ndim(self.weights) != 1:
            raise InputError(f"one-to-one weights need one axis (neurons,), these have shape {np.shape(self.weights)}")
        object.__setattr__(self, "weights", np.asarray(self.weights))
        self.check()
        object.__setattr__(self, "weights", held(self.weights))

    @property
    def size(self) -> tuple[int, int]:
        return len(self.weights), len(self.weights)

    def matrix(self, values: NDArray | None = None) -> sparse.csr_matrix:
        places = np.arange(len(self.weights) + 1, dtype=np.int32)
        return sparse.csr_matrix((self.weights if values is None else values, places[:-1], places), shape=self.size)

    def times(self, messages: NDArray, values: NDArray | None = None) -> NDArray:
        return messages.astype(sum_dtype(messages), copy=False) * (self.weights if values is None else values)

    def transposed_times(self, scores: NDArray, values: NDArray | None = None) -> NDArray:
        return scores * (self.weights if values is None else values).astype(scores.dtype)


ELEMENTWISE = "snnfuse.hardware.backends.torch_backend.synapses:elementwise"
register_synapse(SynapseKind(Diagonal, {"weights": ARRAY, **GROUP_FIELDS}, torch=ELEMENTWISE))
