"""Which nodes of a NIR graph are one population of neurons. This is the only place that decides it.

    LIF, CubaLIF, IF                                         a neuron
    LI -> Output;  LI -> LI -> Output                        a membrane that is read and never fires, and one behind a synaptic current
    LI -> Threshold -> Scale(-theta) -> LI                   reset by subtraction from the next voltage, snnTorch's default
    LI -> Threshold -> Scale(-beta theta) -> LI              subtracted at once: the LI holds the voltage before its reset
    LI -> LI -> Threshold -> Scale -> second LI              the same for a neuron with a synaptic current
    LI -> Threshold, with another Scale back or none         a neuron that never resets and keeps firing; the Scale is a recurrence
    CubaLI -> Output                                         the latter in one node
    LI -> LIF                                                a neuron behind a synaptic current
    I with r = 1 / dt -> anything else                       a sum over time, of counts, which is sent on as it is
    a node noted as a maximum                                a maximum neuron, which sends the largest sum on as it is
    anything else -> Threshold                               a neuron that forgets from step to step; after a SumPool2d a maximum of spikes

Any LI may be an I, which does not leak. Reset by subtraction is a loop because NIR has no word for it.
"""

from dataclasses import dataclass

import nir
import numpy as np

from snnfuse.export.lowering.float_neurons import is_noted
from snnfuse.export.lowering.graph import Graph, of_kind
from snnfuse.export.lowering.maximum_patterns import MaximumNode
from snnfuse.export.lowering.network import Array
from snnfuse.export.lowering.neuron_nodes import INTEGRATORS, membrane
from snnfuse.export.lowering.product_patterns import ProductNode
from snnfuse.export.lowering.registry import find_neuron
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsupportedError
from snnfuse.hardware.ir.lif import Reset

UNIT = 1e-6  # how far r dt of a sum may lie from 1: files may hold float32
SAME = 1e-5  # relative; parameters may be float32, and thresholds nudged by 1e-6


@dataclass(frozen=True)
class Cell:
    """One population: the nodes that spell it.

    Attributes:
        name: the node whose output is its spikes, or its membrane where it never fires.
        membrane: the node that holds the voltage; `name` itself where one node is all of it, otherwise `name` is a threshold on it.
        scale: what is taken away per spike, in a reset by subtraction; a threshold on a membrane without one never resets.
        current: LI or I that holds the synaptic current, where that is a node of its own.
        sums: whether it is an I that adds up its input over time, and sends the sum on.
    """

    name: str
    membrane: str
    scale: str | None = None
    current: str | None = None
    sums: bool = False

    @property
    def entry(self) -> str:
        """The node that input arrives at."""
        return self.current or self.membrane

    @property
    def inner(self) -> frozenset[str]:
        """All its nodes."""
        return frozenset(node for node in (self.name, self.membrane, self.scale, self.current) if node)

    @property
    def edges(self) -> frozenset[tuple[str, str]]:
        """Those that make it up."""
        fires = {(self.membrane, self.name)} if self.name != self.membrane else set()
        loop = {(self.name, self.scale), (self.scale, self.membrane)} if self.scale else set()
        return frozenset(fires | loop | ({(self.current, self.membrane)} if self.current else set()))


def find_cells(graph: Graph, dt: float) -> dict[str, Cell]:
    """Every population of a graph by name, in the order of the nodes, with steps of dt seconds.

    Raises:
        UnsupportedError: a membrane or threshold that is part of none.
    """
    loops = [loop for name in graph.of_type(nir.Threshold) if (loop := _loop_at(graph, name, dt))]
    inside = {name for loop in loops for name in loop.inner}
    leaky = [name for name, node in graph.nodes.items() if name not in inside and _is_membrane(node)]
    readouts = [_readout_at(graph, name, dt) for name in leaky if _is_read(graph, name)]
    inside |= {name for readout in readouts for name in readout.inner}
    firing = [name for name, node in graph.nodes.items() if name not in inside and _fires(node)]
    single = [Cell(name, name, None, _current(graph, name, dt)) for name in firing]
    inside |= {name for cell in single for name in cell.inner}
    sums = [Cell(name, name, sums=True) for name in leaky if name not in inside and _is_sum(graph.nodes[name], dt)]
    inside |= {cell.name for cell in sums}
    for name in leaky:
        if name not in inside:
            raise UnsupportedError(
                f"node {name!r} passes its membrane on; only spikes travel on the chip: add a threshold, or read it as an output"
            )
    cells = {cell.name: cell for cell in (*loops, *readouts, *single, *sums)}
    for cell in cells.values():
        _check_closed(cell, graph)
    return {name: cells[name] for name in graph.nodes if name in cells}


def _loop_at(graph: Graph, threshold: str, dt: float) -> Cell | None:
    before = graph.sources(threshold)
    integrator, nodes = before[0] if len(before) == 1 else "", graph.nodes
    node = nodes.get(integrator)
    if not isinstance(node, INTEGRATORS):
        return None
    scales = [t for t in graph.targets(threshold) if isinstance(nodes[t], nir.Scale) and graph.has_edge(t, integrator)]
    try:
        beta, gain, _ = membrane(integrator, node, dt)
        theta = np.asarray(of_kind(nodes[threshold], nir.Threshold).threshold, np.float64)
        taken = {name: -gain * np.asarray(of_kind(nodes[name], nir.Scale).scale, np.float64) for name in scales}
        resets = [name for name in scales if reset_by(taken[name], theta, beta)]
    except ValueError as error:  # NumPy's, of shapes
        if isinstance(error, SnnfuseError):
            raise
        parts = ", ".join(map(repr, (integrator, threshold, *scales)))
        raise InputError(f"nodes {parts} make up one neuron, and their parameters do not fit each other: {error}") from error
    if not resets and _is_sum(node, dt) and any(t not in (threshold, *scales) for t in graph.targets(integrator)):
        return None  # several read the sum
    return Cell(threshold, integrator, resets[0] if resets else None, _current(graph, integrator, dt))


def reset_by(taken: Array, theta: Array, beta: Array) -> Reset | None:
    """The reset by subtraction that takes `taken` from the voltage per spike, one step later; None where it is none.

    Theta itself is a delayed reset, beta times it an immediate one; with beta close to 1 both may be near, and the nearer one is meant.
    """
    if (theta <= 0).any():
        return None
    delayed, immediate = (float(np.max(np.abs(taken - amount) / theta)) for amount in (theta, beta * theta))
    if not min(delayed, immediate) <= SAME:
        return None
    return "subtract_delayed" if delayed <= immediate else "subtract"


def _is_read(graph: Graph, name: str) -> bool:
    """Whether outputs are all that a membrane leads to."""
    return all(isinstance(graph.nodes[target], nir.Output) for target in graph.targets(name))


def _readout_at(graph: Graph, name: str, dt: float) -> Cell:
    return Cell(name, name, None, _current(graph, name, dt))


def _current(graph: Graph, name: str, dt: float) -> str | None:
    """The integrator that holds the synaptic current of a membrane, if one does."""
    neuron = find_neuron(graph.nodes[name])
    if neuron is None or not neuron.takes_current or is_noted(graph.nodes[name]):
        return None
    found = (s for s in graph.sources(name) if isinstance(graph.nodes[s], INTEGRATORS))
    return next((s for s in found if not (_is_sum(graph.nodes[s], dt) and graph.targets(s) != (name,))), None)


def _is_sum(node: nir.NIRNode, dt: float) -> bool:
    """Whether a step adds the input as it is, and leaves all that was there."""
    return isinstance(node, nir.I) and bool(np.allclose(np.asarray(node.r, np.float64) * dt, 1.0, rtol=0, atol=UNIT))


def _is_membrane(node: nir.NIRNode) -> bool:
    neuron = find_neuron(node)
    return neuron is not None and not neuron.fires


def _fires(node: nir.NIRNode) -> bool:
    neuron = find_neuron(node)
    return isinstance(node, (nir.Threshold, ProductNode, MaximumNode)) or (neuron is not None and neuron.fires)


def _check_closed(cell: Cell, graph: Graph) -> None:
    """Nothing else may read or feed what becomes the inside of one neuron."""
    entering = [(s, name) for name in sorted(cell.inner - {cell.entry}) for s in graph.sources(name)]
    leaving = [(name, t) for name in sorted(cell.inner - {cell.name}) for t in graph.targets(name)]
    for edges, verb in ((entering, "enters"), (leaving, "leaves")):
        for source, target in edges:
            if (source, target) not in cell.edges:
                raise UnsupportedError(
                    f"edge {source!r} -> {target!r} {verb} the inside of the neuron {cell.name!r}; "
                    f"only {cell.entry!r} takes input and only {cell.name!r} gives output"
                )
