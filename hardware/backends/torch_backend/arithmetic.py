"""The neuron of `snnfuse.hardware.ir.lif` and its roundings as pure functions on tensors of float64 that hold integers.

Why float64: no value here reaches 2**53, so every sum and product is the integer that the reference has (u and v have up to 32 bits,
a decay multiplies by 12), and dividing by a power of two is exact. On a CPU truncation in float64 takes half the time of int64, which
has no vector instruction for it; and gradients can flow: `trunc` and `fire` are arguments, so that training puts functions of the
same value with a gradient of its choice in their place. Where the reference wraps, the derivative here is that of no wrap.

Tensors have any shape that broadcasts; populations are flattened, (batch, neurons).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, DECAY_BITS, INT32, STATE_LIMIT, Int
from snnfuse.hardware.ir.lif import Lif, Reset

DTYPE = torch.float64
LATE = ("subtract_delayed", "subtract_undelayed", "zero_delayed", "zero_stored")  # resets that ask for the stored voltage
Function = Callable[[Tensor], Tensor]


class LifTensors(NamedTuple):
    """Parameters of a population, each () or (neurons,).

    Attributes:
        current_keep, voltage_keep: what a step leaves of u and v, (4096 - decay) / 4096.
        threshold: 64 vth.
        bias: bias_mant 2**bias_exp.
        reset: what a spike does.
        wrap32, wrap24: whether the current's wraps have to be computed; False only where it is proven to stay within.
    """

    current_keep: Tensor
    voltage_keep: Tensor
    threshold: Tensor
    bias: Tensor
    reset: Reset
    wrap32: bool = True
    wrap24: bool = True


class State(NamedTuple):
    """Current and voltage, (batch, neurons)."""

    u: Tensor
    v: Tensor


def lif_tensors(lif: Lif, device: str | torch.device = "cpu", wrap32: bool = True, wrap24: bool = True) -> LifTensors:
    """A population's parameters on a device."""

    def tensor(value: Int | np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(value, np.float64).reshape(-1 if np.ndim(value) else ()), dtype=DTYPE, device=device)

    whole = 1 << DECAY_BITS
    return LifTensors(
        tensor((whole - CURRENT_DECAY_OFFSET - np.asarray(lif.du, np.int64)) / whole),
        tensor((whole - np.asarray(lif.dv, np.int64)) / whole),
        tensor(np.left_shift(np.asarray(lif.vth, np.int64), ALIGN_BITS)),
        tensor(np.left_shift(np.asarray(lif.bias_mant, np.int64), lif.bias_exp)),
        lif.reset,
        wrap32,
        wrap24,
    )


def rest(batch: int, neurons: int, device: str | torch.device = "cpu") -> State:
    """The state at the start of a window."""
    return State(torch.zeros(batch, neurons, dtype=DTYPE, device=device), torch.zeros(batch, neurons, dtype=DTYPE, device=device))


def step(
    lif: LifTensors,
    state: State,
    a: Tensor,
    trunc: Function = torch.trunc,
    fire: Function | None = None,
    resetting: Function | None = None,
) -> tuple[Tensor, State]:
    """One time step.

    Args:
        lif: parameters.
        state: before it.
        a: synaptic input (batch, neurons), any sum of int32 values.
        trunc: rounds towards zero.
        fire: 1.0 where its argument, v - threshold, is above 0, else 0.0.
        resetting: of the spikes, what the reset is computed from, with the same values: `Tensor.detach` keeps gradients out of it.

    Returns:
        Spikes (batch, neurons), 0.0 and 1.0, and the next state.
    """
    fire = fire or heaviside
    resetting = resetting or same
    u = trunc(state.u * lif.current_keep) + a * (1 << ALIGN_BITS)
    if lif.wrap32:
        u = wrap32(u)  # once, for both of the reference's: modulo 2**32 a wrapped sum of wrapped terms is the wrapped sum
    if lif.wrap24:
        u = wrap24(u)
    late = resetting(fire(state.v - lif.threshold)) if lif.reset in LATE else torch.zeros_like(state.v)
    v = trunc((state.v * (1 - late) if lif.reset == "zero_stored" else state.v) * lif.voltage_keep) + u + lif.bias
    if lif.reset == "subtract_delayed":
        v = v - lif.threshold * late
    v = clip(v * (1 - late) if lif.reset == "zero_delayed" else v)
    spikes = fire(v - lif.threshold * (1 + late if lif.reset == "subtract_undelayed" else 1))
    if lif.reset == "zero":
        return spikes, State(u, v * (1 - resetting(spikes)))
    return spikes, State(u, v - lif.threshold * resetting(spikes) if lif.reset in ("subtract", "subtract_undelayed") else v)


def same(x: Tensor) -> Tensor:
    """x."""
    return x


def heaviside(x: Tensor) -> Tensor:
    """1.0 above 0, else 0.0."""
    return (x > 0).to(x.dtype)


def wrap32(x: Tensor) -> Tensor:
    """The low 32 bits as a signed number, for |x| < 2**52."""
    return x - torch.floor((x + INT32) * (0.5 / INT32)) * (2 * INT32)


def wrap24(u: Tensor) -> Tensor:
    """`fixed_point.wrap`: once only, and +2**23 stands."""
    above, below = (u > STATE_LIMIT).to(u.dtype), (u <= -STATE_LIMIT).to(u.dtype)
    return u + (below - above) * (2 * STATE_LIMIT)


def clip(v: Tensor) -> Tensor:
    """The voltage saturates one below the limit on both sides."""
    return v.clamp(1 - STATE_LIMIT, STATE_LIMIT - 1)


def shift(a: Tensor, exponent: int) -> Tensor:
    """a 2**exponent, rounded down for a negative exponent."""
    scaled = a * 2.0**exponent
    return scaled if exponent >= 0 else torch.floor(scaled)


def int64_low32(x: Tensor) -> Tensor:
    """The low 32 bits of int64 as a signed number."""
    return (x + INT32 & (2 * INT32 - 1)) - INT32
