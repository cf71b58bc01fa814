"""A float graph cut where a layer was folded to a constant, so that a host can compute the layer itself: a graph in stages.

A folded layer is a `nir.Scale`, and the graph's metadata say what it stands for. What leads to it is a stage that ends in an output; what
it leads to is a later stage, in which it is an input.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import nir
import numpy as np

from snnfuse.export.lowering.graph_metadata import KEY, read_notes
from snnfuse.export.staging.staged import StagedGraph
from snnfuse.hardware.errors import InputError, UnsupportedError
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
    places = _places(graph)
    edges = [(source, target) for source, target in graph.edges]
    levels = {name: _level(name, places, edges, ()) for name in places}
    links = tuple(Link(name, levels[name], name, "steps", (places[name],)) for name in places)
    last = max(levels.values()) + 1
    stages = []
    for level in range(last):
        ends = {name: next(s for s, t in edges if t == name) for name in places if levels[name] == level}
        stages.append(_stage(graph, edges, places, ends))
    outputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Output)]
    stages.append(_stage(graph, edges, places, dict.fromkeys(outputs)))
    return StagedGraph(tuple(_with_notes(graph, stages)), links)


def _places(graph: nir.NIRGraph) -> dict[str, HostStep]:
    """The nodes to cut at, and what a host computes there."""
    notes = read_notes(graph).host_steps
    if not notes:
        raise InputError("the network holds no L2 layer that was folded to a constant, so there is nothing for a host to compute")
    for path, (node, _) in notes.items():
        before = [s for s, t in graph.edges if t == node]
        if node is None or not isinstance(graph.nodes.get(node), nir.Scale) or len(before) != 1:
            raise UnsupportedError(
                f"{path}: it normalises the sum or the concatenation of several layers, which no single output holds; "
                "normalise each layer by itself, or export with --l2 fold"
            )
    return {node: step for node, step in notes.values() if node is not None}


def _level(name: str, places: Mapping[str, HostStep], edges: Edges, behind: tuple[str, ...]) -> int:
    """How many cuts lie before a cut, on the longest way."""
    if name in behind:
        raise UnsupportedError(f"{name}: it lies in a loop with itself, which no row of programs can run; export with --l2 fold")
    before = _leading_to([s for s, t in edges if t == name], places, edges)
    return max((1 + _level(other, places, edges, (*behind, name)) for other in before if other in places), default=0)


def _leading_to(heads: Iterable[str], places: Mapping[str, HostStep], edges: Edges) -> set[str]:
    """Everything that leads to some nodes, they included, up to the cuts before them, which are included too."""
    found, waiting = set(), list(heads)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [] if name in places else [s for s, t in edges if t == name]
    return found


def _stage(
    graph: nir.NIRGraph, edges: Edges, places: Mapping[str, HostStep], ends: Mapping[str, str | None]
) -> tuple[dict[str, nir.NIRNode], Edges]:
    """The part that leads to some ends: outputs of the graph, or cuts with the node that leads there, which become outputs."""
    heads = [before or name for name, before in ends.items()]
    kept = _leading_to(heads, places, edges)
    nodes = {name: nir.Input(_shape(node)) if name in places else node for name, node in graph.nodes.items() if name in kept}
    wires = [(s, t) for s, t in edges if s in kept and t in kept and t not in places]
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
