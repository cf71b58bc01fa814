"""snnTorch's alpha neuron in integers: a membrane that is the difference of two synaptic currents, which its resets clear or shift too.

Per time step, for synaptic input a, currents e (excitatory) and h (inhibitory) and voltage v, in 64 bits where nothing else is said:

    A = (a << 6)                                                     << keeps the low 32 bits
    E = decay(e, de) + A           H = decay(h, dh) - A              decay(x, d) = trunc(x (4096 - d) / 4096)
    V = trunc(gain (E + H) / 4096)
    r = v > 64 vth                                                   of the stored v: the spike of the step before

    none       e' = clip(E)                h' = clip(H)              v' = clip(V)
    zero       e' = 0 where r              h' = 0 where r            v' = 0 where r
    subtract   e' = clip(E - 64 vth r)     h' = 0 where r            v' = clip(V + h r)

    s = v' > 64 vth

Source: snnTorch 1.0.0, `snntorch/_neurons/alpha.py`, whose `_base_sub` subtracts the threshold from the excitatory current and adds the
inhibitory one of the step before to the membrane. gain is its tau_alpha = ln(alpha) / (ln(beta) - ln(alpha)) + 1. The recorded v is what it
returns as `mem`. A chip needs neuron microcode for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import FixedPointError
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, DECAY_BITS, NEVER, Int, check_range, clip, decay, held, to_int32
from snnfuse.hardware.ir.json_fields import PARAMETER, SHAPE, TEXT
from snnfuse.hardware.ir.kinds import NeuronKind, Placement, register_neuron
from snnfuse.hardware.ir.nodes import Neuron, State

AlphaReset = Literal["none", "zero", "subtract"]
Sums = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
GAIN_BITS = 18
RANGES = (("de", 0, 1 << DECAY_BITS), ("dh", 0, 1 << DECAY_BITS), ("gain", 0, (1 << GAIN_BITS) - 1), ("vth", 0, NEVER))


@dataclass(frozen=True, eq=False)
class AlphaLif(Neuron):
    """Parameters of a population of alpha neurons, each a scalar or an integer array of `shape`, kept as read-only int32.

    Attributes:
        shape: neurons, without time and batch.
        de, dh: decays of the excitatory and of the inhibitory current, 0..4096; 4096 forgets it at once, 0 never.
        gain: membrane per unit of current, in units of 2**-12; 0..2**18 - 1.
        vth: threshold mantissa, 0..2**17; a neuron fires strictly above 64 vth, and never at 2**17.
        reset: what a spike does, one step later.

    Raises:
        FixedPointError: a parameter is outside its register, or has another shape than the population.
    """

    shape: tuple[int, ...]
    de: Int
    dh: Int
    gain: Int
    vth: Int
    reset: AlphaReset = "zero"
    states: ClassVar[tuple[str, ...]] = ("e", "h", "v")
    membrane: ClassVar[str | None] = "v"
    registers: ClassVar[tuple[str, ...]] = ("de", "dh", "gain", "vth")

    def __post_init__(self) -> None:
        for name, low, high in RANGES:
            value = getattr(self, name)
            check_range(name, value, low, high)
            if np.ndim(value) and np.shape(value) != self.shape:
                raise FixedPointError(f"{name} has shape {np.shape(value)}, the population {self.shape}")
            object.__setattr__(self, name, held(value))
        if self.reset not in get_args(AlphaReset):
            raise FixedPointError(f"reset={self.reset!r} is none of {', '.join(get_args(AlphaReset))}")

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.bool_], State]:
        """One time step of the equations above."""
        arriving = to_int32(inputs[0].astype(np.int64) << ALIGN_BITS).astype(np.int64)
        before_e, before_h, before = state
        e, h, v = (clip(part).astype(np.int32) for part in self.charged(before_e, before_h, before, arriving))
        return v > np.left_shift(self.vth, ALIGN_BITS), (e, h, v)

    def charged(self, e: NDArray[np.int32], h: NDArray[np.int32], v: NDArray[np.int32], arriving: NDArray[np.int64]) -> Sums:
        """The next states before their clips, int64, for an input A that is shifted already."""
        excitatory, inhibitory = decay(e, self.de).astype(np.int64) + arriving, decay(h, self.dh).astype(np.int64) - arriving
        product = (excitatory + inhibitory) * self.gain
        voltage = np.sign(product) * (np.abs(product) >> DECAY_BITS)
        threshold = np.left_shift(self.vth, ALIGN_BITS)
        late = (v > threshold) & (self.reset != "none")
        if self.reset == "subtract":
            return excitatory - late * threshold, np.where(late, 0, inhibitory), voltage + np.where(late, h, 0)
        return np.where(late, 0, excitatory), np.where(late, 0, inhibitory), np.where(late, 0, voltage)


register_neuron(
    NeuronKind(
        AlphaLif,
        {"shape": SHAPE, **dict.fromkeys(AlphaLif.registers, PARAMETER), "reset": TEXT},
        placement=Placement("snnTorch's alpha neuron", "B", "assumed", "two currents and a product in microcode; nothing is published"),
        emulator="snnfuse.hardware.backends.alpha:emulator_form",
        torch="snnfuse.hardware.backends.alpha:torch_form",
        lava="snnfuse.hardware.backends.lava.processes.alpha:ALPHA",
        bounds="snnfuse.hardware.overflow.alpha:ALPHA",
        network="snnfuse.export.lowering.alpha:AlphaNeurons",
        microcode="snnfuse.hardware.backends.microcode:alpha",
        training="snnfuse.nn.neurons:alpha",
    )
)
