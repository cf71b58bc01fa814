"""NIR graph to float network: every node becomes part of a population or of a projection, or is refused by name."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import nir
import numpy as np

from snnfuse.export.lowering.count_proof import unproven
from snnfuse.export.lowering.graph_metadata import read_notes
from snnfuse.export.lowering.linear_nodes import LINEAR_NODES, Composite, bias_of, branches
from snnfuse.export.lowering.network import Array, Network, Population, Projection
from snnfuse.export.lowering.neuron_nodes import FIRING_NODES, LEAKY_NODES, check_numbers
from snnfuse.export.lowering.neuron_patterns import Cell, find_cells
from snnfuse.export.lowering.populations import ANY_SPIKE, build, memoryless, own_shape
from snnfuse.export.lowering.product_patterns import Edges, Port, ProductNode, with_products
from snnfuse.export.lowering.shapes import Shape, as_shape, declared_shape, infer, same_neurons, size
from snnfuse.export.lowering.subgraphs import inlined
from snnfuse.export.lowering.weights import ConvWeights, Weights, from_matrix
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import DELAY_RANGE
from snnfuse.hardware.ledger import Ledger, LedgerEntry

T = TypeVar("T")
KNOWN = (nir.Input, nir.Output, nir.Threshold, *FIRING_NODES, *LEAKY_NODES, *LINEAR_NODES)
DEFAULT_DT = 1e-4
LISTED = 0.25  # share of a kernel that is not zero up to which its synapses are listed, where it moves counts
MISSING_RESET = LedgerEntry("graph", "reset rule read as NIR's: to zero, at once", "the file does not say which it was trained with")
MISSING_DT = LedgerEntry("graph", f"time step dt = {DEFAULT_DT:g} s", "the file does not say it; --dt sets another")


def lower(graph: nir.NIRGraph, dt: float | None = None) -> Network:
    """Lower a NIR graph.

    Args:
        graph: standard primitives; edges into one node add; subgraphs are written out.
        dt: seconds per step; by default what the graph's metadata says, or 1e-4 with a ledger entry.

    Returns:
        Network whose populations carry the names of the NIR nodes that spike.

    Raises:
        UnsupportedError: a node or wiring that cannot be kept, by name.
        InputError: no graph, parameters that are not finite or do not fit their input, an edge to nowhere, or damaged metadata.
    """
    chosen, notes = time_step(graph, dt), read_notes(graph)
    ledger = notes.ledger if notes.ours else (*notes.ledger, MISSING_RESET)
    if dt is None and notes.dt is None:
        ledger += (MISSING_DT,)
    elif None not in (dt, notes.dt) and dt != notes.dt:
        ledger += (LedgerEntry("graph", f"time step read as {dt:g} s", f"asked for with dt; the file says {notes.dt:g} s"),)
    network = _with_products(*inlined(graph), chosen, ledger)
    return replace(network, ledger=network.ledger + tuple(map(_loop_entry, (group for group in network.groups if len(group) > 1))))


def _with_products(nodes: Mapping[str, nir.NIRNode], edges: Edges, dt: float, ledger: Ledger) -> Network:
    """A graph whose products are products where that can be proven, and thresholds where it cannot."""
    without: frozenset[str] = frozenset()
    while True:
        network = Lowering(*with_products(nodes, edges, without), dt).network(ledger)
        failed = unproven(network)
        if not failed:
            return network
        without |= failed


def time_step(graph: nir.NIRGraph, dt: float | None) -> float:
    """Seconds per step: as asked for, else as the metadata says, else `DEFAULT_DT`.

    Raises:
        InputError: no graph, damaged metadata, or no such time.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise InputError(f"a NIR graph is needed, not a {type(graph).__name__}; make one with snnfuse.export.to_nir(model, sample)")
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise InputError(f"dt must be a positive number of seconds, not {dt}")
    return next(float(value) for value in (dt, read_notes(graph).dt, DEFAULT_DT) if value is not None)


def _loop_entry(group: tuple[str, ...]) -> LedgerEntry:
    change = f"every connection within the loop of {', '.join(group)} is read as taking one step"
    return LedgerEntry("graph", change, "NIR does not say where a loop's delay lies")


@dataclass(frozen=True, eq=False)
class Lowering:
    """A graph on its way down.

    Attributes:
        nodes, edges: of a graph without subgraphs.
        dt: seconds per step.
    """

    nodes: Mapping[str, nir.NIRNode]
    edges: tuple[tuple[str, str], ...]
    dt: float

    def network(self, ledger: Ledger) -> Network:
        """Everything together; `lower` says what is refused."""
        self._check_nodes()
        if not self.inputs:
            raise InputError("the graph has no Input node, so that there is nothing to run; add one with its shape")
        if not any(isinstance(node, nir.Output) for node in self.nodes.values()):
            raise InputError("the graph has no Output node, so that there is nothing to read; connect one to its last neurons")
        projections = tuple(p for name in self.cells for p in self._projections(name))
        populations = {name: replace(p, bias=self._bias(name, p)) for name, p in self.populations.items()}
        outputs = {name: self._output(name) for name, node in self.nodes.items() if isinstance(node, nir.Output)}
        return Network(self.inputs, populations, projections, outputs, self.dt, ledger)

    def _check_nodes(self) -> None:
        for name, node in self.nodes.items():
            if not isinstance(node, (ProductNode, *KNOWN)):
                raise UnsupportedError(
                    f"node {name!r} is a {type(node).__name__}, which has no counterpart on the chip yet; "
                    f"these have: {', '.join(sorted(k.__name__ for k in KNOWN if k is not Port))}"
                )
            check_numbers(name, node)
            if not isinstance(node, nir.Output) and not self.targets(name):
                raise UnsupportedError(f"node {name!r} leads nowhere; remove it or connect it to an output")
            if isinstance(node, nir.Output) and self.targets(name):
                raise InputError(f"node {name!r} is an Output, and leads on to {self.targets(name)[0]!r}; read before it")
            if not isinstance(node, nir.Input) and not self.sources(name):
                raise UnsupportedError(f"node {name!r} is fed by nothing; remove it or connect it to an input")
            if isinstance(node, nir.Input) and self.sources(name):
                raise InputError(f"node {name!r} is an Input, and {self.sources(name)[0]!r} leads into it; connect that to what it feeds")

    def sources(self, name: str) -> list[str]:
        """What leads to a node."""
        return [s for s, t in self.edges if t == name]

    def targets(self, name: str) -> list[str]:
        """What a node leads to."""
        return [t for s, t in self.edges if s == name]

    @cached_property
    def inputs(self) -> dict[str, Shape]:
        """Shapes of the inputs."""
        return {name: declared_shape(name, node.input_type) for name, node in self.nodes.items() if isinstance(node, nir.Input)}

    @cached_property
    def cells(self) -> dict[str, Cell]:
        """Populations by name; an output of anything but one of them reads a membrane of its own, which forgets at once."""
        found = find_cells(self.nodes, self.edges, self.dt)
        outputs = [name for name, node in self.nodes.items() if isinstance(node, nir.Output)]
        fires = {name for name, cell in found.items() if not cell.sums and getattr(self.nodes[name], "bounds", (1, 1)) == (1, 1)}
        return found | {name: Cell(name, name) for name in outputs if not (len(s := self.sources(name)) == 1 and s[0] in fires)}

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Of what every input, population and linear node puts out."""
        entries = {cell.entry: name for name, cell in self.cells.items()}
        inside = frozenset().union(*(cell.edges for cell in self.cells.values()))
        targets: dict[str, list[str]] = {}
        for source, target in self.edges:
            if (source, target) not in inside and (target in self.cells or not isinstance(self.nodes[target], nir.Output)):
                targets.setdefault(source, []).append(entries.get(target, target))
        own = {name: named(name, own_shape, cell, self.nodes) for name, cell in self.cells.items()}
        return infer(self.inputs, own, targets, lambda name, fed: self._appended(Composite(fed), name)[0].shape)

    def _appended(self, before: Composite, name: str) -> list[Composite]:
        return named(name, branches, before, name, self.nodes[name], self.dt)

    @cached_property
    def populations(self) -> dict[str, Population]:
        """By name, without what linear nodes add to their input."""
        return {name: named(name, self._population, name, cell) for name, cell in self.cells.items()}

    def _population(self, name: str, cell: Cell) -> Population:
        if isinstance(self.nodes[name], nir.Output):
            return memoryless(self.shapes[name], np.inf)
        neuron = build(cell, self.nodes, self.dt, self.shapes[name])
        return memoryless(neuron.shape, ANY_SPIKE) if self._is_maximum(name, neuron) else neuron

    def _is_maximum(self, name: str, neuron: Population) -> bool:
        """Whether a threshold below one spike follows nothing but sums of spikes: a maximum, whatever the threshold is in 0..1."""
        pools = self.sources(name)
        of_spikes = all(isinstance(self.nodes[p], nir.SumPool2d) and {*self.sources(p)} <= self.cells.keys() for p in pools)
        below_one = bool(((neuron.theta >= 0) & (neuron.theta < 1)).all())
        return of_spikes and below_one and isinstance(self.nodes[name], nir.Threshold) and len(pools) == 1

    def _feeding(self, name: str) -> list[str]:
        """What feeds a population, itself included where it feeds back onto itself."""
        cell = self.cells[name]
        return [s for s in self.sources(cell.entry) if (s, cell.entry) not in cell.edges]

    def _projections(self, target: str) -> list[Projection]:
        ends = {*self.inputs, *self.cells}
        paths = self._paths(self._feeding(target), ends, ())
        is_fixed = self._is_maximum(target, self.populations[target]) or self.populations[target].counts
        found = [
            Projection(path[0], target, self._weights(path[0], target, c), c.lag, is_fixed, getattr(self.nodes[path[-1]], "port", 0))
            for path in paths
            for c in self._composed(path, target)
        ]
        if self.cells[target].sums:
            found.append(Projection(target, target, Composite(self.shapes[target]).resolved(), is_fixed=True))
        return found

    def _weights(self, source: str, target: str, composite: Composite) -> Weights:
        """A path's weights; a convolution that spreads or adds up counts is mostly zeros, and lists the weights that are not."""
        counts = any(name in self.populations and self.populations[name].counts for name in (source, target))
        weights = composite.resolved()
        is_empty = isinstance(weights, ConvWeights) and np.count_nonzero(weights.kernel) <= LISTED * weights.kernel.size
        return from_matrix(weights.matrix) if counts and is_empty else weights

    def _composed(self, path: tuple[str, ...], target: str) -> list[Composite]:
        """A path as one linear map, or one for each of several delays."""
        composites = [Composite(self.shapes[path[0]])]
        for name in path[1:]:
            composites = [after for composite in composites for after in self._appended(composite, name)]
            if not same_neurons(composites[0].shape, self.shapes[name]):
                shapes = f"{composites[0].shape} and {self.shapes[name]}"
                raise InputError(f"node {name!r} is fed with shapes that give {shapes}, which cannot add")
        if not same_neurons(composites[0].shape, self.shapes[target]):
            raise InputError(
                f"{' -> '.join(path)} gives shape {composites[0].shape}, but {target!r} has {self.shapes[target]}; "
                "give both one shape, or flatten in between"
            )
        for composite in composites:
            if composite.lag > DELAY_RANGE[1]:
                raise UnsupportedError(
                    f"{' -> '.join(path)} delays by {composite.lag} steps together; a synapse delays by {DELAY_RANGE[1]} at most: "
                    "shorten a delay, or put a neuron in between"
                )
        return composites

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
        composite = self._appended(Composite(fed[0][0]), name)[0]
        total = bias_of(name, node, composite.shape)
        for _, part in fed:
            if part is not None and isinstance(node, nir.Delay) and part.any():
                raise UnsupportedError(f"node {name!r} delays a bias, which would begin only then; move the bias behind the delay")
            if part is not None:
                passed = (composite.resolved().matrix @ part.ravel()).reshape(composite.shape)
                total = passed if total is None else total + passed
        return composite.shape, total

    def _output(self, name: str) -> str:
        """The population that an output reads."""
        if name in self.cells:
            straight = [source for source in self.sources(name) if source in self.inputs]
            if straight:
                raise UnsupportedError(f"output {name!r} reads the input {straight[0]!r} itself; put a neuron or a linear map in between")
        source = name if name in self.cells else self.sources(name)[0]
        types, shape = self.nodes[name].output_type, self.shapes[source]
        declared = types.get("output") if isinstance(types, Mapping) else None
        # one element is also what NIR infers behind neurons whose parameters are single numbers
        if declared is not None and size(stated := as_shape(name, declared)) != 1 and not same_neurons(stated, shape):
            raise InputError(f"output {name!r} is declared with shape {stated}, but {source!r} has {shape}")
        return source


def named(name: str, compute: Callable[..., T], *args: Any) -> T:
    """What a function computes of a node; whatever a damaged one makes it raise becomes one line that names the node."""
    try:
        return compute(*args)
    except SnnfuseError:
        raise
    except Exception as error:  # a file may hold anything under any name
        said = " ".join(str(error).split())
        raise InputError(f"node {name!r}: its parameters cannot be used: {type(error).__name__}: {said}; write the graph again") from error
