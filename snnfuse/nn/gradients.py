"""The chip's roundings with gradients of our choice: each function's value is exact, its derivative that of what it stands for.

round, trunc, floor    derivative 1, straight-through (Bengio, Léonard, Courville 2013)
fire                   derivative 1 / (1 + slope |x| / theta)^2 / theta, as snnTorch's fast sigmoid of v / theta (Zenke, Ganguli 2018)
bounded                derivative 1, but 0 for what would leave the bounds further
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from snnfuse.hardware.backends.torch_backend import arithmetic


def straight_through(exact: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A rounding with derivative 1."""

    class Rounding(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return exact(x)

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return gradient

    return Rounding.apply


round_through = straight_through(torch.round)  # to even where between two, as numpy.rint
trunc_through = straight_through(torch.trunc)


class StandIn(Function):
    """An integer in place of the number that it was rounded from, which takes the gradient."""

    @staticmethod
    def forward(ctx: Any, wanted: Tensor, value: Tensor) -> Tensor:
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class Fire(Function):
    """1.0 above 0, else 0.0, of v - threshold."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(x, threshold)
        ctx.slope = slope
        return arithmetic.heaviside(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, threshold = ctx.saved_tensors
        return gradient / threshold / (1 + ctx.slope * x.abs() / threshold) ** 2, None, None


class Bounded(Function):
    """x as it is; a gradient step would not take it further out of [low, high]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward((x > high).to(torch.int8) - (x < low).to(torch.int8))
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (side,) = ctx.saved_tensors
        return torch.where(gradient * side < 0, 0.0, gradient), None, None
