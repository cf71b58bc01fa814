"""Where each neuron's state comes from: NIR's neurons start at rest and carry their own on, so a model's must too."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

from snnfuse.export.tracing.capture.fx_types import argument_node, module_path
from snnfuse.export.tracing.capture.trace_ops import PRECISE, SAME
from snnfuse.export.tracing.capture.tracer import SPIKE_STATE, SPIKES
from snnfuse.export.tracing.neurons import RESTARTED
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.fx_nodes import LOOP_ADVICE, first_input
from snnfuse.export.tracing.step.step import PART, Term


def check_states(neurons: list[fx.Node], steps: int) -> tuple[set[fx.Node], frozenset[str]]:
    """Every call of a neuron continues from its call before.

    Args:
        neurons: the calls, in order.
        steps: iterations of the model's own loop; 1 without one.

    Returns:
        The arguments of forward that only carry a state, and the paths of neurons that every call starts from zeros.

    Raises:
        UnsupportedError: a state is set to something else.
    """
    inputs: set[fx.Node] = set()
    fresh: set[str] = set()
    for call in neurons:
        for position, given in enumerate(call.meta["state"]):
            source = _behind_aliases(given)
            if call.meta["call"] > 0:
                _check_carried(call, position, source)
            elif isinstance(source, fx.Node) and source.op == "placeholder" and steps == 1:
                _check_state_input(source, call, inputs)
            else:
                _check_first(call, source)
                fresh |= {module_path(call)} if isinstance(source, torch.Tensor) and steps == 1 else set()
    return inputs, frozenset(fresh)


def _behind_aliases(source: Any) -> Any:
    while isinstance(source, fx.Node) and source.meta["op"] in SAME and source.meta["value"].dtype in PRECISE:
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


def _check_first(call: fx.Node, source: Any) -> None:
    where = call.meta["where"]
    if source is None:  # held by the neuron since before forward was called
        return
    if not isinstance(source, torch.Tensor):
        reason = f"its state is set from {source.meta['where']}"
        raise refusal(where, reason, "let a neuron start from its own state or from zeros")
    if source.any() and source.shape == call.meta["value"].shape:
        raise refusal(where, "its state starts from values other than zero", "start from zeros")


def refuse_restarts(
    fresh: frozenset[str], neurons: list[fx.Node], outputs: list[Term], kinds: Mapping[str, type], reads_steps: bool
) -> None:
    """A neuron that every call starts from zeros has no memory: what it fires depends on this step alone, where NIR says it.

    Args:
        fresh: as of `check_states`.
        neurons: the calls.
        outputs: the terms that are returned, and those that they read.
        kinds: of the neurons, by path.
        reads_steps: whether forward takes one number of an input's first axis, as a loop over time does.
    """
    for call in neurons:
        path = module_path(call)
        returned = any(t.op == PART and t.target != SPIKES for t in outputs if t.where.startswith(call.meta["where"]))
        if path in fresh and (reads_steps or returned or kinds[path] not in RESTARTED):
            reason = "its state is set from a tensor in every call, so that it carries nothing from step to step"
            way_out = "use init_hidden=True and reset outside forward, or loop over time inside it (2 or more steps)"
            raise refusal(call.meta["where"], reason, way_out)
