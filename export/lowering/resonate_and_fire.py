"""Resonate-and-fire in the float network: a rotation by 2 pi / period per step that keeps 1 - alpha of the state.

    x' = (1 - alpha) (cos x - sin y) + I        y' = (1 - alpha) (sin x + cos y)        s = x' >= theta and y' >= 0 and y < 0

Source: `snnfuse.hardware.ir.resonate_and_fire`, which has the integers.
"""

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_neurons import Array, FloatNeuron, Shape, register
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, DECAY_BITS, STATE_LIMIT
from snnfuse.hardware.ir.nodes import Neuron
from snnfuse.hardware.ir.resonate_and_fire import ResonateAndFire


@dataclass(frozen=True, eq=False)
class Resonator(FloatNeuron):
    """Float parameters, each one number or an array of the neurons' shape.

    Attributes:
        period: steps per turn, > 0.
        alpha: what a step takes of the state, 0..1.
        theta: least real part at which it fires, > 0.
    """

    period: Array
    alpha: Array
    theta: Array
    kind: ClassVar[type[Neuron]] = ResonateAndFire

    def step(self, state: tuple[Array, ...], x: Array) -> tuple[NDArray[np.bool_], tuple[Array, ...]]:
        (real, imag), sin, cos = state, *self._rotation()
        turned = cos * real - sin * imag + x, sin * real + cos * imag
        return (turned[0] >= self.theta) & (turned[1] >= 0) & (imag < 0), turned

    def quantized(self, shape: Shape, scale: float) -> ResonateAndFire | None:
        """Decays in 12 bits, rounded to the nearest."""
        vth = np.rint(self.theta * scale) * (1 << ALIGN_BITS)
        if (vth < 1).any() or (vth >= STATE_LIMIT).any():
            return None
        sin, cos = (register(part * (1 << DECAY_BITS)) for part in self._rotation())
        return ResonateAndFire(shape, sin, cos, register(vth), state_exp=ALIGN_BITS)

    def stand_in(self, shape: Shape, dt: float) -> nir.NIRNode:
        """A LIF that leaks as much, has the same threshold, and does not turn."""
        leak, theta = (np.broadcast_to(x, shape).astype(np.float64) for x in (np.maximum(self.alpha, 2.0**-40), self.theta))
        return nir.LIF(tau=dt / leak, r=1 / leak, v_leak=np.zeros(shape), v_threshold=theta, v_reset=np.zeros(shape))

    def _rotation(self) -> tuple[Array, Array]:
        angle = 2 * np.pi / np.asarray(self.period)
        return (1 - self.alpha) * np.sin(angle), (1 - self.alpha) * np.cos(angle)
