"""Loihi's current-based leaky integrate-and-fire neuron, in integers.

Per time step, for synaptic input a (a sum of weights), current u and voltage v:

    u' = wrap(decay(u, du + 1) + 64 a)
    v' = clip(decay(v, dv) + u' + bias_mant 2**bias_exp)
    s  = v' > 64 vth

with decay(x, d) = trunc(x (4096 - d) / 4096). What a spike does to v' is the reset rule:

    zero                v' = 0 where s                          the chip's own; Lava's LIF; snnTorch's with reset_delay=False
    zero_stored         v' = clip(decay(0, dv) + ...) where r   of Leaky: the stored voltage goes, one step later; the spikes of zero
    zero_delayed        v' = 0 where r                          of snnTorch's other neurons: all of the next voltage goes, u stays
    subtract            v' = v' - 64 vth where s                at once, after every spike
    subtract_delayed    v' = clip(... - 64 vth r)               snnTorch's default: taken from the next voltage, before its threshold
    subtract_undelayed  s = v' > 64 vth (1 + r), v' - 64 vth s  of snnTorch with reset_delay=False: what a reset leaves above the
                                                                threshold fires again only above twice it

with r = v > 64 vth of the stored voltage. All but the first need neuron microcode on a chip. The recorded v is what snnTorch returns as
`mem`: before the reset where that is delayed, after it where it is not.

Source: Lava 0.10, `AbstractPyLifModelFixed`, whose int32 arithmetic is kept: 64 a wraps at 32 bits, and u wraps once at 24
bits, so an input beyond three times the range leaves u outside it. With reset to zero the voltage path, the threshold and the
timing agree with a trace of a real chip (NIR paper, 01_lif). The delayed rules need no memory of the last spike: an unreset v
above threshold *is* one. snnTorch 1.0's rules: `snntorch/_neurons`; that for reset_delay=False in a line, of its P = beta V + I - R theta,
S = [P > theta], V = P - (S - R) theta.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import FixedPointError
from snnfuse.hardware.ir.fixed_point import (
    ALIGN_BITS,
    BIAS_EXPONENT_RANGE,
    BIAS_MANTISSA_RANGE,
    CURRENT_DECAY_OFFSET,
    NEVER,
    Int,
    check_range,
    clip,
    decay,
    held,
    wrap,
)
from snnfuse.hardware.ir.json_fields import PARAMETER, SHAPE, TEXT
from snnfuse.hardware.ir.kinds import NeuronKind, Placement, register_neuron
from snnfuse.hardware.ir.nodes import Neuron, State

Reset = Literal["zero", "subtract", "subtract_delayed", "subtract_undelayed", "zero_delayed", "zero_stored"]


@dataclass(frozen=True, eq=False)
class Lif(Neuron):
    """Parameters of a population of neurons, each a scalar or an integer array of `shape`, kept as read-only int32.

    Attributes:
        shape: neurons, without time and batch.
        du: current decay, -1..4095; 4095 forgets the current at once, -1 never.
        dv: voltage decay, 0..4095; 0 never leaks.
        vth: threshold mantissa, 0..2**17; a neuron fires strictly above 64 vth, and never at 2**17 (a membrane readout).
        bias_mant: added to the voltage every step, shifted left by `bias_exp`; -4096..4095.
        bias_exp: 0..7.
        reset: what a spike does to the voltage.

    Raises:
        FixedPointError: a parameter is outside its register, or has another shape than the population.
    """

    shape: tuple[int, ...]
    du: Int
    dv: Int
    vth: Int
    bias_mant: Int = 0
    bias_exp: Int = 0
    reset: Reset = "zero"
    states: ClassVar[tuple[str, ...]] = ("u", "v")
    membrane: ClassVar[str | None] = "v"
    registers: ClassVar[tuple[str, ...]] = ("du", "dv", "vth", "bias_mant", "bias_exp")

    def __post_init__(self) -> None:
        for name, low, high in RANGES:
            value = getattr(self, name)
            check_range(name, value, low, high)
            if np.ndim(value) and np.shape(value) != self.shape:
                raise FixedPointError(f"{name} has shape {np.shape(value)}, the population {self.shape}")
            object.__setattr__(self, name, held(value))
        if self.reset not in get_args(Reset):
            raise FixedPointError(f"reset={self.reset!r} is none of {', '.join(get_args(Reset))}")

    @property
    def custom_reset(self) -> str | None:
        """Stock silicon resets to zero."""
        return None if self.reset == "zero" else self.reset

    @property
    def is_biased(self) -> bool:
        """Whether any neuron has a bias."""
        return bool(np.any(self.bias_mant))

    def rest(self, batch: int) -> "LifState":
        """No current, no voltage."""
        return LifState(*super().rest(batch))

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.bool_], "LifState"]:
        """One time step of the equations above."""
        (a,) = inputs
        return self.updated(state, a, self.shifted_bias())

    def shifted_bias(self, written: Int | NDArray[np.int64] = 0) -> Any:
        """What is added to the voltage on every step, with what a host has added to the mantissa."""
        return np.left_shift(self.bias_mant + written, self.bias_exp)

    def updated(self, state: State, a: NDArray[np.int32], bias: Int) -> tuple[NDArray[np.bool_], "LifState"]:
        """`step` for a synaptic input and a shifted bias."""
        before_u, before_v = state
        u = wrap(decay(before_u, self.du + CURRENT_DECAY_OFFSET) + (a << ALIGN_BITS))
        spikes, v = self.fired(before_v, clip(self.charged(before_v, u, bias)))
        return spikes, LifState(u, v.astype(np.int32))

    def charged(self, before: NDArray[np.int32], u: NDArray[np.int32], bias: Int | NDArray[np.int64]) -> NDArray[np.int64]:
        """The next voltage before its clip, int64, from the stored one, the new current and a shifted bias; delayed resets are in it."""
        threshold = np.left_shift(self.vth, ALIGN_BITS)
        reset = before > threshold
        stored = np.where(reset, 0, before) if self.reset == "zero_stored" else before
        v = decay(stored, self.dv) + u.astype(np.int64) + bias
        if self.reset == "subtract_delayed":
            v = v - np.where(reset, threshold, 0)
        return np.where(reset, 0, v) if self.reset == "zero_delayed" else v

    def fired(self, before: NDArray, v: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Spikes of a charged voltage, and what an immediate reset leaves of it; `before` is the stored voltage of the step before."""
        threshold = np.left_shift(self.vth, ALIGN_BITS)
        again = (before > threshold) & (self.reset == "subtract_undelayed")
        spikes = v > threshold * (1 + again)
        return spikes, _after_spike(self.reset, v, spikes, threshold)


RANGES = (
    ("du", -1, 4095),
    ("dv", 0, 4095),
    ("vth", 0, NEVER),
    ("bias_mant", *BIAS_MANTISSA_RANGE),
    ("bias_exp", *BIAS_EXPONENT_RANGE),
)


class LifState(NamedTuple):
    """Current and voltage, int32 arrays (batch, *shape)."""

    u: NDArray[np.int32]
    v: NDArray[np.int32]


def _after_spike(reset: Reset, v: NDArray[np.int64], spikes: NDArray[np.bool_], threshold: Int) -> NDArray[np.int64]:
    if reset == "zero":
        return np.where(spikes, 0, v)
    return np.where(spikes, v - threshold, v) if reset in ("subtract", "subtract_undelayed") else v


register_neuron(
    NeuronKind(
        Lif,
        {"shape": SHAPE, **dict.fromkeys((name for name, *_ in RANGES), PARAMETER), "reset": TEXT},
        placement=Placement("a stock LIF, if it resets to zero", "A", "measured", "Lava's LIF; a trace of a chip (NIR paper, 01_lif)"),
        emulator="snnfuse.hardware.backends.emulator.lif:form",
        torch="snnfuse.hardware.backends.torch_backend.neurons:lif",
        lava="snnfuse.hardware.backends.lava.neurons:LIF",
        bounds="snnfuse.hardware.overflow.lif:LIF",
        microcode="snnfuse.hardware.backends.microcode:lif",
        training="snnfuse.nn.neurons:lif",
    )
)
