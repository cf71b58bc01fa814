"""Maxima over windows in a graph: a linear node with a note becomes a port per place of its window, and one node behind them.

NIR has no maximum. Where a network has one, its graph holds the nearest that NIR can say: a mean over the same windows, which is an
AvgPool2d, a convolution or a matrix. The window of each number that it puts out is what has a weight there, and padding is in none. A
note in that node's metadata says that the largest is meant. Readers that do not know the note see the mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np

from snnfuse.export.lowering.graph import Graph
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.maximum import MOST_PORTS

KEY, MAXIMUM = "snnfuse_pool", "max"  # among a node's metadata
POOLS, WEIGHTED = (nir.AvgPool2d, nir.SumPool2d), (nir.Conv1d, nir.Conv2d, nir.Linear, nir.Affine)


@dataclass(eq=False)
class MaximumNode(nir.NIRNode):
    """The largest of what arrives at so many ports, number by number."""

    ports: int

    def __post_init__(self) -> None:
        self.input_type, self.output_type = {"input": np.zeros(0, np.int64)}, {"output": np.zeros(0, np.int64)}  # that of what feeds it


@dataclass(eq=False)
class Place(nir.NIRNode):
    """One place of a window: of the pool's windows, the number that lies there; their last one in those that have no such place.

    Attributes:
        of: the pool's name.
        pool: the linear node whose weights that are not 0 are the windows.
        port: which place, in the order of what the pool reads.
    """

    of: str
    pool: nir.NIRNode
    port: int

    def __post_init__(self) -> None:
        self.input_type, self.output_type = self.pool.input_type, self.pool.output_type


def noted(pool: nir.NIRNode) -> nir.NIRNode:
    """A linear node, with the note that the largest number of its windows is meant."""
    return replace(pool, metadata={**(pool.metadata or {}), KEY: MAXIMUM})


def is_maximum(name: str, node: nir.NIRNode) -> bool:
    """Whether a node stands for the maximum over its windows; InputError where its note is another, or it is none that has windows."""
    metadata = getattr(node, "metadata", None)
    said = metadata.get(KEY) if isinstance(metadata, Mapping) else None
    if said is None:
        return False
    said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    bias = getattr(node, "bias", None)
    if said != MAXIMUM or not isinstance(node, (*POOLS, *WEIGHTED)) or (bias is not None and np.any(bias)):
        raise InputError(
            f"node {name!r}: its metadata says the pool {said[:20]!r}, and it is {_spelt(node, bias)}; "
            f"export the model again, or delete the metadata {KEY!r}"
        )
    return True


def _spelt(node: nir.NIRNode, bias: Any) -> str:
    return f"a {type(node).__name__}" + ("" if bias is None or not np.any(bias) else " with a bias")


def with_maxima(graph: Graph) -> Graph:
    """The graph with a `Place` per place of the window, and a `MaximumNode` behind them, for every node that is noted as a maximum.

    Raises:
        InputError: a note is damaged.
        UnsupportedError: a window has more places than a neuron has ports.
    """
    found = {name: places_of(name, node) for name, node in graph.nodes.items() if is_maximum(name, node)}
    ways = {name: [f"{name} (place {port + 1})" for port in range(count)] for name, count in found.items()}
    made: dict[str, nir.NIRNode] = {name: MaximumNode(count) for name, count in found.items()}
    made |= {way: Place(name, graph.nodes[name], port) for name, each in ways.items() for port, way in enumerate(each)}
    edges = [(source, way) for source, target in graph.edges for way in ways.get(target, [target])]
    edges += [(way, name) for name, each in ways.items() for way in each]
    return Graph(dict(graph.nodes) | made, edges)


def places_of(name: str, pool: Any) -> int:
    """How many places the widest window of a pool has."""
    if isinstance(pool, POOLS):
        count = int(np.prod(np.broadcast_to(np.asarray(pool.kernel_size), (2,)), dtype=np.int64))
    else:
        weight = np.asarray(pool.weight)
        count = int((weight.reshape(len(weight), -1) != 0).sum(1).max(initial=0)) if weight.ndim else 0
    if count < 1:
        raise InputError(f"node {name!r} is noted as a maximum, and its windows hold nothing; export the model again")
    if count > MOST_PORTS:
        reason = f"node {name!r} is a maximum over {count} numbers, and a neuron has {MOST_PORTS} ports at most"
        raise UnsupportedError(f"{reason}; pool in two steps, which gives the same")
    return count
