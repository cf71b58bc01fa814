"""A float graph cut where a layer was folded to a constant, so that a host can compute the layer itself: a graph in stages.

A folded layer is a `nir.Scale`, and the graph's metadata say what it stands for. What leads to it is a stage that ends in an output; what
it leads to is a later stage, in which it is an input.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import nir
import numpy as np

from snnfuse.export.lowering.graph import Graph
from snnfuse.export.lowering.graph_metadata import KEY, read_notes
from snnfuse.export.staging.staged import StagedGraph
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.graph_order import reachable, topological_order
from snnfuse.hardware.ir.host_steps import HostStep
from snnfuse.hardware.ir.pipeline import Link
from snnfuse.hardware.ledger import to_json

Edges = list[tuple[str, str]]


def cut(graph: nir.NIRGraph) -> StagedGraph:
    """Stages with a host between them, in place of every layer that was folded and that a host can compute.

    Raises:
        InputError: there is none, or the graph's metadata is damaged.
        UnsupportedError: one of them cannot be cut out, by name.
    """
    wires = Graph(graph.nodes, [(source, target) for source, target in graph.edges])
    places = _places(graph, wires)
    levels = _levels(wires, places)
    links = tuple(Link(name, levels[name], name, "steps", (places[name],)) for name in places)
    last = max(levels.values()) + 1
    stages = []
    for level in range(last):
        ends = {name: wires.sources(name)[0] for name in places if levels[name] == level}
        stages.append(_stage(wires, places, ends))
    stages.append(_stage(wires, places, dict.fromkeys(wires.of_type(nir.Output))))
    return StagedGraph(tuple(_with_notes(graph, stages)), links)


def _places(graph: nir.NIRGraph, wires: Graph) -> dict[str, HostStep]:
    """The nodes to cut at, and what a host computes there."""
    notes = read_notes(graph).host_steps
    if not notes:
        raise InputError("the network holds no L2 layer that was folded to a constant, so there is nothing for a host to compute")
    for path, (node, _) in notes.items():
        before = wires.sources(node or "")
        if node is None or not isinstance(graph.nodes.get(node), nir.Scale) or len(before) != 1:
            raise UnsupportedError(
                f"{path}: it normalises the sum or the concatenation of several layers, which no single output holds; "
                "normalise each layer by itself, or export with l2='fold'"
            )
    return {node: step for node, step in notes.values() if node is not None}


def _levels(graph: Graph, places: Mapping[str, HostStep]) -> dict[str, int]:
    """How many cuts lie before each cut, on the longest way."""
    before = {name: [n for n in _leading_to(graph.sources(name), places, graph) if n in places] for name in places}
    order = topological_order(places, [(source, name) for name, sources in before.items() for source in sources])
    if len(order) < len(places):
        name = next(name for name in places if name not in order)
        raise UnsupportedError(f"{name}: it lies in a loop with itself, which no row of programs can run; export with l2='fold'")
    levels: dict[str, int] = {}
    for name in order:
        levels[name] = max((1 + levels[source] for source in before[name]), default=0)
    return levels


def _leading_to(heads: Iterable[str], places: Mapping[str, HostStep], graph: Graph) -> Collection[str]:
    """Everything that leads to some nodes, they included, up to the cuts before them, which are included too."""
    return reachable(heads, lambda name: () if name in places else graph.sources(name))


def _stage(graph: Graph, places: Mapping[str, HostStep], ends: Mapping[str, str | None]) -> tuple[dict[str, nir.NIRNode], Edges]:
    """The part that leads to some ends: outputs of the graph, or cuts with the node that leads there, which become outputs."""
    heads = [before or name for name, before in ends.items()]
    kept = _leading_to(heads, places, graph)
    nodes = {name: nir.Input(_shape(node)) if name in places else node for name, node in graph.nodes.items() if name in kept}
    wires = [(s, t) for s, t in graph.edges if s in kept and t in kept and t not in places]
    for name, before in ends.items():
        if before is not None:
            nodes[name] = nir.Output(_shape(graph.nodes[name]))
            wires.append((before, name))
    return nodes, wires


def _shape(scale: nir.NIRNode) -> Any:
    """As inputs and outputs of NIR take it."""
    assert isinstance(scale, nir.Scale)
    return np.array(np.shape(scale.scale))


def _with_notes(graph: nir.NIRGraph, stages: list[tuple[dict[str, nir.NIRNode], Edges]]) -> list[nir.NIRGraph]:
    """The stages as graphs with the notes of the whole; a change of meaning goes where its node is, that of a cut layer is none now."""
    notes = read_notes(graph)
    about: dict[str, Any] = json.loads(graph.metadata[KEY]) | {"host_steps": {}}
    left = [entry for entry in notes.ledger if entry.node not in notes.host_steps]
    made = []
    for number, (nodes, edges) in enumerate(stages):
        own = [e for e in left if e.node in nodes or number == len(stages) - 1]
        left = [e for e in left if e not in own]
        made.append(nir.NIRGraph(nodes, edges, metadata={KEY: json.dumps(about | {"ledger": to_json(tuple(own))})}))
    return made
