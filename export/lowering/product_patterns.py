"""Products of counts, found in a graph: the thresholds that spell one become one node with two ports.

`snnfuse.export.tracing.emit.products` says how a product is spelled:

    x q = sum_n [x + N q > N + n - 1/2]        one Threshold per n = 1 .. N, fed by x and Scale(N) of q
    y   = sum_m [y > m - 1/2]                  for a count y in 0..M, M > 1, in the place of q: a Threshold per m, each with its Scale

The thresholds must have the same sources and lead to the same nodes, and nothing else may read a Scale or a y's threshold. Whatever is
nearly like it stays thresholds. That x and q are counts within N and M is for `count_proof` to prove, on the network.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import nir
import numpy as np

from snnfuse.export.lowering.graph import Graph, of_kind


@dataclass(eq=False)
class ProductNode(nir.NIRNode):
    """A product of two counts, number by number.

    Attributes:
        shape: of both and of the result.
        bounds: (N, M) that they never exceed.
    """

    shape: tuple[int, ...]
    bounds: tuple[int, int]

    def __post_init__(self) -> None:
        self.input_type, self.output_type = {"input": np.array(self.shape)}, {"output": np.array(self.shape)}


@dataclass(eq=False)
class Port(nir.NIRNode):
    """Where one factor of a product arrives: 0 or 1."""

    shape: tuple[int, ...]
    port: int

    def __post_init__(self) -> None:
        self.input_type, self.output_type = {"input": np.array(self.shape)}, {"output": np.array(self.shape)}


@dataclass(frozen=True)
class _Gated:
    """x q: the thresholds over x and one gate."""

    thresholds: tuple[str, ...]
    x: frozenset[str]
    gate: str
    targets: frozenset[str]

    @property
    def count(self) -> int:
        return len(self.thresholds)


@dataclass(frozen=True)
class _Product:
    """x y: one part for each level of y, which are none where it is a spike."""

    name: str
    parts: tuple[_Gated, ...]
    levels: tuple[str, ...]

    def port(self, number: int) -> str:
        return f"{self.name} (factor {number + 1})"

    def nodes(self, graph: Graph) -> Iterator[tuple[str, ProductNode | Port]]:
        """What stands for the thresholds."""
        shape = _shape(graph, self.parts[0].thresholds[0])
        yield self.name, ProductNode(shape, (self.parts[0].count, max(1, len(self.levels))))
        yield from ((self.port(i), Port(shape, i)) for i in range(2))

    def ends(self, graph: Graph) -> Iterator[tuple[str, str | None]]:
        """Where an edge into each of its nodes now leads; None where it lies inside."""
        for part in self.parts:
            yield from ((threshold, self.port(0)) for threshold in part.thresholds)
            yield part.gate, None if self.levels else self.port(1)
        yield from ((level, self.port(1)) for level in self.levels)


def _uniform(graph: Graph, name: str, kind: type[nir.NIRNode], key: str) -> float | None:
    """The one number that a node of a kind holds; None for several, or another node."""
    try:
        value = np.asarray(getattr(graph.nodes[name], key)) if isinstance(graph.nodes[name], kind) else np.zeros(0)
    except ValueError:  # lists of different lengths
        return None
    if value.dtype.kind not in "fiub":  # a damaged graph's, which lowering refuses by name, as above
        return None
    return float(value.flat[0]) if value.size and (value == value.flat[0]).all() else None


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    """Of the numbers of a Threshold or Scale."""
    node = graph.nodes[name]
    return np.shape(node.threshold if isinstance(node, nir.Threshold) else of_kind(node, nir.Scale).scale)


def with_products(graph: Graph, without: frozenset[str] = frozenset()) -> Graph:
    """The graph with every product as a `ProductNode` behind two `Port`s, but for those called as in `without`."""
    found = [product for product in _named_apart(_by_levels(graph, _all_gated(graph))) if product.name not in without]
    sends = {threshold: product.name for product in found for part in product.parts for threshold in part.thresholds}
    ends = {end: port for product in found for end, port in product.ends(graph)}
    made = {name: node for product in found for name, node in product.nodes(graph)}
    links = [(sends.get(s, s), ends.get(t, t)) for s, t in graph.edges if s in sends or s not in ends]
    inner = [(product.port(i), product.name) for product in found for i in range(2)]
    kept = {name: node for name, node in graph.nodes.items() if name not in sends and name not in ends}
    return Graph(kept | made, [(s, t) for s, t in links if t is not None] + inner)


def _named_apart(found: list[_Product]) -> list[_Product]:
    """The same, those of a name that another one has called after their first threshold."""
    names = Counter(product.name for product in found)
    return [product if names[product.name] == 1 else replace(product, name=product.parts[0].thresholds[0]) for product in found]


def _all_gated(graph: Graph) -> list[_Gated]:
    groups: dict[tuple, list[str]] = {}
    for name in graph.of_type(nir.Threshold):
        sources, targets = graph.sources(name), graph.targets(name)
        if len(sources) > 1 and _uniform(graph, name, nir.Threshold, "threshold"):
            key = frozenset(sources), frozenset(targets), _shape(graph, name)
            groups.setdefault(key, []).append(name)
    found = (_gated(graph, sources, targets, names) for (sources, targets, _), names in groups.items())
    return [gated for gated in found if gated is not None]


def _gated(graph: Graph, sources: frozenset[str], targets: frozenset[str], names: list[str]) -> _Gated | None:
    """Thresholds of the same sources and targets as a product; None where they are none."""
    count, thetas = len(names), {_uniform(graph, name, nir.Threshold, "threshold"): name for name in names}
    gates = [s for s in sources if _uniform(graph, s, nir.Scale, "scale") == count and {*graph.targets(s)} == {*names}]
    wanted = [count + n - 0.5 for n in range(1, count + 1)]
    if len(gates) != 1 or thetas.keys() != {*wanted} or _shape(graph, gates[0]) != _shape(graph, names[0]):
        return None
    return _Gated(tuple(thetas[theta] for theta in wanted), sources - {gates[0]}, gates[0], targets)


def _by_levels(graph: Graph, gated: list[_Gated]) -> list[_Product]:
    """Parts over the levels of one count are one product."""
    alike: dict[tuple, dict[float, _Gated]] = {}
    for part in gated:
        (level, *others) = graph.sources(part.gate) or ("",)
        theta = None if others or not level else _uniform(graph, level, nir.Threshold, "threshold")
        if theta is not None and graph.targets(level) == (part.gate,):
            alike.setdefault((part.x, part.targets, part.count, frozenset(graph.sources(level))), {})[theta] = part
    found, inside = [], set()
    for parts in alike.values():
        if len(parts) > 1 and sorted(parts) == [m - 0.5 for m in range(1, len(parts) + 1)]:
            ordered = tuple(parts[theta] for theta in sorted(parts))
            levels = tuple(graph.sources(part.gate)[0] for part in ordered)
            found.append(_Product(_name(graph, ordered), ordered, levels))
            inside.update(part.gate for part in ordered)
    return found + [_Product(_name(graph, (part,)), (part,), ()) for part in gated if part.gate not in inside]


def _name(graph: Graph, parts: tuple[_Gated, ...]) -> str:
    """What the names of the thresholds begin with, or the first of them."""
    names = [name for part in parts for name in part.thresholds]
    shared = os.path.commonprefix(names).rstrip(".") if len(names) > 1 else names[0]
    return shared if shared and (shared not in graph.nodes or shared in names) else min(names)
