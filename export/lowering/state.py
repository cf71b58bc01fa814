"""A NIR graph on its way to a network: what the passes of lowering have found so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import nir

from snnfuse.export.lowering.graph import Edge, Graph
from snnfuse.export.lowering.network import Population, Projection
from snnfuse.export.lowering.neuron_patterns import Cell
from snnfuse.export.lowering.shapes import Shape
from snnfuse.hardware.errors import InputError, SnnfuseError

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Lowering:
    """A graph on its way down; a pass fills in what it finds.

    Attributes:
        graph: without subgraphs.
        dt: seconds per step.
        inputs: shapes of the inputs by name.
        cells: populations by name, as the nodes that spell them.
        regions: linear nodes that hang together, sources before targets.
        shapes: of what every input, population and linear node puts out.
        populations: by name.
        projections: between them.
        outputs: population name by output name.
        membranes: the outputs that read a voltage.
    """

    graph: Graph
    dt: float
    inputs: Mapping[str, Shape] = field(default_factory=dict)
    cells: Mapping[str, Cell] = field(default_factory=dict)
    regions: tuple[tuple[str, ...], ...] = ()
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    populations: Mapping[str, Population] = field(default_factory=dict)
    projections: tuple[Projection, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    membranes: frozenset[str] = frozenset()

    @property
    def nodes(self) -> Mapping[str, nir.NIRNode]:
        """The graph's."""
        return self.graph.nodes

    @property
    def outer_edges(self) -> list[Edge]:
        """The edges between populations, linear nodes, inputs and outputs; one that enters a population has its name."""
        entries = {cell.entry: name for name, cell in self.cells.items()}
        inside = {edge for cell in self.cells.values() for edge in cell.edges}
        return [(s, entries.get(t, t)) for s, t in self.graph.edges if (s, t) not in inside]

    def is_end(self, name: str) -> bool:
        """Whether something sends spikes or values: an input or a population."""
        return name in self.inputs or name in self.cells

    def feeding(self, name: str) -> list[str]:
        """What feeds a population, itself included where it feeds back onto itself."""
        cell = self.cells[name]
        return [s for s in self.graph.sources(cell.entry) if (s, cell.entry) not in cell.edges]

    def is_maximum(self, name: str, neuron: Population) -> bool:
        """Whether a threshold below one spike follows nothing but sums of spikes: a maximum, whatever the threshold is in 0..1."""
        pools = self.graph.sources(name)
        of_spikes = all(isinstance(self.nodes[p], nir.SumPool2d) and {*self.graph.sources(p)} <= self.cells.keys() for p in pools)
        below_one = bool(((neuron.theta >= 0) & (neuron.theta < 1)).all())
        return of_spikes and below_one and isinstance(self.nodes[name], nir.Threshold) and len(pools) == 1


def named(name: str, compute: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What a function computes of a node; whatever a damaged one makes it raise becomes one line that names the node."""
    try:
        return compute(*args, **options)
    except SnnfuseError:
        raise
    except Exception as error:  # a file may hold anything under any name
        said = " ".join(str(error).split())
        raise InputError(f"node {name!r}: its parameters cannot be used: {type(error).__name__}: {said}; write the graph again") from error
