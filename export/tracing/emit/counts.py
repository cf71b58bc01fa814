"""What is known of numbers that flow between nodes: that they are counts, and how high they reach.

A count is a factor times an integer from 0 to a bound: spikes, and whatever comes of them by weights that are whole multiples of one
number and not negative. Only such numbers can be multiplied with each other in NIR's own nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import nir
import numpy as np
from scipy import sparse

from snnfuse.export.lowering.graph import Graph
from snnfuse.export.lowering.linear_map import LinearMap
from snnfuse.export.lowering.maximum_patterns import is_maximum
from snnfuse.export.lowering.nir_nodes import find_linear
from snnfuse.export.lowering.registry import LinearLowering
from snnfuse.export.tracing.emit.signals import Signal
from snnfuse.export.tracing.nodes.pieces import Array
from snnfuse.hardware.ir.graph_order import reachable, topological_order

WHOLE = 1e-9  # relative: how far a weight may lie from a multiple of the smallest


@dataclass(frozen=True, eq=False)
class Count:
    """factor times an integer from 0 to `most`, number by number."""

    factor: float
    most: Array


@dataclass(frozen=True)
class NoCount:
    """Numbers that are none, and why."""

    reason: str


def count_of(signal: Signal, graph: Graph, known: Mapping[str, Array]) -> Count | NoCount:
    """Whether a signal is a count.

    Args:
        signal: in question.
        graph: as it is so far.
        known: how high the integers of some nodes reach: of those that spike, and of sums over time.
    """
    if signal.constant is not None:
        return NoCount("a constant is added to it")
    counts = _of_nodes([name for part in signal.parts for name in part.nodes], graph, known)
    found = [(part.matrix, counts[name]) for part in signal.parts for name in part.nodes]
    wrong = next((count for _, count in found if isinstance(count, NoCount)), None)
    return wrong or _summed([(matrix, count) for matrix, count in found if isinstance(count, Count)])


def _summed(terms: list[tuple[sparse.csr_matrix, Count]]) -> Count | NoCount:
    """The sum of matrix @ count over all terms."""
    weights = [matrix.data * count.factor for matrix, count in terms]
    every = np.concatenate([w[w != 0] for w in weights]) if weights else np.ones(0)
    if not every.size:
        return NoCount("it is zero")
    if (every < 0).any():
        return NoCount("it takes something away")
    unit = float(every.min())
    if (np.abs(every / unit - np.rint(every / unit)) > WHOLE * every / unit).any():
        return NoCount("its weights are no multiples of one number")
    whole = [sparse.csr_matrix((np.rint(w / unit), m.indices, m.indptr), m.shape) for w, (m, _) in zip(weights, terms, strict=True)]
    return Count(unit, np.sum([m @ count.most for m, (_, count) in zip(whole, terms, strict=True)], axis=0))


def _of_nodes(names: list[str], graph: Graph, known: Mapping[str, Array]) -> dict[str, Count | NoCount]:
    """Of what some nodes put out, and all layers that lead to them."""

    def layer(name: str) -> LinearLowering | None:
        node = graph.nodes.get(name)  # the step before may be read before its neuron is there
        found = None if name in known or (node is not None and is_maximum(name, node)) else find_linear(node)
        return None if found is None or found.shifts_time else found

    behind = reachable(names, lambda name: graph.sources(name) if layer(name) else ())
    counts: dict[str, Count | NoCount] = {}
    shapes: dict[str, tuple[int, ...] | None] = {}
    for name in topological_order(behind, [(s, t) for t in behind if layer(t) for s in graph.sources(t)]):
        lowering, sources = layer(name), graph.sources(name)
        shapes[name] = _declared_shape(graph.nodes.get(name))
        if lowering is None:
            counts[name] = Count(1.0, known[name]) if name in known else NoCount(f"{name} puts out numbers of any size")
            continue
        (own,) = lowering.maps(name, graph.nodes[name], shapes[sources[0]] or (), 1.0)
        bias = lowering.bias(name, graph.nodes[name], own.shape)
        shapes[name] = shapes[name] or own.shape
        counts[name] = NoCount(f"{name} has a bias") if bias is not None and np.any(bias) else _behind(own, [counts[s] for s in sources])
    return counts


def _behind(own: LinearMap, sources: list[Count | NoCount]) -> Count | NoCount:
    """What a layer makes of the sum of its sources."""
    matrix = sparse.csr_matrix(own.resolved().matrix)
    wrong = next((source for source in sources if isinstance(source, NoCount)), None)
    return wrong or _summed([(matrix, source) for source in sources if isinstance(source, Count)])


def _declared_shape(node: nir.NIRNode | None) -> tuple[int, ...] | None:
    """The shape that a node says its output has; None where NIR infers it from what is before."""
    declared = None if node is None else (node.output_type or {}).get("output")
    return None if declared is None else tuple(int(n) for n in np.ravel(declared))
