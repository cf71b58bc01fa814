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
    anything else -> Threshold                               a neuron that forgets from step to step; after a SumPool2d a maximum of spikes

Any LI may be an I, which does not leak. Reset by subtraction is a loop because NIR has no word for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import nir
import numpy as np

from snnfuse.export.lowering.float_neurons import is_noted
from snnfuse.export.lowering.network import Array
from snnfuse.export.lowering.neuron_nodes import FIRING_NODES, INTEGRATORS, LEAKY_NODES, membrane
from snnfuse.export.lowering.product_patterns import ProductNode
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsupportedError
from snnfuse.hardware.ir.lif import Reset

Edges = list[tuple[str, str]]
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


def find_cells(nodes: Mapping[str, nir.NIRNode], edges: Iterable[tuple[str, str]], dt: float) -> dict[str, Cell]:
    """Every population of a graph by name, in the order of the nodes, with steps of dt seconds.

    Raises:
        UnsupportedError: a membrane or threshold that is part of none.
    """
    edges = list(edges)
    loops = [loop for name, node in nodes.items() if isinstance(node, nir.Threshold) and (loop := _loop_at(nodes, edges, name, dt))]
    inside = frozenset().union(*(loop.inner for loop in loops))
    leaky = [name for name, node in nodes.items() if isinstance(node, LEAKY_NODES) and name not in inside]
    readouts = [_readout_at(nodes, edges, name, dt) for name in leaky if _is_read(nodes, edges, name)]
    inside = inside.union(*(readout.inner for readout in readouts))
    firing = [name for name, node in nodes.items() if name not in inside and _fires(node)]
    single = [Cell(name, name, None, _current(nodes, edges, name, dt)) for name in firing]
    inside = inside.union(*(cell.inner for cell in single))
    sums = [Cell(name, name, sums=True) for name in leaky if name not in inside and _is_sum(nodes[name], dt)]
    inside = inside.union(*(cell.inner for cell in sums))
    for name in leaky:
        if name not in inside:
            raise UnsupportedError(
                f"node {name!r} passes its membrane on; only spikes travel on the chip: add a threshold, or read it as an output"
            )
    cells = {cell.name: cell for cell in (*loops, *readouts, *single, *sums)}
    for cell in cells.values():
        _check_closed(cell, edges)
    return {name: cells[name] for name in nodes if name in cells}


def _loop_at(nodes: Mapping[str, nir.NIRNode], edges: Edges, threshold: str, dt: float) -> Cell | None:
    before = [s for s, t in edges if t == threshold]
    if len(before) != 1 or not isinstance(nodes[before[0]], INTEGRATORS):
        return None
    integrator = before[0]
    scales = [t for s, t in edges if s == threshold and isinstance(nodes[t], nir.Scale) and (t, integrator) in edges]
    try:
        beta, gain, _ = membrane(integrator, nodes[integrator], dt)
        theta = np.asarray(nodes[threshold].threshold, np.float64)
        resets = [name for name in scales if reset_by(-gain * np.asarray(nodes[name].scale, np.float64), theta, beta)]
    except ValueError as error:  # NumPy's, of shapes
        if isinstance(error, SnnfuseError):
            raise
        parts = ", ".join(map(repr, (integrator, threshold, *scales)))
        raise InputError(f"nodes {parts} make up one neuron, and their parameters do not fit each other: {error}") from error
    if not resets and _is_sum(nodes[integrator], dt) and any(t not in (threshold, *scales) for s, t in edges if s == integrator):
        return None  # several read the sum
    return Cell(threshold, integrator, resets[0] if resets else None, _current(nodes, edges, integrator, dt))


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


def _is_read(nodes: Mapping[str, nir.NIRNode], edges: Edges, name: str) -> bool:
    """Whether outputs are all that a membrane leads to."""
    return all(isinstance(nodes[t], nir.Output) for s, t in edges if s == name)


def _readout_at(nodes: Mapping[str, nir.NIRNode], edges: Edges, membrane: str, dt: float) -> Cell:
    return Cell(membrane, membrane, None, _current(nodes, edges, membrane, dt))


def _current(nodes: Mapping[str, nir.NIRNode], edges: Edges, membrane: str, dt: float) -> str | None:
    if not isinstance(nodes[membrane], (*INTEGRATORS, nir.LIF, nir.IF)) or is_noted(nodes[membrane]):  # it has a current of its own
        return None
    found = (s for s, t in edges if t == membrane and isinstance(nodes[s], INTEGRATORS))
    return next((s for s in found if not (_is_sum(nodes[s], dt) and any(t != membrane for source, t in edges if source == s))), None)


def _is_sum(node: nir.NIRNode, dt: float) -> bool:
    """Whether a step adds the input as it is, and leaves all that was there."""
    return isinstance(node, nir.I) and bool(np.allclose(np.asarray(node.r, np.float64) * dt, 1.0, rtol=0, atol=UNIT))


def _fires(node: nir.NIRNode) -> bool:
    return isinstance(node, (nir.Threshold, ProductNode, *FIRING_NODES))


def _check_closed(cell: Cell, edges: Edges) -> None:
    """Nothing else may read or feed what becomes the inside of one neuron."""
    for source, target in edges:
        if (source, target) in cell.edges:
            continue
        enters = target in cell.inner and target != cell.entry
        leaves = source in cell.inner and source != cell.name
        if enters or leaves:
            raise UnsupportedError(
                f"edge {source!r} -> {target!r} {'enters' if enters else 'leaves'} the inside of the neuron {cell.name!r}; "
                f"only {cell.entry!r} takes input and only {cell.name!r} gives output"
            )
