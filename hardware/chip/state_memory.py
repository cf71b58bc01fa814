"""Words of state memory that a neuron takes: 64 bits each, on the core that holds it.

A LIF packs current and voltage, 24 bits each, into one word. A neuron in microcode was published with three words for two states (the
Izhikevich neuron of OzU-CAST/LoihiScalingEfficiency, "CxStates": 1 per LIF, 3 per Izhikevich neuron), which is taken for the rule: a
word per state, and one for what arrives. A kind that is known to take others says so in its `Placement`.
"""

from snnfuse.hardware.chip.tiers import placement
from snnfuse.hardware.ir.nodes import Neuron, Node


def state_words(node: Node) -> int:
    """Return the words of state memory of one neuron of a node: its placement's, else 1 of stock kinds and 1 + states of microcode."""
    known = placement(node)
    if known.words is not None:
        return known.words
    return 1 if known.tier == "A" or not isinstance(node, Neuron) else 1 + len(node.states)
