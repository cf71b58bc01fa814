"""Where each neuron's state comes from: NIR's neurons start at rest and carry their own on, so a model's must too."""

from typing import Any

import torch
from torch import fx

from snnfuse.export.tracing.capture.fx_types import argument_node
from snnfuse.export.tracing.capture.trace_ops import PRECISE, SAME
from snnfuse.export.tracing.capture.tracer import SPIKE_STATE, SPIKES
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.fx_nodes import LOOP_ADVICE, first_input


def check_states(neurons: list[fx.Node], steps: int) -> tuple[set[fx.Node], set[fx.Node]]:
    """Every call of a neuron continues from its call before.

    Args:
        neurons: the calls, in order.
        steps: iterations of the model's own loop; 1 without one.

    Returns:
        The arguments of forward that only carry a state, and all nodes that carry one.

    Raises:
        UnsupportedError: a state is set to something else.
    """
    inputs: set[fx.Node] = set()
    carriers: set[fx.Node] = set()
    for call in neurons:
        for position, given in enumerate(call.meta["state"]):
            source = _behind_aliases(given, carriers)
            if call.meta["call"] > 0:
                _check_carried(call, position, source)
            elif isinstance(source, fx.Node) and source.op == "placeholder" and steps == 1:
                _check_state_input(source, call, inputs)
            else:
                _check_first(call, source, steps)
            if isinstance(source, fx.Node):
                carriers.add(source)
    return inputs, carriers


def _behind_aliases(source: Any, carriers: set[fx.Node]) -> Any:
    while isinstance(source, fx.Node) and source.meta["op"] in SAME and source.meta["value"].dtype in PRECISE:
        carriers.add(source)
        source = first_input(source)
    return source


def _check_carried(call: fx.Node, position: int, source: Any) -> None:
    step = call.meta["call"]
    name = call.meta["states"][position]
    expected = SPIKES if name == SPIKE_STATE else name
    own = isinstance(source, fx.Node) and source.meta["op"] == "part" and source.meta["part"] == expected
    if not (own and argument_node(source).target == call.target and argument_node(source).meta["call"] == step - 1):
        reason = f"step {step} of the loop does not continue from its state of step {step - 1}"
        raise refusal(call.meta["where"], reason, LOOP_ADVICE)


def _check_state_input(source: fx.Node, call: fx.Node, inputs: set[fx.Node]) -> None:
    if source in inputs or source.users:
        reason = f"it is a state of {call.meta['where']} and something else"
        raise refusal(source.meta["where"], reason, "pass every state to one neuron")
    inputs.add(source)


def _check_first(call: fx.Node, source: Any, steps: int) -> None:
    where = call.meta["where"]
    if source is None:  # held by the neuron since before forward was called
        return
    if not isinstance(source, torch.Tensor):
        reason = f"its state is set from {source.meta['where']}"
        raise refusal(where, reason, "let a neuron start from its own state or from zeros")
    if steps == 1:
        reason = "its state is set from a tensor in every call, so that it carries nothing from step to step"
        way_out = "use init_hidden=True and reset outside forward, or loop over time inside it (2 or more steps)"
        raise refusal(where, reason, way_out)
    if source.any() and source.shape == call.meta["value"].shape:
        raise refusal(where, "its state starts from values other than zero", "start from zeros")
