"""A running sum over time, as a layer with a state: what attention over time reads instead of steps that are yet to come."""

import torch
from torch import Tensor, nn

from snnfuse.hardware.errors import InputError


class Accumulator(nn.Module):
    """S_t = S_{t-1} + x_t, put out in the same step; S_0 = 0. Written as nir.I, which is this by NIR's own equation.

    Args:
        bound: what no sum ever exceeds, at least 1: for T steps of counts up to n it is T n. A product of the sum with spikes is
            written as that many thresholds, so a bound that is too high costs, and one that is too low would be wrong: evaluation
            refuses a sum above it.

    Attributes:
        total: S, of the last input's shape; empty at rest.

    Raises:
        InputError: the bound is no positive integer.
    """

    total: Tensor

    def __init__(self, bound: int) -> None:
        super().__init__()
        if isinstance(bound, bool) or not isinstance(bound, int) or bound < 1:
            raise InputError(f"an accumulator's bound is an integer of at least 1, not {bound!r}")
        self.bound = bound
        self.register_buffer("total", torch.zeros(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Add counts x (batch, *shape) to the sum and return it, of the same shape.

        Raises:
            InputError: in evaluation, a sum beyond the bound.
        """
        self.total = self._checked(self.total + x if self.total.numel() else x)
        return self.total

    def folded(self, time: int, x: Tensor) -> Tensor:
        """The sums of all steps at once, from rest; x and result (time * batch, *shape)."""
        return self._checked(x.unflatten(0, (time, -1)).cumsum(0).flatten(0, 1))

    def reset(self) -> None:
        """Bring the sum to rest, for a new sample."""
        self.total = torch.zeros(0)

    def accumulates(self) -> int:
        """The bound: what a compiler asks a module that sums over time for."""
        return self.bound

    def _checked(self, total: Tensor) -> Tensor:
        if not self.training and total.numel() and bool((total > self.bound).any()):
            raise InputError(f"an accumulator reached {float(total.max()):g}, above its bound of {self.bound}: give it a higher bound")
        return total

    def extra_repr(self) -> str:
        return f"bound={self.bound}"
