"""The integers of float weights on grids that are already chosen, as `snnfuse.export.quantization.rounding.hold` has them, on tensors."""

import numpy as np
import torch
from torch import Tensor

from snnfuse.export.quantization.rounding import Grid, Rounds
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS
from snnfuse.hardware.ir.synapses import Synapse


def grids(rounds: Rounds) -> tuple[Grid, ...]:
    """All groups, in order."""
    return tuple(grid for each in rounds for grid in each)


def column_rounds(synapses: tuple[Synapse, ...]) -> Rounds:
    """The rounds of a column of biases, which may take either sign in training."""
    return tuple((Grid("mixed", WEIGHT_BITS, s.exponent),) for s in synapses)


def integers(wanted: Tensor, rounds: Rounds) -> tuple[Tensor, ...]:
    """Float64 weights times K to each group's weights, float64 that hold integers: nearest, saturated, of the group's sign."""
    rest, found = wanted.detach(), []
    for each in rounds:
        held = [grid.step * torch.round(rest / unit(grid)) for grid in each]
        found += [torch.clamp(n, *limits(grid)) for n, grid in zip(held, each)]
        for n, grid in zip(found[-len(each) :], each):
            rest = rest - n * 2.0**grid.exponent
    return tuple(found)


def unit(grid: Grid) -> float:
    """Between neighbouring values of a group."""
    return grid.step * 2.0**grid.exponent


def limits(grid: Grid) -> tuple[int, int]:
    """Lowest and highest integer of a group."""
    return 0 if grid.mode == "excitatory" else -grid.limit, 0 if grid.mode == "inhibitory" else grid.limit


def reach(rounds: Rounds) -> tuple[float, float]:
    """Lowest and highest value that the groups hold together."""
    low, high = np.sum([np.multiply(limits(grid), 2.0**grid.exponent) for grid in grids(rounds)], axis=0).tolist()
    return low, high
