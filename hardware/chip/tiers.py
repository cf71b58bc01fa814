"""How each kind of node runs on a chip: its tier.

A: on a core as stock silicon has it. B: on a core, with microcode for its neurons. C: on the host or an embedded processor. D: on
nothing; no Program holds such a node, because the compiler refuses it (`snnfuse ops`).
"""

import numpy as np

from snnfuse.hardware.ir.kinds import NEURONS, Placement, Status, Tier
from snnfuse.hardware.ir.nodes import Node
from snnfuse.hardware.ir.program import Program

MEANING = {
    "A": "a NeuroCore, stock process",
    "B": "a NeuroCore, with neuron microcode",
    "C": "host or embedded processor",
    "D": "nothing runs it; such a network is refused",
}


def placements() -> dict[str, Placement]:
    """How every kind of node of this package runs on a chip, by its name."""
    return {kind.name: kind.form("placement") for kind in NEURONS if kind.is_own}


def placement(node: Node) -> Placement:
    """How a node's kind runs on a chip; UnsupportedError where its registration does not say."""
    return NEURONS.of(node).form("placement")


def tier(node: Node) -> Tier:
    """How a node runs on a chip; one with a custom reset needs microcode."""
    return placement(node).tier if node.custom_reset is None else "B"


READOUT: Tier = "C"
"""Where every output is decoded: the host counts spikes, or reads voltages."""


def tiers(program: Program) -> dict[str, Tier]:
    """The tier of every node, and of every output under its own name, which the host decodes."""
    tiers: dict[str, Tier] = {name: tier(node) for name, node in program.nodes.items()}
    for name in program.outputs:
        tiers.setdefault(name, READOUT)
    return tiers


def status(node: Node) -> Status:
    """How sure that is: assumed for all microcode, which is not public, and for a threshold per neuron, as Lava's stock LIF has one."""
    assumed = tier(node) == "B" or np.ndim(getattr(node, "vth", 0)) > 0
    return "assumed" if assumed else placement(node).status


def statuses(program: Program) -> dict[str, Status]:
    """How sure the tier of every node is."""
    return {name: status(node) for name, node in program.nodes.items()}
