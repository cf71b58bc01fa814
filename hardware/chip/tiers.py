"""How each kind of node runs on a chip: its tier.

A: on a core as stock silicon has it. B: on a core, with microcode for its neurons. C: on the host or an embedded processor. D: on
nothing; no Program holds such a node, because the compiler refuses it (`snnfuse ops`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from snnfuse.hardware.chip.limits import Status
from snnfuse.hardware.ir.graded import Product, Relay
from snnfuse.hardware.ir.inverse_root import InverseRoot
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Constant, GradedInput, Node, SpikeInput
from snnfuse.hardware.ir.program import Program

Tier = Literal["A", "B", "C", "D"]
MEANING = {
    "A": "a NeuroCore, stock process",
    "B": "a NeuroCore, with neuron microcode",
    "C": "host or embedded processor",
    "D": "nothing runs it; such a network is refused",
}


@dataclass(frozen=True)
class Placement:
    """How one kind of node runs on a chip.

    Attributes:
        what: the node, in words.
        tier: as above.
        status: as for `Limit`.
        source: where it is from.
    """

    what: str
    tier: Tier
    status: Status
    source: str


UNPUBLISHED = "Lava has a fixed-point process of it; its NeuroCore model is not public"
NODES: dict[type, Placement] = {
    SpikeInput: Placement("spikes from outside", "C", "models agree", "lava.proc.embedded_io.spike adapters"),
    GradedInput: Placement("graded spikes from outside", "C", "models agree", "lava.proc.embedded_io.spike adapters"),
    Constant: Placement("a LIF with bias 1 over threshold 0", "A", "models agree", "Lava's LIF; nengo-loihi"),
    Lif: Placement("a stock LIF, if it resets to zero", "A", "measured", "Lava's LIF; a trace of a chip (NIR paper, 01_lif)"),
    Product: Placement("product neuron, lava.proc.prodneuron", "B", "assumed", UNPUBLISHED),
    InverseRoot: Placement("inverse square root by three Newton iterations", "B", "assumed", "no public model: `ir/inverse_root.py`"),
    Relay: Placement("graded relay, lava.proc.graded.GradedVec", "B", "assumed", UNPUBLISHED),
}


def tier(node: Node) -> Tier:
    """How a node runs on a chip; a LIF with a reset other than to zero needs microcode."""
    return "B" if isinstance(node, Lif) and node.reset != "zero" else NODES[type(node)].tier


READOUT: Tier = "C"
"""Where every output is decoded: the host counts spikes, or reads voltages."""


def tiers(program: Program) -> dict[str, Tier]:
    """The tier of every node, and of every output under its own name, which the host decodes."""
    nodes = {name: tier(node) for name, node in program.nodes.items()}
    return nodes | {name: READOUT for name in program.outputs if name not in nodes}


def status(node: Node) -> Status:
    """How sure that is: assumed for all microcode, which is not public, and for a threshold per neuron, as Lava's stock LIF has one."""
    assumed = tier(node) == "B" or np.ndim(getattr(node, "vth", 0)) > 0
    return "assumed" if assumed else NODES[type(node)].status


def statuses(program: Program) -> dict[str, Status]:
    """How sure the tier of every node is."""
    return {name: status(node) for name, node in program.nodes.items()}
