"""NIR graph to float network: every node becomes part of a population or of a projection, or is refused by name."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import nir
import numpy as np

from snnfuse.export.graph_notes import read_notes
from snnfuse.export.network import Array, Network, Population, Projection
from snnfuse.export.neurons import FIRING_NODES, LEAKY_NODES, check_finite
from snnfuse.export.operators import LINEAR_NODES, Composite, append, bias_of
from snnfuse.export.patterns import Cell, find_cells
from snnfuse.export.populations import build, own_shape
from snnfuse.export.shapes import Shape, infer, same_neurons, size
from snnfuse.export.weights import Weights
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ledger import Ledger, LedgerEntry

DEFAULT_DT = 1e-4
MISSING_RESET = LedgerEntry("graph", "reset rule read as NIR's: to zero, at once", "the file does not say which it was trained with")
MISSING_DT = LedgerEntry("graph", f"time step dt = {DEFAULT_DT:g} s", "the file does not say it; --dt sets another")


def lower(graph: nir.NIRGraph, dt: float | None = None) -> Network:
    """Lower a NIR graph.

    Args:
        graph: standard primitives; edges into one node add.
        dt: seconds per step; by default what the graph's metadata says, or 1e-4 with a ledger entry.

    Returns:
        Network whose populations carry the names of the NIR nodes that spike.

    Raises:
        UnsupportedError: a node or wiring that cannot be kept, by name.
        InputError: no graph, parameters that are not finite or do not fit their input, an edge to nowhere, or damaged metadata.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise InputError(f"a NIR graph is needed, not a {type(graph).__name__}; make one with snnfuse.export.to_nir(model, sample)")
    notes = read_notes(graph)
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise InputError(f"dt must be a positive number of seconds, not {dt}")
    ledger = notes.ledger if notes.ours else (*notes.ledger, MISSING_RESET)
    if dt is None and notes.dt is None:
        ledger += (MISSING_DT,)
    elif None not in (dt, notes.dt) and dt != notes.dt:
        ledger += (LedgerEntry("graph", f"time step read as {dt:g} s", f"asked for with dt; the file says {notes.dt:g} s"),)
    chosen = next(float(value) for value in (dt, notes.dt, DEFAULT_DT) if value is not None)
    return _Lowering(graph.nodes, tuple(dict.fromkeys(graph.edges)), chosen).network(ledger)


@dataclass(frozen=True, eq=False)
class _Lowering:
    nodes: Mapping[str, nir.NIRNode]
    edges: tuple[tuple[str, str], ...]
    dt: float

    def network(self, ledger: Ledger) -> Network:
        self._check_nodes()
        projections = tuple(p for name in self.cells for p in self._projections(name))
        populations = {name: replace(p, bias=self._bias(name, p)) for name, p in self.populations.items()}
        outputs = {name: self._output(name) for name, node in self.nodes.items() if isinstance(node, nir.Output)}
        return Network(self.inputs, populations, projections, outputs, self.dt, ledger)

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
            check_finite(name, node)
            if not isinstance(node, nir.Output) and not self.targets(name):
                raise UnsupportedError(f"node {name!r} leads nowhere; remove it or connect it to an output")
            if not isinstance(node, nir.Input) and not self.sources(name):
                raise UnsupportedError(f"node {name!r} is fed by nothing; remove it or connect it to an input")

    def sources(self, name: str) -> list[str]:
        return [s for s, t in self.edges if t == name]

    def targets(self, name: str) -> list[str]:
        return [t for s, t in self.edges if s == name]

    @cached_property
    def inputs(self) -> dict[str, Shape]:
        return {name: _declared(node.input_type["input"]) for name, node in self.nodes.items() if isinstance(node, nir.Input)}

    @cached_property
    def cells(self) -> dict[str, Cell]:
        return find_cells(self.nodes, self.edges)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Of what every input, population and linear node puts out."""
        entries = {cell.entry: name for name, cell in self.cells.items()}
        inside = frozenset().union(*(cell.edges for cell in self.cells.values()))
        targets: dict[str, list[str]] = {}
        for source, target in self.edges:
            if (source, target) not in inside and not isinstance(self.nodes[target], nir.Output):
                targets.setdefault(source, []).append(entries.get(target, target))
        own = {name: own_shape(cell, self.nodes) for name, cell in self.cells.items()}
        return infer(self.inputs, own, targets, lambda name, fed: append(Composite(fed), name, self.nodes[name]).shape)

    @cached_property
    def populations(self) -> dict[str, Population]:
        return {name: build(cell, self.nodes, self.dt, self.shapes[name]) for name, cell in self.cells.items()}

    def _feeding(self, name: str) -> list[str]:
        """What feeds a population, itself included where it feeds back onto itself."""
        cell = self.cells[name]
        return [s for s in self.sources(cell.entry) if (s, cell.entry) not in cell.edges]

    def _projections(self, target: str) -> list[Projection]:
        ends = {*self.inputs, *self.cells}
        return [Projection(path[0], target, self._composed(path, target)) for path in self._paths(self._feeding(target), ends, ())]

    def _composed(self, path: tuple[str, ...], target: str) -> Weights:
        composite = Composite(self.shapes[path[0]])
        for name in path[1:]:
            composite = append(composite, name, self.nodes[name])
            if not same_neurons(composite.shape, self.shapes[name]):
                raise InputError(f"node {name!r} is fed with shapes that give {composite.shape} and {self.shapes[name]}, which cannot add")
        if not same_neurons(composite.shape, self.shapes[target]):
            raise InputError(
                f"{' -> '.join(path)} gives shape {composite.shape}, but {target!r} has {self.shapes[target]}; "
                "give both one shape, or flatten in between"
            )
        return composite.resolved()

    def _paths(self, heads: list[str], ends: Collection[str], behind: tuple[str, ...]) -> list[tuple[str, ...]]:
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

    def _constant_part(self, name: str) -> tuple[Shape, Array | None]:
        """A node's output shape, and its output when no spike arrives; None for zero."""
        if name in self.inputs or name in self.cells:
            return self.shapes[name], None
        node = self.nodes[name]
        fed = [self._constant_part(source) for source in self.sources(name)]
        composite = append(Composite(fed[0][0]), name, node)
        total = bias_of(name, node, composite.shape)
        for _, part in fed:
            if part is not None:
                passed = (composite.resolved().matrix @ part.ravel()).reshape(composite.shape)
                total = passed if total is None else total + passed
        return composite.shape, total

    def _output(self, name: str) -> str:
        sources = self.sources(name)
        if len(sources) != 1 or sources[0] not in self.cells:
            raise UnsupportedError(
                f"output {name!r} reads {', '.join(map(repr, sources))}; an output reads one neuron population: end with a spiking neuron, "
                "or with a leaky one without reset as a membrane readout"
            )
        declared, shape = self.nodes[name].output_type["output"], self.shapes[sources[0]]
        # one element is also what NIR infers behind neurons whose parameters are single numbers
        if declared is not None and size(_declared(declared)) != 1 and not same_neurons(_declared(declared), shape):
            raise InputError(f"output {name!r} is declared with shape {_declared(declared)}, but {sources[0]!r} has {shape}")
        return sources[0]


def _declared(value: object) -> Shape:
    """The shape that an Input or Output states; a single number has shape (1,)."""
    if value is None:
        raise InputError("an Input node without a shape cannot be run; write it with input_type")
    return tuple(int(n) for n in np.ravel(value)) or (1,)
