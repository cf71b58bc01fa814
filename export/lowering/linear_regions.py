"""Linear regions: the linear nodes between populations, folded into one map for each pair of populations that they connect.

A region is a graph without loops. In topological order, each node knows the maps that lead to it from every population; where several
from one population with one lag meet, they are added, so that a stage of parallel nodes does not double what is behind it:

    M(s, n) = W_n sum over the sources p of n of M(s, p)

Maps of different structure (a convolution beside a matrix, or beside spikes passed on as they are) stay apart until something has to be
multiplied with them, because they are cheaper apart. So do two chains of nodes that meet only in the population itself: each rounds to
integers of its own scale. Biases take the same way: c(n) = W_n sum of c(p) + b_n.
"""

from collections.abc import Callable, Container, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from snnfuse.export.lowering.linear_map import LinearMap
from snnfuse.export.lowering.maximum_places import check_listed
from snnfuse.export.lowering.network import Array, Population, Projection
from snnfuse.export.lowering.registry import LinearLowering, find_linear
from snnfuse.export.lowering.shapes import Shape, same_neurons
from snnfuse.export.lowering.state import Lowering, named
from snnfuse.export.lowering.weights import ConvWeights, Weights, from_matrix
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import DELAY_RANGE
from snnfuse.hardware.ir.graph_order import reachable, shortest_way, topological_order

LISTED = 0.25  # share of a kernel that is not zero up to which its synapses are listed, where it moves counts
SHOWN = 8  # nodes of a way in a message
K = TypeVar("K", bound=Hashable)


def find_regions(lowering: Lowering) -> Lowering:
    """Find the linear nodes between populations, in an order in which each comes behind what feeds it.

    Raises:
        UnsupportedError: they form a loop without a neuron.
    """
    graph, inside = lowering.graph, {name for cell in lowering.cells.values() for name in cell.inner}
    place = {name: i for i, (name, node) in enumerate(graph.nodes.items()) if name not in inside and find_linear(node)}
    seen: dict[str, None] = {}
    regions = []
    for name in place:
        if name not in seen:
            found = reachable([name], lambda n: (m for m in (*graph.sources(n), *graph.targets(n)) if m in place))
            seen |= found
            regions.append(_ordered(lowering, sorted(found, key=place.__getitem__), place))
    return replace(lowering, regions=tuple(regions))


def _ordered(lowering: Lowering, names: list[str], linear: Container[str]) -> tuple[str, ...]:
    graph = lowering.graph
    order = topological_order(names, [(name, target) for name in names for target in graph.targets(name) if target in linear])
    if len(order) < len(names):
        left = {*names} - {*order}
        loops = (shortest_way(name, name, lambda n: (t for t in graph.targets(n) if t in left)) for name in names if name in left)
        raise UnsupportedError(f"the loop {_shown(next(filter(None, loops)))} holds no neuron; put one in it")
    return order


def fold_regions(lowering: Lowering) -> Lowering:
    """Fold every linear region into projections, and its biases into what populations add to their input.

    Raises:
        InputError: shapes that meet do not fit each other, or weights or biases grow beyond all numbers where they are multiplied.
        UnsupportedError: a delay is longer than a synapse's, or a bias is delayed.
    """
    fold = _Fold(lowering)
    with np.errstate(over="ignore", invalid="ignore"):  # checked at the end, with names
        for region in lowering.regions:
            fold.fold(region)
        projections = tuple(p for name in lowering.cells for p in fold.projections(name))
        populations = {name: replace(p, bias=fold.bias(name, p)) for name, p in lowering.populations.items()}
    for p in projections:
        _check_finite(p.weights.values, f"the weights from {p.source!r} to {p.target!r}")
    for name, p in populations.items():
        _check_finite(p.bias, f"the bias of {name!r}")
    return replace(lowering, projections=projections, populations=populations)


def _check_finite(values: Array, what: str) -> None:
    if not np.isfinite(values).all():
        raise InputError(f"{what}: no finite numbers once the layers on the way are multiplied out; scale these down")


@dataclass(frozen=True, eq=False)
class _Term:
    """What a node puts out, as far as it comes from one population; a sum of several ways, or a chain of nodes."""

    source: str
    map: LinearMap
    is_sum: bool = False

    @property
    def meets(self) -> Hashable:
        """What terms share that become one before something is multiplied with them."""
        return self.source, self.map.lag, self.map.shape

    @property
    def like(self) -> Hashable:
        """What terms share that become one at once."""
        return self.source, self.map.lag, self.map.shape, self.map.structure

    def then(self, after: LinearMap) -> "_Term":
        """The same behind one more map."""
        return replace(self, map=self.map.then(after))


@dataclass(eq=False)
class _Fold:
    """The maps and biases behind each node, while regions are folded."""

    lowering: Lowering
    terms: dict[str, tuple[_Term, ...]] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)  # of nodes that put something out when no spike arrives

    def fold(self, region: tuple[str, ...]) -> None:
        """Go through a region; what nobody reads any more is dropped on the way."""
        graph, within = self.lowering.graph, {*region}
        readers = {name: sum(target in within for target in graph.targets(name)) for name in region}
        for name in region:
            sources = graph.sources(name)
            arriving = _added((term for source in sources for term in self._sent(source)), lambda term: term.like)
            self.terms[name] = self._through(name, arriving)
            constant = self._constant(name, sources)
            self.constants |= {} if constant is None else {name: constant}
            for source in (source for source in sources if source in within):
                readers[source] -= 1
                if not readers[source] and all(target in within for target in graph.targets(source)):
                    del self.terms[source]

    def _sent(self, name: str) -> tuple[_Term, ...]:
        if self.lowering.is_end(name):
            return (_Term(name, LinearMap(self.lowering.shapes[name])),)
        if name in self.terms:
            return self.terms[name]
        raise UnsupportedError(f"{name!r} lies inside a neuron; nothing but the neuron's threshold can be read")

    def _through(self, name: str, arriving: tuple[_Term, ...]) -> tuple[_Term, ...]:
        """What arrives at a linear node, behind it."""
        own = {shape: self._maps(name, shape) for shape in dict.fromkeys(term.map.shape for term in arriving)}
        if any(each.weights is not None for maps in own.values() for each in maps):
            arriving = _added(arriving, lambda term: term.meets)
        check_listed(self.lowering.nodes[name], [(t.map.weights, each.weights) for t in arriving for each in own[t.map.shape]])
        behind = [term.then(each) for term in arriving for each in own[term.map.shape]]
        for term in behind:
            self._check(name, term)
        return _added(behind, lambda term: term.like)

    def _maps(self, name: str, shape: Shape) -> tuple[LinearMap, ...]:
        return node_maps(self.lowering, name, shape)

    def _check(self, name: str, term: _Term) -> None:
        shape, lag = term.map.shape, term.map.lag
        if not same_neurons(shape, self.lowering.shapes[name]):
            shapes = f"{shape} and {self.lowering.shapes[name]}"
            raise InputError(f"node {name!r} is fed with shapes that give {shapes}, which cannot add")
        if lag > DELAY_RANGE[1]:
            raise UnsupportedError(
                f"{self._way(term.source, name)} delays by {lag} steps together; a synapse delays by {DELAY_RANGE[1]} at most: "
                "shorten a delay, or put a neuron in between"
            )

    def _way(self, source: str, name: str) -> str:
        """The linear nodes on a way to a node, in words."""
        linear = {each for region in self.lowering.regions for each in region}
        way = shortest_way(source, name, lambda n: (target for target in self.lowering.graph.targets(n) if target in linear))
        return source if source == name else _shown(way)

    def _constant(self, name: str, sources: Iterable[str]) -> Array | None:
        """What a linear node puts out when no spike arrives; None for zero."""
        node, lowering = self.lowering.nodes[name], _linear(self.lowering, name)
        parts = [self.constants[source] for source in sources if source in self.constants]
        (own, *_) = self._maps(name, self.lowering.shapes[self.lowering.graph.sources(name)[0]])
        total: Array | None = named(name, lowering.bias, name, node, own.shape)
        if lowering.shifts_time and any(part.any() for part in parts):
            raise UnsupportedError(f"node {name!r} delays a bias, which would begin only then; move the bias behind the delay")
        for part in () if lowering.shifts_time else parts:
            passed = np.reshape(own.resolved().matrix @ part.ravel(), own.shape)
            total = passed if total is None else total + passed
        return total

    def projections(self, target: str) -> Iterator[Projection]:
        """What leads to a population, in the order of the edges into it."""
        population = self.lowering.populations[target]
        ports: dict[int, list[_Term]] = {}
        for head in self.lowering.feeding(target):
            terms = self._sent(head)
            for term in terms:
                self._check_end(head, term, target)
            ports.setdefault(self._port(head), []).extend(terms)
        is_fixed = self.lowering.is_maximum(target, population) or population.counts
        for port, terms in ports.items():
            for term in _added_at_end(terms):
                yield Projection(term.source, target, self._weights(term, target), term.map.lag, is_fixed, port)
        if self.lowering.cells[target].sums:
            yield Projection(target, target, LinearMap(self.lowering.shapes[target]).resolved(), is_fixed=True)

    def _check_end(self, head: str, term: _Term, target: str) -> None:
        shape, wanted = term.map.shape, self.lowering.shapes[target]
        if not same_neurons(shape, wanted):
            raise InputError(
                f"{self._way(term.source, head)} gives shape {shape}, but {target!r} has {wanted}; "
                "give both one shape, or flatten in between"
            )

    def _weights(self, term: _Term, target: str) -> Weights:
        """A term's weights; a convolution that spreads or adds up counts, or scales a maximum, is mostly zeros, and lists those that are
        not."""
        source = self.lowering.populations.get(term.source)
        counts = self.lowering.populations[target].counts or (source is not None and source.sends_numbers)
        weights = term.map.resolved()
        is_empty = isinstance(weights, ConvWeights) and np.count_nonzero(weights.kernel) <= LISTED * weights.kernel.size
        return from_matrix(weights.matrix) if counts and is_empty else weights

    def bias(self, target: str, neuron: Population) -> Array:
        """Everything that linear nodes on the way to a population add to its input."""
        total = np.zeros((neuron.ports, *neuron.shape))
        for head in (head for head in self.lowering.feeding(target) if head in self.constants):
            total[self._port(head) if neuron.ports > 1 else 0] += self.constants[head].reshape(neuron.shape)
        return total if neuron.kind == "maximum" else total[0]

    def _port(self, head: str) -> int:
        """Of a population, where a node leads to."""
        return getattr(self.lowering.nodes[head], "port", 0)


def node_maps(lowering: Lowering, name: str, shape: Shape) -> tuple[LinearMap, ...]:
    """A linear node's own maps, for an input of `shape`."""
    return named(name, _linear(lowering, name).maps, name, lowering.nodes[name], shape, lowering.dt)


def _linear(lowering: Lowering, name: str) -> LinearLowering:
    found = find_linear(lowering.nodes[name])
    assert found is not None, name  # regions hold nothing else
    return found


def _added_at_end(terms: list[_Term]) -> tuple[_Term, ...]:
    """Terms that meet in a population: chains stay apart, and whatever is like a sum becomes part of it."""
    sums = {term.like for term in terms if term.is_sum}
    return _added(terms, lambda term: term.like if term.like in sums else id(term))


def _added(terms: Iterable[_Term], key: Callable[[_Term], K]) -> tuple[_Term, ...]:
    """Terms of one key added, in the order of the first of each."""
    found: dict[K, _Term] = {}
    for term in terms:
        before = found.get(key(term))
        found[key(term)] = term if before is None else _Term(term.source, before.map.plus(term.map), is_sum=True)
    return tuple(found.values())


def _shown(way: tuple[str, ...]) -> str:
    return " -> ".join(way if len(way) <= SHOWN else (*way[: SHOWN // 2], "...", *way[-SHOWN // 2 :]))
