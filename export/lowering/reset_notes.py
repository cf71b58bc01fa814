"""Resets that NIR has no words for. In a graph stands the nearest that it can say, with the rule's name in the metadata of the node that
spikes. Readers that do not know the note see the nearest rule; `lower` here sees the rule.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import nir

from snnfuse.export.lowering.network import FloatReset, Population
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.lif import Reset

KEY = "snnfuse_reset"  # among a node's metadata
NEAREST: Mapping[Reset, tuple[Reset, ...]] = {  # with beta = 1, Scale(-beta theta) is read as a delayed subtraction
    "subtract_undelayed": ("subtract", "subtract_delayed"),
    "zero_delayed": ("zero",),
    "zero_stored": ("zero",),
}
MARGIN = 1e-6  # relative: thresholds in graphs of ours are raised by it; above float32's rounding, far below what a weight changes
N = TypeVar("N", bound=nir.NIRNode)


def with_note(node: N, reset: FloatReset) -> N:
    """The node that spikes, with a note of a rule of `NEAREST`; a rule that NIR has needs none."""
    return replace(node, metadata={**(node.metadata or {}), KEY: reset}) if reset in NEAREST else node


def read_note(node: nir.NIRNode) -> str | None:
    """What a node's note says; None where it has none."""
    metadata = getattr(node, "metadata", None)
    said = metadata.get(KEY) if isinstance(metadata, Mapping) else None
    return said.decode(errors="replace") if isinstance(said, bytes) else None if said is None else str(said)


def as_noted(name: str, node: nir.NIRNode, neuron: Population) -> Population:
    """The neurons with the reset of their node's note, where it has one.

    Raises:
        InputError: the note names no rule, or one that the nodes are not the nearest of.
    """
    said = read_note(node)
    if said is None:
        return neuron
    rules = [rule for rule, nearest in NEAREST.items() if rule == said and neuron.reset in nearest]
    if not rules or neuron.reset_to is not None:
        raise InputError(
            f"node {name!r}: its metadata says the reset {said!r}, and its nodes spell {_spelt(neuron.reset)}; "
            f"export the model again, or delete the metadata {KEY!r}"
        )
    (reset,) = rules
    # what is taken is the threshold, which Scale(-beta theta) tells less exactly, and with beta = 0 not at all
    return replace(neuron, reset=reset, taken=neuron.theta / (1 + MARGIN) if reset == "subtract_undelayed" else neuron.taken)


def _spelt(reset: FloatReset) -> str:
    return "none" if reset == "none" else f"{reset!r}"
