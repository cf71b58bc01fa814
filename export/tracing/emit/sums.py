"""Sums over time in NIR's own nodes."""

from typing import Any

import nir
import numpy as np

from snnfuse.export.tracing.emit import maps
from snnfuse.export.tracing.emit.assembly import Assembly
from snnfuse.export.tracing.emit.counts import NoCount, count_of
from snnfuse.export.tracing.emit.layouts import lay_out
from snnfuse.export.tracing.emit.products import COUNTS_ADVICE, units
from snnfuse.export.tracing.emit.signals import Part, Signal
from snnfuse.export.tracing.nodes.pieces import single
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.step import Term

SLACK = 1e-9  # of a bound that is a whole number of units but for rounding


def accumulated(graph: Assembly, term: Term, module: Any, source: Signal) -> Signal:
    """A module that sums over time and says how high, `accumulates() -> bound`: S' = S + x, which is nir.I with r = 1 / dt."""
    count = count_of(source, graph, graph.known)
    if isinstance(count, NoCount):
        raise refusal(term.where, f"it sums what is no count: {count.reason}", COUNTS_ADVICE)
    sources, layout = lay_out(graph, units(source, count), graph.name(term.target), term.where)
    name = graph.stem(term, term.target)
    node = nir.I(np.full(layout.shape, 1 / graph.dt))
    graph.place(single(name, node), sources)
    bound = module.accumulates()
    if bound is not None:
        graph.known[name] = np.full(maps.size(term.shape), float(np.floor(bound / count.factor + SLACK)))
    signal = Signal((Part((name,), layout.shape, layout.back),), term.shape)
    return signal.scaled(np.full(maps.size(term.shape), count.factor))
