"""What graphs say beyond NIR's own nodes, in notes that only this package reads; and what other readers make of them, measured."""

from collections.abc import Mapping
from dataclasses import replace

import nir
import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering import float_neurons, maximum_patterns, reset_notes
from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.outputs import membrane_read
from snnfuse.hardware.ledger import Ledger, LedgerEntry

KEYS = (float_neurons.KEY, maximum_patterns.KEY, reset_notes.KEY)
MAXIMUM = "other readers take the mean of each window in the place of its largest number"
OUTPUT = "other readers see the spikes in the place of the membrane"
NEURON = "other readers see a nir.{} in the place of a {}"
REASON = "NIR has no words for it; a note in the node's metadata, which snnfuse reads, says it"
RESETS = {
    "subtract_undelayed": "other readers subtract the threshold after every spike, also in a step that begins above it",
    "zero_delayed": "other readers reset to zero at once: the step after a spike keeps the input that it receives",
    "zero_stored": "other readers reset to zero at once, so that no membrane above its threshold is read",
}


def without_notes(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The graph as readers see it that do not know the notes of its nodes."""
    nodes = {name: _plain(node) for name, node in graph.nodes.items()}
    return nir.NIRGraph(nodes, graph.edges, metadata=graph.metadata, type_check=False)


def note_entries(graph: nir.NIRGraph, x: Mapping[str, NDArray] | None = None, dt: float | None = None) -> Ledger:
    """An entry for each note of a graph that is handed on as it is, to readers that do not know it.

    Args:
        graph: as traced, or read from a file.
        x: inputs (time, batch, *shape) by name, on which the effect of all notes together is measured; None for none.
        dt: seconds per step; by default the graph's.
    """
    found = [entry for name, node in graph.nodes.items() if (entry := _entry(name, node)) is not None]
    if not found or x is None:
        return tuple(found)
    ours, theirs = (simulate(lower(each, dt), x) for each in (graph, without_notes(graph)))
    return tuple(replace(entry, effect=_effect(entry.node, ours.spikes, theirs.spikes)) for entry in found)


def _plain(node: nir.NIRNode) -> nir.NIRNode:
    metadata = getattr(node, "metadata", None)
    if not isinstance(metadata, Mapping) or not any(key in metadata for key in KEYS):
        return node
    return replace(node, metadata={key: value for key, value in metadata.items() if key not in KEYS})


def _entry(name: str, node: nir.NIRNode) -> LedgerEntry | None:
    if maximum_patterns.is_maximum(name, node):
        return LedgerEntry(name, MAXIMUM, REASON)
    if isinstance(node, nir.Output):
        return LedgerEntry(name, OUTPUT, REASON) if membrane_read(name, node) else None
    reset = reset_notes.read_note(node)
    if reset in RESETS:
        return LedgerEntry(name, RESETS[reset], REASON)
    neuron = float_neurons.read_neuron(name, node)
    return None if neuron is None else LedgerEntry(name, NEURON.format(type(node).__name__, neuron.kind.__name__), REASON)


def _effect(name: str, ours: Mapping[str, NDArray], theirs: Mapping[str, NDArray]) -> str:
    """In the neurons of a node; of one that holds none for other readers, in those of the whole network."""
    alike = {n for n in ours if n in theirs and ours[n].dtype == theirs[n].dtype == np.bool_}
    told = [name] if name in alike else sorted(alike)
    if not told or (name not in alike and name in theirs):
        return ""
    wrong, spikes = (sum(np.count_nonzero(x) for x in each) for each in ((ours[n] != theirs[n] for n in told), (ours[n] for n in told)))
    whole = "" if name in alike else " of the whole network"
    return f"with all notes unread, {wrong} spikes{whole} differ where there are {spikes}, on {ours[told[0]].shape[1]} samples"
