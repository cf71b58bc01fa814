"""Which nodes of a NIR graph are one population of neurons. This is the only place that decides it.

    LIF, CubaLIF, IF                                         a neuron
    LI -> Output;  LI -> LI -> Output                        a membrane that is read and never fires, and one behind a synaptic current
    LI -> Threshold -> Scale(-theta) -> LI                   reset by subtraction from the next voltage, snnTorch's default
    LI -> Threshold -> Scale(-beta theta) -> LI              subtracted at once: the LI holds the voltage before its reset
    LI -> LI -> Threshold -> Scale -> second LI              the same for a neuron with a synaptic current
    spikes -> SumPool2d -> Threshold                         a maximum over spikes: a neuron that forgets from step to step

Any LI may be an I, which does not leak. Reset by subtraction is a loop because NIR has no word for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import nir
import numpy as np

from snnfuse.export.neurons import FIRING_NODES, LEAKY_NODES
from snnfuse.hardware.errors import UnsupportedError

Edges = list[tuple[str, str]]


@dataclass(frozen=True)
class Cell:
    """One population: the nodes that spell it.

    Attributes:
        name: the node whose output is its spikes, or its membrane where it never fires.
        membrane: the node that holds the voltage; `name` itself where one node is all of it.
        scale: what is taken away per spike, in a reset by subtraction.
        current: LI or I that holds the synaptic current, where that is a node of its own.
    """

    name: str
    membrane: str
    scale: str | None = None
    current: str | None = None

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
        loop = {(self.membrane, self.name), (self.name, self.scale), (self.scale, self.membrane)} if self.scale else set()
        return frozenset(loop | ({(self.current, self.membrane)} if self.current else set()))


def find_cells(nodes: Mapping[str, nir.NIRNode], edges: Iterable[tuple[str, str]]) -> dict[str, Cell]:
    """Every population of a graph by name, in the order of the nodes.

    Raises:
        UnsupportedError: a membrane or threshold that is part of none.
    """
    edges = list(edges)
    loops = [loop for name, node in nodes.items() if isinstance(node, nir.Threshold) and (loop := _loop_at(nodes, edges, name))]
    inside = frozenset().union(*(loop.inner for loop in loops))
    leaky = [name for name, node in nodes.items() if isinstance(node, LEAKY_NODES) and name not in inside]
    readouts = [_readout_at(nodes, edges, name) for name in leaky if _is_read(nodes, edges, name)]
    inside = inside.union(*(readout.inner for readout in readouts))
    for name in leaky:
        if name not in inside:
            raise UnsupportedError(
                f"node {name!r} passes its membrane on; only spikes travel on the chip: add a threshold, or read it as an output"
            )
    single = [Cell(name, name) for name, node in nodes.items() if name not in inside and _fires(nodes, edges, name, node)]
    cells = {cell.name: cell for cell in (*loops, *readouts, *single)}
    for cell in cells.values():
        _check_closed(cell, edges)
    return {name: cells[name] for name in nodes if name in cells}


def _loop_at(nodes: Mapping[str, nir.NIRNode], edges: Edges, threshold: str) -> Cell | None:
    before = [s for s, t in edges if t == threshold]
    if len(before) != 1 or not isinstance(nodes[before[0]], LEAKY_NODES):
        return None
    membrane = before[0]
    scales = [t for s, t in edges if s == threshold and isinstance(nodes[t], nir.Scale) and (t, membrane) in edges]
    if len(scales) != 1:
        raise UnsupportedError(
            f"node {threshold!r}: a threshold on the membrane {membrane!r} needs one Scale back to it that says what a spike takes away; "
            f"this graph has {len(scales)}. Use a LIF node for reset to zero"
        )
    return Cell(threshold, membrane, scales[0], _current(nodes, edges, membrane))


def _is_read(nodes: Mapping[str, nir.NIRNode], edges: Edges, name: str) -> bool:
    """Whether outputs are all that a membrane leads to."""
    return all(isinstance(nodes[t], nir.Output) for s, t in edges if s == name)


def _readout_at(nodes: Mapping[str, nir.NIRNode], edges: Edges, membrane: str) -> Cell:
    return Cell(membrane, membrane, None, _current(nodes, edges, membrane))


def _current(nodes: Mapping[str, nir.NIRNode], edges: Edges, membrane: str) -> str | None:
    return next((s for s, t in edges if t == membrane and isinstance(nodes[s], LEAKY_NODES)), None)


def _fires(nodes: Mapping[str, nir.NIRNode], edges: Edges, name: str, node: nir.NIRNode) -> bool:
    if isinstance(node, nir.Threshold):
        _check_maximum(nodes, edges, name)
        return True
    return isinstance(node, FIRING_NODES)


def _check_maximum(nodes: Mapping[str, nir.NIRNode], edges: Edges, name: str) -> None:
    """Sums of spikes exceed a threshold below 1 where there is any spike: a maximum (an OR)."""
    theta = np.asarray(nodes[name].threshold)
    pools = [s for s, t in edges if t == name]
    pooled = [s for s, t in edges if t in pools]
    if any(isinstance(nodes[s], nir.Input) for s in pooled):
        raise UnsupportedError(f"node {name!r} takes the maximum of an input; pool spikes, not analog values")
    of_spikes = all(isinstance(nodes[p], nir.SumPool2d) for p in pools) and all(
        isinstance(nodes[s], (nir.Threshold, *FIRING_NODES)) for s in pooled
    )
    if not of_spikes or (theta < 0).any() or (theta >= 1).any():
        raise UnsupportedError(
            f"node {name!r}: a Threshold without a membrane is kept only as a maximum of spikes (directly after a SumPool2d of a "
            "neuron's spikes, threshold in 0..1); use a LIF node"
        )


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
