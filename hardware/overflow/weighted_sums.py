"""The smallest and largest W s of a synapse group over messages s in intervals."""

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.synapses import Synapse

Vector = NDArray[np.int64] | NDArray[np.float64]


def extreme_sums(synapse: Synapse, low: Vector, high: Vector) -> tuple[Vector, Vector]:
    """Smallest and largest W s before the exponent's shift, (targets,).

    Args:
        synapse: a group of weights.
        low, high: of the messages, (sources,), int64; or float64, and then the sums are.
    """
    positive, negative = np.maximum(synapse.values, 0), np.minimum(synapse.values, 0)
    by_excitation, by_inhibition = (synapse.times(np.stack([low, high]), weights) for weights in (positive, negative))
    return by_excitation[0] + by_inhibition[1], by_excitation[1] + by_inhibition[0]
