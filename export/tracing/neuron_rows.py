"""What becomes of every snnTorch neuron, in rows: each case is traced, and the row says what the tracer did."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import networkx
import nir
from snntorch import SpikingNeuron

from snnfuse.export.ops_table import Row
from snnfuse.export.tracing.from_snntorch import trace_model
from snnfuse.export.tracing.neuron_cases import Case, cases
from snnfuse.export.tracing.nodes.refusal import Refusal

GROUP = "snnTorch neuron"


@cache
def ops_rows() -> tuple[Row, ...]:
    """One row per neuron and case."""
    return tuple(row(case) for case in cases())


def row(case: Case) -> Row:
    """The decision for one case, from tracing it."""
    name = case.neuron.__name__
    try:
        with unlisted():
            graph, ledger = trace_model(case.model(), case.sample())
    except Refusal as error:
        return Row(GROUP, name, case.case, "refused", error.reason, error.way_out)
    if not ledger:
        return Row(GROUP, name, case.case, "exact", structure(graph))
    changes = "; ".join(f"{entry.change}, because {entry.reason}" for entry in ledger)
    return Row(GROUP, name, case.case, "approximate", f"{structure(graph)}: {changes}")


@contextmanager
def unlisted() -> Iterator[None]:
    """Neurons that are built meanwhile leave no trace in snnTorch's list of all neurons, which `snntorch.utils.reset` works on, and
    warn nobody.
    """
    before = list(SpikingNeuron.instances)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        SpikingNeuron.instances[:] = before


def structure(graph: nir.NIRGraph) -> str:
    """The nodes on the way from input to output by their kinds, and those that lead back."""
    (source,), (target,) = graph.inputs, graph.outputs
    way = networkx.shortest_path(networkx.DiGraph(list(graph.edges)), source, target)[1:-1]
    back = [type(node).__name__ for name, node in graph.nodes.items() if name not in (source, target, *way)]
    return " → ".join(type(graph.nodes[name]).__name__ for name in way) + (f", back through {' and '.join(back)}" if back else "")
