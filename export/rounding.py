"""Float weights and biases to the integers that the chip can hold.

With K the integer threshold that stands for theta = 1, a float weight w becomes n 2**e ~ w K, where n is a multiple of the group's step:

    one group     n = step rint(w K / (step 2**e)),  e the smallest exponent at which the largest weight fits
    two groups    the second holds what the first's rounding left over, at an exponent of its own; both add at the neuron

One scale per matrix is set by its outliers; the second group gives the small weights their digits back.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.weights import Weights
from snnfuse.hardware.fixed_point import ALIGN_BITS, BIAS_EXPONENT_RANGE, BIAS_MANTISSA_RANGE, EXPONENT_RANGE
from snnfuse.hardware.synapses import Synapse, granularity, sign_mode

FULL_SCALE = 256  # one above the largest magnitude of a weight with step 1


@dataclass(frozen=True, eq=False)
class Rounded:
    """A projection's synapse groups, and what they are meant to hold.

    Attributes:
        synapses: the groups; they add.
        wanted: float weights times K.
        rest: what is missing.
    """

    synapses: tuple[Synapse, ...]
    wanted: NDArray[np.float64]
    rest: NDArray[np.float64]


def weight_limit(values: NDArray[np.float64], bits: int) -> int:
    """The largest magnitude that a group of these signs can hold at this width, the same on both sides."""
    return FULL_SCALE - granularity(sign_mode(values), bits)


def round_group(values: NDArray[np.float64], bits: int, lowest: int) -> tuple[NDArray[np.int32], int] | None:
    """Values, already times K, as (integers, exponent), the exponent at least `lowest`; None where even 2**7 is too small."""
    step, limit = granularity(sign_mode(values), bits), weight_limit(values, bits)
    largest = float(np.abs(values).max(initial=0.0))
    exponent = max(lowest, EXPONENT_RANGE[0])
    if largest > 0:
        exponent = max(exponent, int(np.ceil(np.log2(largest / limit))))
    if exponent > EXPONENT_RANGE[1]:
        return None
    return (step * np.rint(values / (step * 2.0**exponent))).astype(np.int32), exponent


def lowest_exponent(values: NDArray[np.float64], bits: int, graded: bool) -> int:
    """The exponent below which the shift would round sums of binary spikes down; graded sums are large, and gain from finer weights."""
    if graded:
        return EXPONENT_RANGE[0]
    return -(granularity(sign_mode(values), bits).bit_length() - 1)


def round_weights(weights: Weights, scale: float, bits: int, groups: int, graded: bool = False) -> Rounded | None:
    """A projection as up to `groups` synapse groups; None where the weights times `scale` do not fit."""
    wanted = weights.values * scale
    rest, synapses = wanted, []
    for _ in range(groups):
        if weight_limit(rest, bits) == 0:  # one bit cannot hold both signs
            break
        rounded = round_group(rest, bits, lowest_exponent(rest, bits, graded))
        if rounded is None:
            return None
        integers, exponent = rounded
        if synapses and not integers.any():
            break
        synapses.append(weights.synapse(integers, exponent, bits))
        rest = rest - integers * 2.0**exponent
    return Rounded(tuple(synapses), wanted, rest)


def relative_error(rounded: list[Rounded]) -> float:
    """Norm of all that rounding left over, over the norm of all weights; 0 for no weights."""
    wanted = sum(float((r.wanted**2).sum()) for r in rounded)
    return float(np.sqrt(sum(float((r.rest**2).sum()) for r in rounded) / wanted)) if wanted else 0.0


def round_bias(bias: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.int32]] | None:
    """Voltage units per step to (mantissa, exponent) per neuron, mantissa 2**exponent ~ bias; None where a bias does not fit."""
    low, high = BIAS_EXPONENT_RANGE
    largest = np.abs(bias) / BIAS_MANTISSA_RANGE[1]
    exponent = np.clip(np.ceil(np.log2(np.maximum(largest, 1.0))), low, high).astype(np.int32)
    mantissa = np.rint(bias / 2.0**exponent).astype(np.int64)
    if (np.abs(mantissa) > BIAS_MANTISSA_RANGE[1]).any():
        return None
    return mantissa.astype(np.int32), exponent


def voltage_units(value: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """A float voltage in the state's least significant bits: 64 K value."""
    return value * scale * (1 << ALIGN_BITS)
