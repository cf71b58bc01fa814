"""How many bits an analog input is sent with, where nobody says: payload and weights share what a sum of 24 bits holds.

Each bit of the payload takes one from the weights, whose exponents end at -8: behind a payload of b bits whose weights' first group has
exponent e, two groups hold 15 + e bits of a weight. Both round least where b = 15 + e.

Values that lie on a grid, as pixels of 8 bits and counts do, need no more bits than the grid has, and are then sent exactly.
"""

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.nodes import GradedInput
from snnfuse.hardware.ir.program import Program

# FULL follows from the registers; SHORT and FEWEST are plain choices of where fewer bits are tried, and the spikes decide.
FULL = 15  # bits of a weight that two groups of 8 hold with exponents 0 and -8: 7 and the 8 below
SHORT = 10  # bits of weights below which fewer bits of payload are tried
FEWEST = 6
ON_GRID = 1e-6  # of the largest value, which float32 leaves of a normalised pixel


def fewer_input_bits(program: Program, bits: int) -> int | None:
    """How many bits to try in place of `bits`, where weights behind an analog input have fewer than `SHORT`; None where none do."""
    inputs = {name for name, node in program.inputs.items() if isinstance(node, GradedInput) and node.bits == bits}
    targets = {(c.source, c.target) for c in program.connections if c.source in inputs}
    firsts = [max(c.synapse.exponent for c in program.connections if (c.source, c.target) == pair) for pair in targets]
    short = min((FULL + exponent for exponent in firsts), default=SHORT)
    return max(FEWEST, (bits + short) // 2) if short < SHORT else None


def levels(x: NDArray, most: int) -> int | None:
    """How many equal steps lead from 0 to the largest magnitude of `x`, so that every value is a whole number of them, 1..most; None where
    none do. `x` is not all zero."""
    found = np.unique(np.abs(x)).astype(np.float64)
    if len(found) > most + 1 + np.count_nonzero(np.diff(found) < ON_GRID * found[-1]):
        return None
    shares = found / found[-1]
    for number in range(1, most + 1):
        if np.abs(shares - np.rint(shares * number) / number).max() <= ON_GRID:
            return number
    return None
