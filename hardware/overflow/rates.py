"""How often a neuron can spike at most, and what that bounds.

After a reset to zero a neuron must charge anew: at most c per step, so that spikes are m steps apart at least, m the first step
at which its voltage exceeds theta; m + 1 where the step after a spike ends at zero. Where theta is subtracted, k steps hold at most
1 + k c / theta spikes, for each takes theta of what was charged. In both cases the spikes that a synaptic current remembers are at
ages of at least

    0, first, first + every, first + 2 every, ...

and what leaks by a factor D per step sums them up to at most 1 + D**first / (1 - D**every).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import DECAY_BITS
from snnfuse.hardware.ir.lif import Reset

COUNTED = 64  # steps of charging that are counted; slower neurons count as this slow
ENDLESS = 1e12  # the sum without a leak


@dataclass(frozen=True, eq=False)
class Rate:
    """Least ages of the spikes of each neuron: 0, first, first + every, ...; float64 (neurons,)."""

    first: NDArray[np.float64]
    every: NDArray[np.float64]

    def summed(self, kept: float) -> NDArray[np.float64]:
        """The largest sum over spikes of kept**age."""
        if kept >= 1:
            return np.full(self.every.shape, ENDLESS)
        return 1 + kept**self.first / (1 - kept**self.every)


def every_step(neurons: int) -> Rate:
    """A spike, or another message, on every step."""
    return Rate(np.ones(neurons), np.ones(neurons))


def spike_rate(c: NDArray[np.int64], dv: NDArray[np.int64], theta: NDArray[np.int64], reset: Reset) -> Rate:
    """Of neurons whose voltage gains at most c per step.

    Args:
        c: int64 (neurons,).
        dv: voltage decay, 0..4095.
        theta: threshold in units of the voltage.
        reset: what a spike does.
    """
    if reset in ("zero", "zero_stored", "zero_delayed"):
        steps = _steps_to(c, dv, theta).astype(np.float64) + (reset == "zero_delayed")
        return Rate(steps, steps)
    with np.errstate(divide="ignore"):
        every = np.where(c > 0, theta / np.maximum(c, 1), float(COUNTED)).clip(1, COUNTED)
    return Rate(np.where(every > 1, every - 1, 1.0), every)


def _steps_to(c: NDArray[np.int64], dv: NDArray[np.int64], theta: NDArray[np.int64]) -> NDArray[np.int64]:
    """Steps of charging from 0 until the voltage exceeds theta."""
    v, steps = np.zeros_like(c), np.full(c.shape, COUNTED)
    for step in range(1, COUNTED):
        v = (v * ((1 << DECAY_BITS) - dv) >> DECAY_BITS) + c.clip(0)
        steps = np.where((v > theta) & (steps == COUNTED), step, steps)
        v = np.minimum(v, theta + 1)
    return steps
