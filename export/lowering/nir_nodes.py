"""NIR's own types of node, registered: importing this module makes them known to `registry`."""

import nir

from snnfuse.export.lowering import linear_nodes, neuron_nodes
from snnfuse.export.lowering.registry import (
    GROUP,
    NodeLowering,
    find_linear,
    find_lowering,
    known_types,
    register_lowering,
    registered_rows,
)
from snnfuse.export.ops_table import Row

__all__ = ["find_linear", "find_lowering", "known_types", "ops_rows", "register_lowering"]

_INPUT_ROWS = (Row(GROUP, "Input", "", "exact", "an input: binary spikes, or graded ones for analog values"),)
_OUTPUT_ROWS = (
    Row(GROUP, "Output", "of one population", "exact", "its spikes are counted, or the membrane is read that never fires"),
    Row(GROUP, "Output", "of anything else", "exact", "a membrane that forgets from step to step and holds the sum"),
    Row(GROUP, "Output", "of an Input", "refused", "no neuron lies between", "put a neuron or a linear map in between"),
)
_GRAPH_ROWS = (
    Row(GROUP, "NIRGraph", "within a graph", "exact", "its nodes written out, as subgraph.node"),
    Row(GROUP, "NIRGraph", "with several inputs or outputs", "refused", "an edge could mean any", "give it one, or write it out"),
    Row(GROUP, "a loop", "of one population", "exact", "a recurrent synapse: one step, and its delays"),
    Row(GROUP, "a loop", "of several populations", "approximate", "every connection in it takes one step; NIR leaves it open"),
    Row(GROUP, "a loop", "of several, that reset differently", "refused", "they become one population", "ask for one reset for all"),
    Row(GROUP, "a loop", "without a neuron", "refused", "nothing in it takes a step", "put a neuron in it"),
)

_ENDS = {nir.Input: NodeLowering(rows=_INPUT_ROWS), nir.Output: NodeLowering(rows=_OUTPUT_ROWS)}
for _kind, _lowering in (neuron_nodes.LOWERINGS | linear_nodes.LOWERINGS | _ENDS).items():
    register_lowering(_kind, _lowering)


def ops_rows() -> tuple[Row, ...]:
    """What becomes of every registered type of node, of NIR's graphs within graphs, and of loops."""
    return (*registered_rows(), *_GRAPH_ROWS)
