"""Products of counts in NIR's own nodes.

Of a count x in 0..N and a spike q, for thresholds are what NIR can compare with:

    x q = sum_n [x + N q > N + n - 1/2]        n = 1 .. N; for N = 1 this is AND

with one Threshold for each n, all fed by x and by Scale(N) of q. A second count y in 0..M comes as spikes first, y = sum_m [y > m -
1/2], each of which takes the place of q. x q is the sum of what the thresholds put out, so their edges meet where it is read.

`snnfuse.export.products` finds this structure again.
"""

from dataclasses import replace

import nir
import numpy as np
from scipy import sparse

from snnfuse.export.tracing.emit import maps
from snnfuse.export.tracing.emit.assembly import Assembly
from snnfuse.export.tracing.emit.counts import Count, NoCount, count_of
from snnfuse.export.tracing.emit.layouts import Layout, choose_layout, spelled_in
from snnfuse.export.tracing.emit.maps import Shape
from snnfuse.export.tracing.emit.signals import Part, Signal
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.contractions import Contraction
from snnfuse.export.tracing.step.step import Term

MOST_THRESHOLDS = 4096  # nodes of one product
COUNTS_ADVICE = (
    "multiply counts only: spikes of neurons, their sums and sums over time (snnfuse.networks.Accumulator), with weights that are "
    "whole multiples of one number and not negative; of an input, what neurons make of it"
)


def contract(graph: Assembly, term: Term, first: Signal, second: Signal) -> Signal:
    """A sum of products: both factors spread over the domain, multiplied there, and added up."""
    made: Contraction = term.target
    spread = [_spread(signal, made, axes) for signal, axes in zip((first, second), made.factors, strict=True)]
    product = multiply(graph, term, spread[0], spread[1], made.domain)
    kept, each = made.domain[: len(made.domain) - made.summed], maps.size(made.domain[len(made.domain) - made.summed :])
    total = sparse.kron(sparse.identity(maps.size(kept)), np.ones((1, each)), format="csr")
    return product.mapped(total, term.shape)


def _spread(signal: Signal, made: Contraction, axes: tuple[int | None, ...]) -> Signal:
    """A factor written out for every place of the domain."""
    indices = np.indices(made.domain, sparse=True)
    own = [np.zeros(1, np.int64) if axis is None else indices[axis] for axis in axes]
    strides = [maps.size(signal.shape[i + 1 :]) for i in range(len(axes))]
    read = sum((index * stride for index, stride in zip(own, strides, strict=True)), np.zeros((1,) * len(made.domain), np.int64))
    read = np.broadcast_to(read, made.domain).ravel()
    matrix = sparse.csr_matrix((np.ones(len(read)), read, np.arange(len(read) + 1)), shape=(len(read), maps.size(signal.shape)))
    return signal.mapped(matrix, made.domain)


def multiply(graph: Assembly, term: Term, first: Signal, second: Signal, domain: Shape) -> Signal:
    """The product of two signals of one shape, number by number.

    Raises:
        UnsupportedError: one of them is no count, or both are too high.
    """
    if not first.parts or not second.parts:
        return Signal((), domain)
    counts = [_count(graph, term, signal) for signal in (first, second)]
    (x, high), (q, low) = sorted(zip((first, second), counts, strict=True), key=lambda pair: -pair[1].most.max())
    n, m = (int(count.most.max()) for count in (high, low))
    if n * m > MOST_THRESHOLDS:
        reason = f"it multiplies counts up to {n} with counts up to {m}: {n * m} thresholds for each product, above {MOST_THRESHOLDS}"
        raise refusal(term.where, reason, "sum over fewer, or give accumulators lower bounds")
    layout = choose_layout(domain, (x, q))
    stem = _stem(graph, term)
    nodes = _thresholds(graph, term, layout, stem, (units(x, high), n), (units(q, low), m))
    graph.known.update(dict.fromkeys(nodes, np.ones(maps.size(layout.shape))))
    part = Part(nodes, layout.shape, layout.back)
    return Signal((part,), domain).scaled(np.full(maps.size(domain), high.factor * low.factor))


def _count(graph: Assembly, term: Term, signal: Signal) -> Count:
    found = count_of(signal, graph, graph.known)
    if isinstance(found, NoCount):
        reads = " and ".join(dict.fromkeys(graph.term(i).where for i in term.args))
        raise refusal(term.where, f"it multiplies {reads}, of which one is no count: {found.reason}", COUNTS_ADVICE)
    return found


def units(signal: Signal, count: Count) -> Signal:
    """A count without its factor."""
    parts = []
    for part in signal.parts:
        matrix = sparse.csr_matrix(part.matrix / count.factor)
        parts.append(replace(part, view=None).seen(sparse.csr_matrix((np.rint(matrix.data), matrix.indices, matrix.indptr), matrix.shape)))
    return replace(signal, parts=tuple(parts))


def _stem(graph: Assembly, term: Term) -> str:
    """A name of the product: the module that computes it, and the operation."""
    path, _, called = term.where.partition(": ")
    operation = called.split(" ")[0].lstrip("_") or "product"
    inside = any(path == name for name, _ in graph.model.named_modules())
    stem = f"{path}.{operation}" if inside and path else operation
    numbered = (stem, *(f"{stem}_{i}" for i in range(1, len(graph.nodes) + 2)))
    return next(name for name in numbered if graph.free_name(name) == name and not any(n.startswith(f"{name}.") for n in graph.nodes))


def _thresholds(graph: Assembly, term: Term, layout: Layout, stem: str, x: tuple[Signal, int], q: tuple[Signal, int]) -> tuple[str, ...]:
    """The nodes whose outputs add up to the product of x in 0..n and q in 0..m."""
    (x_signal, n), (q_signal, m) = x, q
    reads = spelled_in(graph, x_signal, layout, stem, term.where)
    spikes = spelled_in(graph, q_signal, layout, stem, term.where)
    levels = [spikes] if m == 1 else [(_threshold(graph, f"{stem}.level_{i}", layout, i - 0.5, spikes),) for i in range(1, m + 1)]
    found: tuple[str, ...] = ()
    for i, level in enumerate(levels, 1):
        gate = graph.free_name(f"{stem}.gate" if m == 1 else f"{stem}.gate_{i}")
        graph.nodes[gate] = nir.Scale(np.broadcast_to(np.float64(n), layout.shape))
        graph.feed(level, gate)
        for j in range(1, n + 1):
            name = stem if n * m == 1 else f"{stem}.{(i - 1) * n + j}"
            found += (_threshold(graph, name, layout, n + j - 0.5, (*reads, gate)),)
    return found


def _threshold(graph: Assembly, name: str, layout: Layout, theta: float, sources: tuple[str, ...]) -> str:
    name = graph.free_name(name)
    graph.nodes[name] = nir.Threshold(np.broadcast_to(np.float64(theta), layout.shape))  # one number, stored once
    graph.feed(sources, name)
    return name
