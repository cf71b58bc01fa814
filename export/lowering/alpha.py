"""snnTorch's alpha neuron in the float network.

    E = alpha e + I        H = beta h - I        V = tau (E + H)        R = [v > theta] of the stored v

    none       e, h, v = E, H, V
    zero       e, h, v = (1 - R) (E, H, V)
    subtract   e = E - R theta,  h = (1 - R) H,  v = V + R h

Source: snnTorch 1.0.0, `snntorch/_neurons/alpha.py`, in its order, so that it rounds alike; the integers are those of
`snnfuse.hardware.ir.alpha`.
"""

from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_neurons import Array, FloatNeuron, Shape, register
from snnfuse.export.lowering.own_parameters import SLOWEST
from snnfuse.export.lowering.reset_notes import MARGIN
from snnfuse.hardware.ir.alpha import GAIN_BITS, AlphaLif, AlphaReset
from snnfuse.hardware.ir.fixed_point import DECAY_BITS, NEVER
from snnfuse.hardware.ir.nodes import Neuron

RESETS: tuple[AlphaReset, ...] = ("subtract", "zero", "none")  # by snnTorch's reset_mechanism_val
WHOLE = 1 << DECAY_BITS


@dataclass(frozen=True, eq=False)
class AlphaNeurons(FloatNeuron):
    """Float parameters, each one number or an array of the neurons' shape.

    Attributes:
        alpha, beta: decays of the excitatory and of the inhibitory current, 1 >= alpha > beta >= 0.
        tau: membrane per unit of current, > 0.
        theta: threshold, > 0.
        reset: 0 by subtraction, 1 to zero, 2 none, alike for all neurons.
    """

    alpha: Array
    beta: Array
    tau: Array
    theta: Array
    reset: Array
    kind: ClassVar[type[Neuron]] = AlphaLif

    @property
    def rule(self) -> AlphaReset:
        """The reset by name."""
        return RESETS[int(np.ravel(self.reset)[0])]

    def step(self, state: tuple[Array, ...], x: Array) -> tuple[NDArray[np.bool_], tuple[Array, ...]]:
        e, h, v = state
        excitatory, inhibitory = self.alpha * e + x, self.beta * h - x
        voltage, late = self.tau * (excitatory + inhibitory), v > self.theta
        if self.rule == "subtract":
            excitatory, voltage = excitatory - self.theta * late, voltage + h * late
        elif self.rule == "zero":
            excitatory, voltage = np.where(late, 0.0, excitatory), np.where(late, 0.0, voltage)
        inhibitory = inhibitory if self.rule == "none" else np.where(late, 0.0, inhibitory)
        return voltage > self.theta, (excitatory, inhibitory, voltage)

    def quantized(self, shape: Shape, scale: float) -> AlphaLif | None:
        """Decays and gain in 12 bits after the point, rounded to the nearest."""
        vth, gain = np.rint(self.theta * scale), np.rint(np.asarray(self.tau) * WHOLE)
        if (vth < 1).any() or (vth >= NEVER).any() or (gain >= 1 << GAIN_BITS).any():
            return None
        de, dh = (register((1 - np.asarray(kept)) * WHOLE) for kept in (self.alpha, self.beta))
        return AlphaLif(shape, de, dh, register(gain), register(vth), self.rule)

    def stand_in(self, shape: Shape, dt: float) -> nir.NIRNode:
        """A CubaLIF with the same response, one step earlier; it resets its membrane to zero at once, and nothing else."""
        alpha, beta, tau, theta = (np.broadcast_to(x, shape).astype(np.float64) for x in (self.alpha, self.beta, self.tau, self.theta))
        theta = theta * (1 + MARGIN)
        fast, slow = (np.maximum(1 - kept, SLOWEST) for kept in (alpha, beta))
        zero = np.zeros(shape)
        return nir.CubaLIF(
            tau_syn=dt / fast, tau_mem=dt / slow, r=tau * (alpha - beta) / slow, v_leak=zero, v_threshold=theta, v_reset=zero.copy(),
            w_in=1 / fast,
        )  # fmt: skip
