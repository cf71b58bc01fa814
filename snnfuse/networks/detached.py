"""Leaky neurons whose membrane is detached between steps, over all steps at once.

    V_t = beta U_{t-1} + x_t;    s_t = [V_t > theta];    U_t = V_t where s_t = 0, else 0

With U_{t-1} detached, s_t has a gradient by x_t alone, the surrogate's, so that the backward pass needs no loop over time:

    ds_t / dx_t = k sigma(k (V_t - theta)) (1 - sigma(k (V_t - theta)))

The values are those of snntorch.Leaky with immediate reset to zero, and so are the gradients where its surrogate does not overflow.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn


def folded(layer: nn.Module, slope: float, time: int, x: Tensor) -> Tensor:
    """A snntorch.Leaky over all steps, from rest.

    Args:
        layer: its beta and threshold are read.
        slope: k, of the sigmoid surrogate.
        x: (time * batch, *shape).

    Returns:
        Spikes (time * batch, *shape).
    """
    beta, threshold = cast(Tensor, layer.beta), cast(Tensor, layer.threshold)  # of a snntorch.Leaky they are buffers or parameters
    return _Detached.apply(x, time, beta.clamp(0, 1), threshold, slope)


class _Detached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, time: int, beta: Tensor, threshold: Tensor, slope: float) -> Tensor:
        membranes, spikes = torch.empty_like(x), torch.empty_like(x)
        rested: Tensor | None = None
        for current, membrane, fired in zip(x.chunk(time), membranes.chunk(time), spikes.chunk(time), strict=True):
            membrane.copy_(current) if rested is None else torch.addcmul(current, rested, beta, out=membrane)
            torch.gt(membrane, threshold, out=fired)
            rested = torch.addcmul(membrane, membrane, fired, value=-1)  # V - V s, without a branch
        ctx.save_for_backward(membranes, threshold)
        ctx.slope = slope
        return spikes

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = grad_outputs
        membranes, threshold = ctx.saved_tensors
        sigma = torch.sub(membranes, threshold).mul_(ctx.slope).sigmoid_()
        return torch.ops.aten.sigmoid_backward(gradient, sigma).mul_(ctx.slope), None, None, None, None
