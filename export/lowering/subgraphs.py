"""Graphs within graphs, written out: node "b" of subgraph "a" becomes "a.b".

A subgraph's Input and Output pass on what they get, so that they vanish, and their edges join.
"""

from collections.abc import Mapping

import nir
import numpy as np

from snnfuse.hardware.errors import InputError, UnsupportedError

Edges = tuple[tuple[str, str], ...]
Flat = tuple[dict[str, nir.NIRNode], Edges]
DEEPEST = 32  # subgraphs within each other; a graph that holds itself has no end


def inlined(graph: nir.NIRGraph) -> Flat:
    """The nodes and edges of a graph without subgraphs; each edge once.

    Raises:
        InputError: an edge names no node, or a node is none of NIR's.
        UnsupportedError: an edge leads to a subgraph with several inputs or from one with several outputs, so that it could mean any.
    """
    nodes, edges, ports = _written_out(graph, "", 0)
    for name in ports:
        edges = _without(name, nodes, edges)
    return nodes, tuple(dict.fromkeys(edges))


def _written_out(graph: nir.NIRGraph, prefix: str, depth: int) -> tuple[dict[str, nir.NIRNode], list[tuple[str, str]], list[str]]:
    """Nodes, edges, and the names of the subgraphs' inputs and outputs among the nodes."""
    if depth > DEEPEST:
        raise InputError(f"{prefix.rstrip('.')!r} is a subgraph within {DEEPEST} others; does the graph hold itself?")
    nodes: dict[str, nir.NIRNode] = {}
    inner: list[tuple[str, str]] = []
    ports: list[str] = []
    for name, node in _items(graph, prefix):
        if not isinstance(node, nir.NIRGraph):
            _add(nodes, prefix + name, node)
            continue
        found, edges, further = _written_out(node, f"{prefix}{name}.", depth + 1)
        for each in found.items():
            _add(nodes, *each)
        inner += edges
        own = (f"{prefix}{name}.{child}" for child, kind in node.nodes.items() if isinstance(kind, (nir.Input, nir.Output)))
        ports += [*further, *own]
    return nodes, [*inner, *(_ends(graph, prefix, edge) for edge in _edges(graph, prefix))], ports


def _items(graph: nir.NIRGraph, prefix: str) -> list[tuple[str, nir.NIRNode]]:
    if not isinstance(graph.nodes, Mapping):
        raise InputError(f"the graph {prefix.rstrip('.')!r} holds a {type(graph.nodes).__name__}, not a dictionary of nodes")
    for name, node in graph.nodes.items():
        if not isinstance(name, str) or not isinstance(node, nir.NIRNode):
            raise InputError(f"node {prefix}{name!s} is a {type(node).__name__}, which is no node of NIR")
    return list(graph.nodes.items())


def _edges(graph: nir.NIRGraph, prefix: str) -> list[tuple[str, str]]:
    for edge in graph.edges:
        if not isinstance(edge, (tuple, list)) or len(edge) != 2:
            raise InputError(f"{edge!r} is no edge: a pair of node names is needed")
        for name in edge:
            if not isinstance(name, str) or name not in graph.nodes:
                raise InputError(f"edge {edge[0]!r} -> {edge[1]!r}: the graph has no node {prefix}{name!s}")
    return [(edge[0], edge[1]) for edge in graph.edges]


def _add(nodes: dict[str, nir.NIRNode], name: str, node: nir.NIRNode) -> None:
    if name in nodes:
        raise InputError(f"two nodes are called {name!r} once subgraphs are written out; rename one")
    nodes[name] = node


def _ends(graph: nir.NIRGraph, prefix: str, edge: tuple[str, str]) -> tuple[str, str]:
    source, target = edge
    return (
        _port(graph.nodes[source], prefix + source, nir.Output, "outputs"),
        _port(graph.nodes[target], prefix + target, nir.Input, "inputs"),
    )


def _port(node: nir.NIRNode, name: str, kind: type, word: str) -> str:
    """What an edge really leads to: the only input or output of a subgraph, or any other node itself."""
    if not isinstance(node, nir.NIRGraph):
        return name
    ports = [child for child, each in node.nodes.items() if isinstance(each, kind)]
    if len(ports) != 1:
        raise UnsupportedError(
            f"subgraph {name!r} has {len(ports)} {word}, and an edge does not say which it means; give it one, or write its nodes out"
        )
    return f"{name}.{ports[0]}"


def _without(name: str, nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Join the edges around a node that passes on what it gets; where a joined edge would exist twice, it stays as a factor of 1."""
    sources, targets = [s for s, t in edges if t == name], [t for s, t in edges if s == name]
    joined = [(s, t) for s in sources for t in targets]
    if not joined or name in sources or {*joined} & {*edges}:
        nodes[name] = nir.Scale(np.ones(1))
        return edges
    del nodes[name]
    return [edge for edge in edges if name not in edge] + joined
