"""The names of every neuron's states, in the order in which snnTorch takes and returns them behind the spikes."""

from snntorch import Leaky, Synaptic

STATES: dict[type, tuple[str, ...]] = {Leaky: ("mem",), Synaptic: ("syn", "mem")}
