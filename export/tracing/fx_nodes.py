"""Reading single fx nodes: what an operation's arguments are, and whether it keeps what NIR needs kept.

All raise UnsupportedError, naming the node, where it does not.
"""

from typing import Any

from torch import fx

from snnfuse.export.tracing.refusal import refusal
from snnfuse.export.tracing.trace import Trace

SHARED_ADVICE = "give every layer its own module"
LOOP_ADVICE = f"make every step of the loop the same, and {SHARED_ADVICE}"
ALIASES = {"same", "cast", "dropout", "reshape", "flatten", "getitem"}


def count_steps(trace: Trace, neurons: list[fx.Node]) -> int:
    """1, or the number of iterations of the model's own loop."""
    calls = {n.target: trace.calls[n.target] for n in neurons} or dict(trace.calls)
    counts = sorted(set(calls.values()))
    if len(counts) > 1:
        few, many = (next(p for p, c in calls.items() if c == n) for n in (counts[0], counts[-1]))
        text = f"it is called {counts[-1]} times, and {few} {counts[0]} times"
        raise refusal(f"{many} ({type(trace.model.get_submodule(many)).__name__})", text, LOOP_ADVICE)
    steps = counts[0] if counts else 1
    for path, count in trace.calls.items():
        if count not in (1, steps):
            kind = type(trace.model.get_submodule(path)).__name__
            raise refusal(
                f"{path} ({kind})",
                f"it is called {count} times in a forward of {steps} time steps",
                SHARED_ADVICE,
            )
    return steps


def returned(output: fx.Node) -> list[Any]:
    """What forward returns, one by one."""
    value = output.args[0]
    if isinstance(value, dict) or value is None:
        raise refusal("forward", f"it returns {'None' if value is None else 'dict'}", "return a tensor or a tuple of tensors")
    return list(value) if isinstance(value, tuple) else [value]


def one_node(value: Any) -> fx.Node:
    """A returned value that is one tensor."""
    if not isinstance(value, fx.Node):
        raise refusal("forward", f"it returns {type(value).__name__} inside its outputs", "return a tensor or a tuple of tensors")
    return value


def inputs(node: fx.Node) -> list[fx.Node]:
    """The one tensor that a module reads."""
    given = [*node.args, *node.kwargs.values()]
    if len(given) != 1 or not isinstance(given[0], fx.Node):
        raise refusal(node.meta["where"], "it is called with something else than one tensor", "call it with its input alone")
    return given


def first_input(node: fx.Node) -> fx.Node:
    """The tensor that a function or method works on, given by position or as `input`."""
    return node.args[0] if node.args else node.kwargs["input"]


def addends(node: fx.Node) -> list[fx.Node]:
    """What an addition adds, each of the shape of the sum."""
    added = [*node.args, *(v for k, v in node.kwargs.items() if k in ("other", "input"))]
    for value in added:
        if not isinstance(value, fx.Node):
            raise refusal(node.meta["where"], f"the constant {value} is added", "add it to the bias of the layer before it")
        if value.meta["value"].shape != node.meta["value"].shape:
            shapes = " and ".join(str(tuple(v.meta["value"].shape)) for v in added if isinstance(v, fx.Node))
            raise refusal(node.meta["where"], f"it broadcasts shapes {shapes}", "add tensors of one shape")
    return added


def cat_parts(node: fx.Node) -> list[fx.Node]:
    """What a concatenation joins."""
    return list(node.kwargs.get("tensors", node.args[0] if node.args else ()))


def check_cat(node: fx.Node) -> None:
    """Joined along the axis after the batch, which linear maps and convolutions sum over."""
    dim = node.kwargs.get("dim", node.kwargs.get("axis", node.args[1] if len(node.args) > 1 else 0))
    if dim % node.meta["value"].ndim != 1:
        raise refusal(node.meta["where"], f"it joins along axis {dim}", "join along axis 1, channels or features")


def check_flatten(node: fx.Node) -> None:
    """A view that is anything but flatten(start_dim=1), seen on the sample, mixes samples or reorders axes."""
    before, after = first_input(node).meta["value"].shape, node.meta["value"].shape
    if after != before and after != (before[0], before[1:].numel()):
        text = f"it turns shape {tuple(before)} into {tuple(after)}"
        raise refusal(node.meta["where"], text, "only flatten(start_dim=1), all of a sample into one axis, has a NIR form")


def refuse_shared_in_place(node: fx.Node) -> None:
    """`x += y` changes x for every other reader, which a graph of values does not show."""
    if node.meta.get("op") != "iadd":
        return
    changed, reader = first_input(node), node
    while isinstance(changed, fx.Node):
        if any(user is not reader for user in changed.users) or changed.meta["op"] == "part" and changed.meta["part"] != "spikes":
            raise refusal(
                node.meta["where"], f"it changes {changed.meta['where']} in place, which something else reads", "write z = x + y"
            )
        views = changed.meta["op"] in ALIASES or changed.meta["op"] == "module"  # Dropout and Identity return their input itself
        reader, changed = changed, (first_input(changed) if views else None)
