"""Resonate-and-fire: a damped oscillator in integers, which fires once per turn if its real part is large enough then.

Per time step, for synaptic inputs a0 (real) and a1 (imaginary, port 1), in 64 bits where nothing else is said:

    x' = clip(scale(cos x) - scale(sin y) + (a0 << state_exp))         scale(p) = trunc(p / 2**decay_bits)
    y' = clip(scale(sin x) + scale(cos y) + (a1 << state_exp))         << keeps the low 32 bits
    s  = x' >= vth  and  y' >= 0  and  y < 0

with cos = (1 - alpha) cos(2 pi / period) 2**decay_bits, and sin likewise. A spike resets nothing: the phase goes on.

Source: Lava 0.10, `lava/proc/rf/models.py`, `PyRFModelFixed`, as it computes: what it declares of its variables (unsigned decays, inputs
of 16 bits) it does not enforce. Its process takes one period, decay and threshold for all neurons, where here each may have its own; it
quantises the decays by truncation (a compiler here rounds them), and leaves them and the threshold floating-point where decay_bits or
state_exp is 0, which are therefore integers here. Model: Izhikevich 2001, "Resonate-and-fire neurons".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import FixedPointError
from snnfuse.hardware.ir.fixed_point import DECAY_BITS, STATE_LIMIT, Int, check_range, clip, held, to_int32
from snnfuse.hardware.ir.json_fields import INTEGER, PARAMETER, SHAPE
from snnfuse.hardware.ir.kinds import NeuronKind, Placement, register_neuron
from snnfuse.hardware.ir.nodes import Neuron, State

DECAY_LIMIT = 1 << DECAY_BITS
RANGES = (
    ("sin_decay", -DECAY_LIMIT, DECAY_LIMIT),
    ("cos_decay", -DECAY_LIMIT, DECAY_LIMIT),
    ("vth", 1 - STATE_LIMIT, STATE_LIMIT - 1),
    ("state_exp", 0, 7),
    ("decay_bits", 0, DECAY_BITS),
)


@dataclass(frozen=True, eq=False)
class ResonateAndFire(Neuron):
    """Parameters of a population of resonators; sin_decay, cos_decay and vth each a scalar or an integer array of `shape`.

    Attributes:
        shape: neurons, without time and batch.
        sin_decay, cos_decay: what a step turns and leaves of the state, in units of 2**-decay_bits; -4096..4096.
        vth: least real part at which a neuron fires; 24 bits with sign.
        state_exp: bits that inputs are shifted left by, 0..7.
        decay_bits: 0..12.

    Raises:
        FixedPointError: a parameter is outside its range, or has another shape than the population.
    """

    shape: tuple[int, ...]
    sin_decay: Int
    cos_decay: Int
    vth: Int
    state_exp: int = 0
    decay_bits: int = DECAY_BITS
    ports: ClassVar[int] = 2
    states: ClassVar[tuple[str, ...]] = ("real", "imag")
    membrane: ClassVar[str | None] = "real"
    registers: ClassVar[tuple[str, ...]] = ("sin_decay", "cos_decay", "vth")

    def __post_init__(self) -> None:
        for name, low, high in RANGES:
            value = getattr(self, name)
            check_range(name, value, low, high)
            if np.ndim(value) and (np.shape(value) != self.shape or name not in self.registers):
                raise FixedPointError(f"{name} has shape {np.shape(value)}, the population {self.shape}")
            object.__setattr__(self, name, held(value))

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.bool_], State]:
        """One time step of the equations above."""
        (x, y), (a0, a1) = state, inputs
        raw = self.turned(x, y, *(to_int32(a.astype(np.int64) << self.state_exp).astype(np.int64) for a in (a0, a1)))
        real, imag = (clip(part).astype(np.int32) for part in raw)
        return (real >= self.vth) & (imag >= 0) & (y < 0), (real, imag)

    def turned(
        self, x: NDArray[np.int32], y: NDArray[np.int32], a0: NDArray[np.int64], a1: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The next state before its clip, int64, for inputs that are shifted already."""
        real = self._scaled(self.cos_decay, x) - self._scaled(self.sin_decay, y) + a0
        return real, self._scaled(self.sin_decay, x) + self._scaled(self.cos_decay, y) + a1

    def _scaled(self, decay: Int, values: NDArray[np.int32]) -> NDArray[np.int64]:
        products = values.astype(np.int64) * decay
        return np.sign(products) * (np.abs(products) >> self.decay_bits)


register_neuron(
    NeuronKind(
        ResonateAndFire,
        {"shape": SHAPE, **dict.fromkeys(ResonateAndFire.registers, PARAMETER), "state_exp": INTEGER, "decay_bits": INTEGER},
        placement=Placement("resonate-and-fire, lava.proc.rf", "B", "assumed", "Lava's NeuroCore model of it is not public"),
        emulator="snnfuse.hardware.backends.resonate_and_fire:emulator_form",
        torch="snnfuse.hardware.backends.resonate_and_fire:torch_form",
        lava="snnfuse.hardware.backends.lava.processes.resonate_and_fire:RESONATE_AND_FIRE",
        bounds="snnfuse.hardware.overflow.resonate_and_fire:RESONATE_AND_FIRE",
        network="snnfuse.export.lowering.resonate_and_fire:Resonator",
        microcode="snnfuse.hardware.backends.microcode:resonate_and_fire",
    )
)
