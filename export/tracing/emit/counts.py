"""What is known of numbers that flow between nodes: that they are counts, and how high they reach.

A count is a factor times an integer from 0 to a bound: spikes, and whatever comes of them by weights that are whole multiples of one
number and not negative. Only such numbers can be multiplied with each other in NIR's own nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import nir
import numpy as np
from scipy import sparse

from snnfuse.export.lowering.linear_nodes import LINEAR_NODES, Composite, append, bias_of
from snnfuse.export.tracing.emit.signals import Signal
from snnfuse.export.tracing.nodes.pieces import Array

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


def count_of(signal: Signal, nodes: Mapping[str, nir.NIRNode], edges: list[tuple[str, str]], known: Mapping[str, Array]) -> Count | NoCount:
    """Whether a signal is a count.

    Args:
        signal: in question.
        nodes, edges: of the graph so far.
        known: how high the integers of some nodes reach: of those that spike, and of sums over time.
    """
    if signal.constant is not None:
        return NoCount("a constant is added to it")
    found = []
    for part in signal.parts:
        for name in part.nodes:
            source = _of_node(name, nodes, edges, known)
            if isinstance(source, NoCount):
                return source
            found.append((part.matrix, source))
    return _summed(found)


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
    return Count(unit, sum(m @ count.most for m, (_, count) in zip(whole, terms, strict=True)))


def _of_node(name: str, nodes: Mapping[str, nir.NIRNode], edges: list[tuple[str, str]], known: Mapping[str, Array]) -> Count | NoCount:
    """Of what a node puts out: known, or a layer behind counts."""
    if name in known:
        return Count(1.0, known[name])
    node = nodes.get(name)  # a neuron's spikes of the step before may be read before it is there
    if not isinstance(node, LINEAR_NODES) or isinstance(node, nir.Delay):
        return NoCount(f"{name} puts out numbers of any size")
    sources = [s for s, t in edges if t == name]
    shape = _shape(nodes, edges, sources[0])
    composite = append(Composite(shape), name, node)
    bias = bias_of(name, node, composite.shape)
    if bias is not None and np.any(bias):
        return NoCount(f"{name} has a bias")
    matrix = sparse.csr_matrix(composite.resolved().matrix)
    behind = [_of_node(s, nodes, edges, known) for s in sources]
    wrong = next((b for b in behind if isinstance(b, NoCount)), None)
    return wrong or _summed([(matrix, b) for b in behind])


def _shape(nodes: Mapping[str, nir.NIRNode], edges: list[tuple[str, str]], name: str) -> tuple[int, ...]:
    """Of a node's output; where NIR infers it from what is before, so does this."""
    declared = (nodes[name].output_type or {}).get("output")
    if declared is not None:
        return tuple(int(n) for n in np.ravel(declared))
    before = _shape(nodes, edges, next(s for s, t in edges if t == name))
    return append(Composite(before), name, nodes[name]).shape
