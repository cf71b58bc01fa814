"""Leaky integrate-and-fire with other resets than to zero at once, in Lava's own fixed-point arithmetic: simulation only, a chip needs
neuron microcode for it.

All are LIFReset (state zeroed every `reset_interval` steps) with another reset of the voltage; the equations are in
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


class LIFSubtractUndelayed(LIFReset):
    """snnTorch's subtraction with reset_delay=False: at once, and above the threshold it fires again only above twice the threshold.
    Parameters as in LIFReset.
    """


class LIFZeroDelayed(LIFReset):
    """The voltage of the step after a spike is zero, whatever arrives. Parameters as in LIFReset."""


class LIFZeroStored(LIFReset):
    """The voltage that a spike leaves is cleared one step later, before it leaks. Parameters as in LIFReset."""


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


class PyLifSubtractUndelayedModel(PyLifSubtractModel):
    """Lava's model that asks for twice the threshold where the stored voltage exceeds it."""

    implements_process = LIFSubtractUndelayed

    def subthr_dynamics(self, activation_in: np.ndarray) -> None:
        self.asked = np.where(self.v > self.effective_vth, 2 * self.effective_vth, self.effective_vth)
        super().subthr_dynamics(activation_in)

    def spiking_activation(self) -> np.ndarray:
        return self.v > self.asked


class PyLifZeroDelayedModel(PyLifResetModelBitAcc):
    """Lava's model whose next voltage is dropped where the stored one exceeds the threshold."""

    implements_process = LIFZeroDelayed

    def subthr_dynamics(self, activation_in: np.ndarray) -> None:
        late = self.v > self.effective_vth
        super().subthr_dynamics(activation_in)
        self.v[late] = 0

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        """Nothing yet: see `subthr_dynamics`."""


class PyLifZeroStoredModel(PyLifResetModelBitAcc):
    """Lava's model with its reset moved to the start of the next step."""

    implements_process = LIFZeroStored

    def subthr_dynamics(self, activation_in: np.ndarray) -> None:
        self.v[self.v > self.effective_vth] = 0
        super().subthr_dynamics(activation_in)

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        """Nothing yet: see `subthr_dynamics`."""
