"""snnTorch's neurons as NIR's standard primitives: what a neuron's rule is, and the nodes that spell it.

`kinds.KINDS` says for every neuron class how its rule is read, `kinds.REFUSED` why the others are not exported.
"""

from snnfuse.export.tracing.neurons.kinds import is_neuron, kind_of, lower_neuron, register_module, states_of
from snnfuse.export.tracing.neurons.restarted import RESTARTED, restarted
from snnfuse.export.tracing.neurons.rule import is_graded, reset_rule, spikes_node, ungraded_output

__all__ = [
    "RESTARTED",
    "is_graded",
    "is_neuron",
    "kind_of",
    "lower_neuron",
    "register_module",
    "reset_rule",
    "restarted",
    "spikes_node",
    "states_of",
    "ungraded_output",
]
