"""Graphs within graphs, written out: node "b" of subgraph "a" becomes "a.b".

A subgraph's Input and Output pass on what they get, so that they vanish, and their edges join.
"""

from collections.abc import Iterator, Mapping

import nir
import numpy as np

from snnfuse.export.lowering.graph import Graph
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.reading import check_names

DEEPEST = 32  # subgraphs within each other; a graph that holds itself has no end


def inlined(graph: nir.NIRGraph) -> Graph:
    """The nodes and edges of a graph without subgraphs; each edge once.

    Raises:
        InputError: an edge names no node, a node is none of NIR's, or its name cannot be printed.
        UnsupportedError: an edge leads to a subgraph with several inputs or from one with several outputs, so that it could mean any.
    """
    flat, ports = _written_out(graph)
    for name in ports:
        _pass_on(name, flat)
    check_names(flat.nodes, "a node")
    return flat


def _written_out(graph: nir.NIRGraph) -> tuple[Graph, list[str]]:
    """All nodes and edges, and the names of the subgraphs' inputs and outputs; a subgraph's edges come before those around it."""
    flat, ports = Graph(), list[str]()
    opened = [(graph, "", iter(_items(graph, "")))]
    while opened:
        graph, prefix, items = opened[-1]
        inner = _add_nodes(flat, prefix, items)
        if inner is not None:
            name, subgraph = inner
            opened.append((subgraph, f"{prefix}{name}.", iter(_items(subgraph, f"{prefix}{name}."))))
            if len(opened) > DEEPEST + 1:
                raise InputError(f"{prefix}{name} is a subgraph within {DEEPEST} others; does the graph hold itself?")
            continue
        for edge in _edges(graph, prefix):
            flat.connect(*_ends(graph, prefix, edge))
        ports += [prefix + name for name, node in graph.nodes.items() if prefix and isinstance(node, (nir.Input, nir.Output))]
        opened.pop()
    return flat, ports


def _add_nodes(flat: Graph, prefix: str, items: Iterator[tuple[str, nir.NIRNode]]) -> tuple[str, nir.NIRGraph] | None:
    """Add nodes up to the next that is a graph, which is returned with its name; None behind the last."""
    for name, node in items:
        if isinstance(node, nir.NIRGraph):
            return name, node
        if prefix + name in flat.nodes:
            raise InputError(f"two nodes are called {prefix + name!r} once subgraphs are written out; rename one")
        flat.nodes[prefix + name] = node
    return None


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


def _pass_on(name: str, graph: Graph) -> None:
    """Join the edges around a node that passes on what it gets; where a joined edge would exist twice, it stays as a factor of 1."""
    sources, targets = graph.sources(name), graph.targets(name)
    joined = [(s, t) for s in sources for t in targets]
    if not joined or name in sources or any(graph.has_edge(*edge) for edge in joined):
        graph.nodes[name] = nir.Scale(np.ones(1))
        return
    graph.remove(name)
    for source, target in joined:
        graph.connect(source, target)
