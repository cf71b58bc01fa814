"""A synapse kind of another package: a ring of neurons, each fed by its neighbours with weights that depend on the distance alone.

It shares weights in a way that no kind of snnfuse does, and defines only what a kind must.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import held
from snnfuse.hardware.ir.json_fields import ARRAY, INTEGER
from snnfuse.hardware.ir.kinds import SynapseKind, register_synapse
from snnfuse.hardware.ir.synapses import Synapse
from snnfuse.hardware.ir.synapses.base import GROUP_FIELDS


@dataclass(frozen=True, eq=False)
class Ring(Synapse):
    """Neuron i receives weights[d] from neuron i - d of the ring.

    Attributes:
        weights: int32 (distances,), of distance 0 first.
        neurons: of the ring, at least as many as distances.
    """

    weights: NDArray[np.int32]
    neurons: int
    exponent: int = 0
    bits: int = 8

    def __post_init__(self) -> None:
        if np.ndim(self.weights) != 1 or not 1 <= len(self.weights) <= self.neurons:
            raise InputError(f"a ring of {self.neurons} neurons has 1..{self.neurons} distances")
        self.check()
        object.__setattr__(self, "weights", held(self.weights))

    @property
    def size(self) -> tuple[int, int]:
        return self.neurons, self.neurons

    def matrix(self, values: NDArray | None = None) -> sparse.csr_matrix:
        values = self.weights if values is None else values
        targets = np.repeat(np.arange(self.neurons), len(values))
        sources = (targets - np.tile(np.arange(len(values)), self.neurons)) % self.neurons
        return sparse.csr_matrix((np.tile(values, self.neurons), (targets, sources)), self.size)


register_synapse(SynapseKind(Ring, {"weights": ARRAY, "neurons": INTEGER, **GROUP_FIELDS}))
