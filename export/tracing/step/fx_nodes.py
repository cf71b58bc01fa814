"""Reading single fx nodes: what an operation's arguments are, and whether it keeps what NIR needs kept.

All raise UnsupportedError, naming the node, where it does not.
"""

from typing import Any, cast

import torch
from torch import fx

from snnfuse.export.tracing.capture.fx_types import module_path
from snnfuse.export.tracing.capture.trace import Trace
from snnfuse.export.tracing.capture.trace_ops import BY_NAME
from snnfuse.export.tracing.nodes.refusal import refusal

SHARED_ADVICE = "give every layer its own module"
LOOP_ADVICE = f"make every step of the loop the same, and {SHARED_ADVICE}"


def live_nodes(trace: Trace) -> list[fx.Node]:
    """The nodes, in order, on which depends what forward returns, and all inputs; of a module all calls, or none."""
    calls: dict[str, list[fx.Node]] = {}
    for node in trace.graph.nodes:
        if node.op == "call_module":
            calls.setdefault(module_path(node), []).append(node)
    *_, output = trace.graph.nodes
    live: set[fx.Node] = set()
    waiting = [output]
    while waiting:
        node = waiting.pop()
        if node not in live:
            live.add(node)
            states = [state for state in node.meta.get("state", ()) if isinstance(state, fx.Node)]
            waiting += [*node.all_input_nodes, *states, *(calls[module_path(node)] if node.op == "call_module" else ())]
    return [node for node in trace.graph.nodes if node in live or node.op == "placeholder"]


def returned(output: fx.Node, left: str = "") -> tuple[list[Any], tuple[str, ...]]:
    """What forward returns, one by one, and its names where it returns a dict; left: what it leaves on the model, as Python has it."""
    value = output.args[0]
    if isinstance(value, dict) and value:
        return list(value.values()), tuple(_output_name(key) for key in value)
    if value is None and left:
        reason = f"it returns None, and leaves what it computes in {left.rpartition('[')[0] or left}"
        raise refusal("forward", reason, f"add `return {left}` as its last line")
    if value is None or isinstance(value, dict):
        raise refusal("forward", f"it returns {'None' if value is None else 'an empty dict'}", "return a tensor or a tuple of tensors")
    return (list(value) if isinstance(value, tuple) else [value]), ()


def _output_name(key: Any) -> str:
    if not isinstance(key, str) or "/" in key or not key:
        raise refusal("forward", f"it returns a dict with the key {key!r}", "use names without '/' as keys")
    return key


def inputs(node: fx.Node) -> list[fx.Node]:
    """The one tensor that a module reads."""
    match [*node.args, *node.kwargs.values()]:
        case [fx.Node() as given]:
            return [given]
    raise refusal(node.meta["where"], "it is called with something else than one tensor", "call it with its input alone")


def first_input(node: fx.Node) -> fx.Node:
    """The tensor that a function or method works on, given by position or as `input`."""
    return cast(fx.Node, node.args[0] if node.args else node.kwargs["input"])


def operands(node: fx.Node) -> tuple[list[Any], list[float]]:
    """What a sum adds, tensors and numbers, and the factor of each.

    torch's add, sub and rsub: x + alpha y, x - alpha y, alpha-less y - x.
    """
    given = [*node.args, *(node.kwargs[k] for k in ("input", "other") if k in node.kwargs)][:2]
    alpha: Any = node.kwargs.get("alpha", node.args[2] if len(node.args) > 2 else 1)
    sign = 1 if node.meta["op"] == "add" else -1
    factors = [-1.0, 1.0] if node.meta["op"] == "rsub" else [1.0, float(sign * alpha)]
    return given, factors


def factors(node: fx.Node) -> list[Any]:
    """What a product multiplies, tensors and numbers.

    Raises:
        UnsupportedError: it divides by something that depends on the input, or rounds.
    """
    if node.meta["op"] in ("neg", "negative"):
        return [first_input(node), -1.0]
    read: list[Any] = [*node.args, *(node.kwargs[k] for k in ("input", "other") if k in node.kwargs)]
    first, second = read[:2]
    if BY_NAME[node.meta["op"]] is not BY_NAME["div"]:
        return [first, second]
    if node.kwargs.get("rounding_mode") is not None:
        raise refusal(node.meta["where"], "a division that rounds is not linear", "divide without rounding_mode")
    if isinstance(second, fx.Node) and second.meta["op"] != "constant":
        raise refusal(node.meta["where"], f"it divides by {second.meta['where']}, which depends on the input", "divide by a constant")
    value = second.meta["value"] if isinstance(second, fx.Node) else torch.tensor(float(second), dtype=torch.float64)
    if not value.all():
        raise refusal(node.meta["where"], "it divides by zero", "divide by numbers other than zero")
    return [first, 1.0 / value.to(torch.float64)]


def refuse_shared_in_place(node: fx.Node) -> None:
    """`x += y` changes x for every other reader, which a graph of values does not show."""
    if not node.meta.get("in_place"):
        return
    changed, reader = first_input(node), node
    while isinstance(changed, fx.Node):
        if any(user is not reader for user in changed.users) or changed.meta["op"] == "part" and changed.meta["part"] != "spikes":
            reason = f"it changes {changed.meta['where']} in place, which something else reads"
            raise refusal(node.meta["where"], reason, "write z = x + y, not x += y")
        kept = BY_NAME.get(changed.meta["op"])  # a view shares its memory; Dropout and Identity return their input itself
        views = (kept is not None and kept.family in ("same", "move")) or changed.meta["op"] == "module"
        reader, changed = changed, (first_input(changed) if views else None)
