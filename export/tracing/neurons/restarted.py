"""Neurons that forward starts from zeros in every call: without memory, they fire where this step's input exceeds the threshold."""

import copy

import snntorch as snn
import torch
from snntorch import SpikingNeuron
from torch import nn

RESTARTED: tuple[type[nn.Module], ...] = (snn.Leaky, snn.Synaptic)
"""Those whose membrane is then their input: V = beta 0 + I, and of Synaptic I = alpha 0 + input (snnTorch 1.0)."""


def restarted(neuron: SpikingNeuron) -> SpikingNeuron:
    """A neuron that computes in every step what another does from zeros: it keeps nothing, and its reset is over within the step."""
    twin = snn.Leaky(beta=0.0, threshold=1.0, reset_mechanism="zero", reset_delay=False)
    twin.threshold = copy.deepcopy(neuron.threshold)
    twin.graded_spikes_factor = copy.deepcopy(neuron.graded_spikes_factor)
    twin.inhibition = neuron.inhibition
    return twin.to(torch.as_tensor(neuron.threshold).device)
