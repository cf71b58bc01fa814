"""The neuron of `snnfuse.hardware.ir.alpha` as pure functions on tensors, in float64, which holds every product here: 33 bits times 18.

Roundings and spikes are arguments, so that training puts functions of the same value with a gradient in their place, as of
`arithmetic.step`.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from snnfuse.hardware.backends.torch_backend.arithmetic import DTYPE, Function, clip, heaviside, same, wrap32
from snnfuse.hardware.ir.alpha import AlphaLif, AlphaReset
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, DECAY_BITS

WHOLE = 1 << DECAY_BITS
States = tuple[Tensor, ...]


class AlphaTensors(NamedTuple):
    """Parameters of a population, each () or (neurons,).

    Attributes:
        keep_e, keep_h: what a step leaves of e and h, (4096 - decay) / 4096.
        gain: membrane per unit of current.
        threshold: 64 vth.
        reset: what a spike does.
    """

    keep_e: Tensor
    keep_h: Tensor
    gain: Tensor
    threshold: Tensor
    reset: AlphaReset


def alpha_tensors(node: AlphaLif, device: str | torch.device = "cpu") -> AlphaTensors:
    """A population's parameters on a device."""

    def tensor(value: Any) -> Tensor:
        return torch.as_tensor(np.array(value, np.float64).reshape(-1 if np.ndim(value) else ()), dtype=DTYPE, device=device)

    keep_e, keep_h = (tensor((WHOLE - np.asarray(d)) / WHOLE) for d in (node.de, node.dh))
    return AlphaTensors(keep_e, keep_h, tensor(node.gain) / WHOLE, tensor(np.left_shift(node.vth, ALIGN_BITS)), node.reset)


def step(
    alpha: AlphaTensors, state: States, a: Tensor, trunc: Function = torch.trunc, fire: Function = heaviside, resetting: Function = same
) -> tuple[Tensor, States]:
    """One time step; arguments and what comes back as of `arithmetic.step`, with the states e, h and v."""
    (before_e, before_h, before), arriving = state, wrap32(a * (1 << ALIGN_BITS))
    e, h = trunc(before_e * alpha.keep_e) + arriving, trunc(before_h * alpha.keep_h) - arriving
    v = trunc((e + h) * alpha.gain)
    if alpha.reset != "none":
        late = resetting(fire(before - alpha.threshold))
        if alpha.reset == "subtract":
            e, h, v = e - late * alpha.threshold, h * (1 - late), v + late * before_h
        else:
            e, h, v = (part * (1 - late) for part in (e, h, v))
    e, h, v = clip(e), clip(h), clip(v)
    return fire(v - alpha.threshold), (e, h, v)
