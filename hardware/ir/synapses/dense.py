"""All-to-all synapses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS, held
from snnfuse.hardware.ir.json_fields import ARRAY
from snnfuse.hardware.ir.kinds import SynapseKind, register_synapse
from snnfuse.hardware.ir.synapses.base import GROUP_FIELDS, Synapse


@dataclass(frozen=True, eq=False)
class Dense(Synapse):
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
        object.__setattr__(self, "weights", np.asarray(self.weights))
        self.check()
        object.__setattr__(self, "weights", held(self.weights))

    @property
    def size(self) -> tuple[int, int]:
        return self.weights.shape[0], self.weights.shape[1]

    def matrix(self, values: NDArray | None = None) -> NDArray:
        return self.weights if values is None else values

    def fan_out(self, effective: bool = False) -> NDArray[np.int64]:
        return np.count_nonzero(self.weights, 0) if effective else np.full(self.size[1], self.size[0], np.int64)

    def arrivals(self, spikes: NDArray) -> NDArray[np.int64]:
        return np.repeat(spikes.sum(1, dtype=np.int64)[:, None], self.size[0], 1)


register_synapse(SynapseKind(Dense, {"weights": ARRAY, **GROUP_FIELDS}))
