"""Leaky integrate-and-fire with reset by subtraction, in Lava's own fixed-point arithmetic: simulation only, a chip needs neuron
microcode for it.

Both are LIFReset (state zeroed every `reset_interval` steps) with another reset of the voltage; the equations are in
`snnfuse.hardware.ir.lif`. The models inherit protocol, resources and tags; which process one implements is set by hand, for Lava's
decorator refuses a subclass of a model.
"""

import numpy as np

from snnfuse.hardware.backends.lava.stock import LIFReset, PyLifResetModelBitAcc


class LIFSubtract(LIFReset):
    """v' = v' - 64 vth where it spikes. Parameters as in lava.proc.lif.process.LIFReset."""


class LIFSubtractDelayed(LIFReset):
    """64 vth is taken from the voltage one step after the spike, before its threshold: snnTorch's default. Parameters as in
    LIFReset.
    """


class PyLifSubtractModel(PyLifResetModelBitAcc):
    """Lava's model with its reset replaced."""

    implements_process = LIFSubtract

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        self.v -= np.where(spike_vector, self.effective_vth, 0)


class PyLifSubtractDelayedModel(PyLifResetModelBitAcc):
    """Lava's model with the reset moved into the bias of the next step, where it comes before the clip.

    A stored voltage above threshold is a spike of the step before, for nothing resets it.
    """

    implements_process = LIFSubtractDelayed

    def subthr_dynamics(self, activation_in: np.ndarray) -> None:
        self.effective_bias = self.effective_bias - np.where(self.v > self.effective_vth, self.effective_vth, 0)
        super().subthr_dynamics(activation_in)

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        """Nothing yet: see `subthr_dynamics`."""
