"""The one graph of NIR nodes on the way through export: its neighbours are looked up, never searched for."""

from collections.abc import Container, Iterable, Mapping
from itertools import chain, count
from typing import TypeVar

import nir

Edge = tuple[str, str]
N = TypeVar("N", bound=nir.NIRNode)


class Graph:
    """A directed graph of NIR nodes; an edge that is made twice exists once, at the place of the first.

    Attributes:
        nodes: by name; an edge may be made before its nodes are.
    """

    def __init__(self, nodes: Mapping[str, nir.NIRNode] | None = None, edges: Iterable[Edge] = ()) -> None:
        self.nodes = dict(nodes or {})
        self._edges: dict[Edge, None] = {}
        self._sources: dict[str, dict[str, None]] = {}
        self._targets: dict[str, dict[str, None]] = {}
        for source, target in edges:
            self.connect(source, target)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """All edges (source, target), in the order in which they were made."""
        return tuple(self._edges)

    def sources(self, name: str) -> tuple[str, ...]:
        """What leads to a node, in the order of its edges."""
        return tuple(self._sources.get(name, ()))

    def targets(self, name: str) -> tuple[str, ...]:
        """What a node leads to, in the order of its edges."""
        return tuple(self._targets.get(name, ()))

    def of_type(self, *types: type) -> list[str]:
        """The names of all nodes of some types, in order."""
        return [name for name, node in self.nodes.items() if isinstance(node, types)]

    def has_edge(self, source: str, target: str) -> bool:
        """Return True if an edge leads from one node straight to the other."""
        return (source, target) in self._edges

    def connect(self, source: str, target: str) -> None:
        """Add an edge."""
        self._edges[source, target] = None
        self._sources.setdefault(target, {})[source] = None
        self._targets.setdefault(source, {})[target] = None

    def disconnect(self, source: str, target: str) -> None:
        """Remove an edge."""
        del self._edges[source, target], self._sources[target][source], self._targets[source][target]

    def remove(self, name: str) -> None:
        """Remove a node and its edges."""
        for source in self.sources(name):
            self.disconnect(source, name)
        for target in self.targets(name):
            self.disconnect(name, target)
        del self.nodes[name]


def of_kind(node: nir.NIRNode, kind: type[N]) -> N:
    """The node itself, which is known to be of a kind."""
    assert isinstance(node, kind), node
    return node


def fresh_name(name: str, *taken: Container[str]) -> str:
    """The name itself, or with the lowest of _1, _2, ... that makes it one that is in none of the collections."""
    names = chain([name], (f"{name}_{i}" for i in count(1)))
    return next(found for found in names if not any(found in each for each in taken))


def strong_components(names: Iterable[str], edges: Iterable[Edge]) -> dict[str, str]:
    """For each node of a graph the first, in the order of `names`, of those that it reaches and that reach it; linear in time.

    Tarjan's algorithm (SIAM J. Comput. 1, 1972) without recursion; SciPy's brings all of its linear algebra with it.
    """
    following: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        following[source].append(target)
    place = {name: i for i, name in enumerate(following)}
    met, low, waiting, found = dict[str, int](), dict[str, int](), list[str](), dict[str, str]()
    for root in following:
        path = [] if root in met else [(root, iter(following[root]))]
        while path:
            name, others = path[-1]
            if name not in met:
                met[name] = low[name] = len(met)
                waiting.append(name)
            for other in others:
                if other not in met:
                    path.append((other, iter(following[other])))
                    break
                if other not in found:
                    low[name] = min(low[name], low[other])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[name])
                if low[name] == met[name]:
                    members = [waiting.pop()]
                    while members[-1] != name:
                        members.append(waiting.pop())
                    found.update(dict.fromkeys(members, min(members, key=place.__getitem__)))
    return {name: found[name] for name in following}
