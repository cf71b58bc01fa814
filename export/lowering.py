"""NIR graph to float network: every node becomes part of a population or of a projection, or is refused by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import nir
import numpy as np

from snnfuse.export.network import Array, Network, Population, Projection
from snnfuse.export.neurons import FIRING_NODES, LEAKY_NODES, check_finite, population
from snnfuse.export.operators import LINEAR_NODES, Composite, append, bias_of
from snnfuse.export.patterns import Loop, find_loops, fuse, memoryless
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ledger import Ledger, LedgerEntry, from_json

DEFAULT_DT = 1e-4
MISSING_RESET = LedgerEntry("graph", "reset rule read as NIR's: to zero, at once", "the file does not say which it was trained with")


def lower(graph: nir.NIRGraph, dt: float | None = None) -> Network:
    """Lower a NIR graph.

    Args:
        graph: standard primitives; edges into one node add.
        dt: seconds per step; by default what the graph's metadata says, or 1e-4 with a ledger entry.

    Returns:
        Network whose populations carry the names of the NIR nodes that spike.

    Raises:
        UnsupportedError: a node or wiring that cannot be kept, by name.
        InputError: parameters that are not finite or do not fit their input, or an edge to nowhere.
    """
    said = metadata(graph)
    ledger: Ledger = from_json(said.get("ledger", []))
    if not said:
        ledger += (MISSING_RESET,)
    if dt is None and "dt" not in said:
        ledger += (LedgerEntry("graph", f"time step dt = {DEFAULT_DT:g} s", "the file does not say it; --dt sets another"),)
    dt = float(dt if dt is not None else said.get("dt", DEFAULT_DT))
    if not (np.isfinite(dt) and dt > 0):
        raise InputError(f"dt must be a positive number of seconds, not {dt}")
    return _Lowering(graph.nodes, tuple(dict.fromkeys(graph.edges)), dt).network(ledger)


def metadata(graph: nir.NIRGraph) -> dict:
    """What an exporter of ours noted in a graph; empty for a foreign one."""
    text = (graph.metadata or {}).get("snnfuse")
    if text is None:
        return {}
    try:
        said = json.loads(text if isinstance(text, (str, bytes)) else str(text))
    except json.JSONDecodeError as error:
        raise InputError(f"the graph's metadata is damaged: {error}") from None
    if not isinstance(said, dict):
        raise InputError("the graph's metadata is damaged: it is no JSON object")
    return said


@dataclass(frozen=True, eq=False)
class _Lowering:
    nodes: Mapping[str, nir.NIRNode]
    edges: tuple[tuple[str, str], ...]
    dt: float

    def network(self, ledger: Ledger) -> Network:
        self._check_nodes()
        inputs = {name: _shape(node.input_type["input"]) for name, node in self.nodes.items() if isinstance(node, nir.Input)}
        populations = dict(self.populations)
        projections = tuple(p for name in populations for p in self._projections(name, inputs, populations))
        populations = {name: replace(p, bias=self._bias(name, p)) for name, p in populations.items()}
        outputs = {name: self._output(name) for name, node in self.nodes.items() if isinstance(node, nir.Output)}
        return Network(inputs, populations, projections, outputs, self.dt, ledger)

    def _check_nodes(self) -> None:
        known = (nir.Input, nir.Output, nir.Threshold, *FIRING_NODES, *LEAKY_NODES, *LINEAR_NODES)
        for edge in self.edges:
            for name in edge:
                if name not in self.nodes:
                    raise InputError(f"edge {edge[0]!r} -> {edge[1]!r}: the graph has no node {name!r}")
        for name, node in self.nodes.items():
            if not isinstance(node, known):
                raise UnsupportedError(
                    f"node {name!r} is a {type(node).__name__}, which has no counterpart on the chip yet; "
                    f"these have: {', '.join(sorted(k.__name__ for k in known))}"
                )
            check_finite(name, {k: v for k, v in vars(node).items() if isinstance(v, np.ndarray)})
            if not isinstance(node, nir.Output) and not self.targets(name):
                raise UnsupportedError(f"node {name!r} leads nowhere; remove it or connect it to an output")
            if not isinstance(node, nir.Input) and not self.sources(name):
                raise UnsupportedError(f"node {name!r} is fed by nothing; remove it or connect it to an input")

    def sources(self, name: str) -> list[str]:
        return [s for s, t in self.edges if t == name]

    def targets(self, name: str) -> list[str]:
        return [t for s, t in self.edges if s == name]

    @cached_property
    def loops(self) -> dict[str, Loop]:
        return {loop.threshold: loop for loop in find_loops(self.nodes, self.edges)}

    @cached_property
    def populations(self) -> dict[str, Population]:
        inner = frozenset().union(*(loop.inner for loop in self.loops.values()))
        found = {}
        for name, node in self.nodes.items():
            if name in self.loops:
                found[name] = fuse(self.loops[name], self.nodes, self.dt)
            elif isinstance(node, (*FIRING_NODES, *LEAKY_NODES)) and name not in inner:
                found[name] = self._checked_readout(name, population(name, node, self.dt))
            elif isinstance(node, nir.Threshold) and name not in inner:
                found[name] = self._pooling_maximum(name, node)
        return found

    def _checked_readout(self, name: str, found: Population) -> Population:
        if found.is_readout and any(not isinstance(self.nodes[t], nir.Output) for t in self.targets(name)):
            raise UnsupportedError(
                f"node {name!r} passes its membrane on; only spikes travel on the chip: add a threshold, or read it as an output"
            )
        return found

    def _pooling_maximum(self, name: str, node: nir.Threshold) -> Population:
        """A Threshold after sums of spikes is exact when any spike exceeds it, which is a maximum (an OR)."""
        pools = self.sources(name)
        theta = np.asarray(node.threshold, np.float64)
        if not all(isinstance(self.nodes[p], nir.SumPool2d) for p in pools) or (theta < 0).any() or (theta >= 1).any():
            raise UnsupportedError(
                f"node {name!r}: a Threshold without a membrane is kept only as a maximum of spikes (after SumPool2d, threshold in 0..1); "
                "use a LIF node"
            )
        if any(isinstance(self.nodes[s], nir.Input) for p in pools for s in self.sources(p)):
            raise UnsupportedError(f"node {name!r} takes the maximum of an input; pool spikes, not analog values")
        return memoryless(node, tuple(int(n) for n in theta.shape))

    def _entry(self, name: str) -> str:
        return self.loops[name].entry if name in self.loops else name

    def _feeding(self, name: str) -> list[str]:
        """What feeds a population from outside of it."""
        inner = self.loops[name].inner if name in self.loops else frozenset()
        return [s for s in self.sources(self._entry(name)) if s not in inner]

    def _projections(self, target: str, inputs: Mapping[str, tuple[int, ...]], populations: Mapping[str, Population]) -> list[Projection]:
        shapes = {**inputs, **{name: p.shape for name, p in populations.items()}}
        found = []
        for path in self._paths(self._feeding(target), shapes, ()):
            composite = Composite(shapes[path[0]])
            for name in path[1:]:
                composite = append(composite, name, self.nodes[name])
            if np.prod(composite.shape) != np.prod(shapes[target]):
                raise InputError(f"{' -> '.join(path)} gives shape {composite.shape}, but {target!r} has {shapes[target]}")
            found.append(Projection(path[0], target, composite.resolved()))
        return found

    def _paths(self, heads: list[str], ends: Mapping[str, tuple[int, ...]], behind: tuple[str, ...]) -> list[tuple[str, ...]]:
        """All rows of linear nodes that lead to a population, each from the input or population it starts at."""
        paths = []
        for head in heads:
            if head in behind:
                raise UnsupportedError(f"the loop {' -> '.join((head, *behind))} holds no neuron; put one in it")
            if head in ends:
                paths.append((head, *behind))
            elif isinstance(self.nodes[head], LINEAR_NODES):
                paths += self._paths(self.sources(head), ends, (head, *behind))
            else:
                raise UnsupportedError(f"{head!r} lies inside a neuron; nothing but the neuron's threshold can be read")
        return paths

    def _bias(self, name: str, neuron: Population) -> Array:
        """Everything that linear nodes on the way to a population add to its input."""
        parts = [part for source in self._feeding(name) if (part := self._constant_part(source)[1]) is not None]
        return sum((part.reshape(neuron.shape) for part in parts), np.zeros(neuron.shape))

    def _constant_part(self, name: str) -> tuple[tuple[int, ...], Array | None]:
        """A node's output shape, and its output when no spike arrives; None for zero."""
        node = self.nodes[name]
        if isinstance(node, nir.Input):
            return _shape(node.input_type["input"]), None
        if name in self.populations:
            return self.populations[name].shape, None
        fed = [self._constant_part(source) for source in self.sources(name)]
        composite = append(Composite(fed[0][0]), name, node)
        total = bias_of(node, composite.shape)
        for _, part in fed:
            if part is not None:
                passed = (composite.resolved().matrix @ part.ravel()).reshape(composite.shape)
                total = passed if total is None else total + passed
        return composite.shape, total

    def _output(self, name: str) -> str:
        sources = self.sources(name)
        if len(sources) != 1 or sources[0] not in self.populations:
            raise UnsupportedError(
                f"output {name!r} reads {', '.join(map(repr, sources))}; an output reads one neuron population: end with a spiking neuron, "
                "or with a leaky one without reset as a membrane readout"
            )
        return sources[0]


def _shape(value: object) -> tuple[int, ...]:
    if value is None:
        raise InputError("an Input node without a shape cannot be run; write it with input_type")
    return tuple(int(n) for n in np.ravel(value))
