"""Weights in integers: 1 to 8 bits, and which of them are legal.

A weight of b bits steps by 2**(8 - b), or by twice that in a group that mixes signs, where the sign takes one bit:

    mixed        -256 .. 254, so even integers at 8 bits
    excitatory      0 .. 255
    inhibitory   -255 .. 0

Source: Lava 0.10, `lava/utils/weightutils.py`, which clips and truncates whatever it is given; here a weight that it would
change is an error, so that what is stored is what runs.
"""

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import FixedPointError
from snnfuse.hardware.ir.fixed_point import EXPONENT_RANGE, WEIGHT_BITS, check_range

LIMITS = {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)}


def sign_mode(weights: NDArray[np.integer]) -> str:
    """`mixed`, `excitatory` or `inhibitory`: what a group holding these weights is."""
    if not (weights < 0).any():
        return "excitatory"
    return "mixed" if (weights > 0).any() else "inhibitory"


def granularity(mode: str, bits: int) -> int:
    """The step between neighbouring legal weights."""
    return 1 << (WEIGHT_BITS - bits + (mode == "mixed"))


def check_weights(weights: NDArray[np.integer], exponent: int, bits: int) -> None:
    """Raise FixedPointError for a weight or exponent that the chip would change or cannot hold."""
    check_range("weight exponent", exponent, *EXPONENT_RANGE)
    check_range("weight bits", bits, 1, WEIGHT_BITS)
    mode = sign_mode(weights)
    check_range(f"{mode} weight", weights, *LIMITS[mode])
    step = granularity(mode, bits)
    between = weights[weights & (step - 1) != 0]  # a power of two
    if between.size:
        raise FixedPointError(f"weight {between.flat[0]} is no multiple of {step}, the step of {bits}-bit {mode} weights")
