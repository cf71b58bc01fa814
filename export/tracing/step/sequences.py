"""Values that hold all steps of a loop over time at once: inputs, what the loop recorded, and what is computed of either.

Such a value has a time axis, and what it is in one step is its part at that index; or its steps are folded into the batch, as for layers
that take images: see `places`. A function of it is one function per step where its result at a step is that of the step alone, the same in
every step: this is tried with random numbers, on every step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import fx, nn

from snnfuse.export.tracing.capture.fx_types import module_path
from snnfuse.export.tracing.capture.trace_ops import BY_NAME, TIME_ADVICE
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.fx_nodes import first_input
from snnfuse.export.tracing.step.operations import data_nodes, double, operation
from snnfuse.export.tracing.step.places import Place, in_step, places, spread
from snnfuse.export.tracing.step.step_reads import Read, step_read

Function = Callable[..., torch.Tensor]
SEED = 0  # of the numbers that a function is tried with
JOINED = ("stack", "cat")
REPEATING = ("expand", "repeat", "tile")


@dataclass
class Sequences:
    """Which nodes hold all steps.

    Attributes:
        steps: of the loop.
        axes: by node, its time axis, or how its steps are folded.
        recorded: of what the loop recorded, the node of every step.
        functions: of what is computed of other values over time, by step; None for a layer or a sum, which is the same in one step.
    """

    steps: int
    axes: dict[fx.Node, Place] = field(default_factory=dict)
    recorded: dict[fx.Node, list[Any]] = field(default_factory=dict)
    functions: dict[fx.Node, Function | None] = field(default_factory=dict)

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """Of a node's value in one step, without batch."""
        return tuple(self.in_step(node).shape[1:])

    def in_step(self, node: fx.Node, step: int = 0) -> torch.Tensor:
        """The example value of a node in one step."""
        value = node.meta["value"]
        return in_step(value, self.axes[node], self.steps, step) if node in self.axes else value

    def read(self, node: fx.Node) -> Read | None:
        """What a node reads, where that is one step of a value over time; its index counted from 0."""
        found = step_read(node, self.axes)
        return None if found is None else Read(found.source, found.axis, found.index % _length(found.source, found.axis), found.rest)


def check_step_by_step(node: fx.Node, found: Sequences) -> None:
    """What is not the same function of every step must not read all steps at once.

    Raises:
        UnsupportedError: it does.
    """
    if node in found.axes:
        return
    for source in node.all_input_nodes:
        if source in found.axes and source.op == "placeholder":
            raise refusal(
                source.meta["where"], "it is indexed by time step, and also used as a whole", "use x[t] in every step, everywhere"
            )
        if source in found.axes:
            raise refusal(node.meta["where"], "it reads all steps of a loop at once, and mixes them", TIME_ADVICE)


def find_sequences(model: nn.Module, nodes: Sequence[fx.Node], steps: int, step_of: Mapping[fx.Node, int]) -> Sequences:
    """The values over time of a trace.

    Args:
        model: holds the modules that are called.
        nodes: of its trace, in order.
        steps: of its loop.
        step_of: as of `Calls.steps_of`.
    """
    found = Sequences(steps)
    for node in nodes:
        if node.op == "placeholder":
            axis = _input_axis(model, node, nodes, steps)
            found.axes |= {} if axis is None else {node: axis}
        elif (each := _recorded(node, steps, step_of)) is not None:
            found.axes[node], found.recorded[node] = each
        elif (each := _repeated(node, steps, found.axes)) is not None:
            found.axes[node], found.recorded[node] = each
        elif any(source in found.axes for source in node.all_input_nodes) and step_read(node, found.axes) is None:
            _derive(model, node, found)
    return found


def _length(node: fx.Node, axis: int) -> int:
    return node.meta["value"].shape[axis]


def _input_axis(model: nn.Module, node: fx.Node, nodes: Sequence[fx.Node], steps: int) -> int | None:
    """The axis of which forward reads one index per step, of the input or of what it computes of it; of several the most read."""
    shape = node.meta["value"].shape
    counts = {axis: _reads(model, node, nodes, steps, axis) for axis in dict.fromkeys((0, 1, len(shape) - 1)) if axis < len(shape)}
    best = max(counts, key=lambda axis: counts[axis])
    return best if counts[best] else None


def _reads(model: nn.Module, node: fx.Node, nodes: Sequence[fx.Node], steps: int, axis: int) -> int:
    """How many nodes read one step, if this axis of an input is time."""
    found, count = Sequences(steps, {node: axis}), 0
    own = _length(node, axis) == steps
    for other in nodes:
        if not any(source in found.axes for source in other.all_input_nodes):
            continue
        if step_read(other, found.axes) is not None:
            count += 1
        elif own and steps > 1:
            _derive(model, other, found)
    return count if steps > 1 else 0


def _recorded(node: fx.Node, steps: int, step_of: Mapping[fx.Node, int]) -> tuple[int, list[Any]] | None:
    """Axis and steps of what a loop stacked, or concatenated after it gave each step an axis of its own."""
    if node.meta.get("op") not in JOINED:
        return None
    given: list[Any] = [*node.args, *(node.kwargs[k] for k in ("tensors", "dim") if k in node.kwargs)]
    parts, dim = given[0], given[1] if len(given) > 1 else 0
    if len(parts) != steps or not all(isinstance(part, fx.Node) for part in parts) or not isinstance(dim, int):
        return None
    axis = dim % node.meta["value"].ndim
    if node.meta["op"] == "cat":
        parts = [_before_unsqueeze(part, axis) for part in parts]
    in_order = all(part is not None and step_of[part] in (t, t - 1) for t, part in enumerate(parts))
    first = parts[0]
    in_order = in_order or isinstance(first, fx.Node) and len(set(parts)) == 1 and step_of[first] == -1  # one input, for all steps
    return (axis, parts) if in_order or steps == 1 and None not in parts else None


def _repeated(node: fx.Node, steps: int, axes: Mapping[fx.Node, Place]) -> tuple[int, list[Any]] | None:
    """Axis and steps of one value for all of them, as x.unsqueeze(0).repeat(steps, 1, 1) has it; None for anything else."""
    if steps == 1 or node.meta.get("op") not in REPEATING or len(data := data_nodes(node)) != 1 or data[0] in axes:
        return None
    (source,), shape = data, tuple(node.meta["value"].shape)
    before = first_input(source) if source.meta["op"] == "unsqueeze" else source
    one = tuple(before.meta["value"].shape)
    axis = next((a for a in (0, 1) if shape[a : a + 1] == (steps,) and (*shape[:a], *shape[a + 1 :]) == one), None)
    return None if axis is None else (axis, [before] * steps)


def _before_unsqueeze(node: fx.Node, axis: int) -> fx.Node | None:
    given: list[Any] = [*node.args, *(node.kwargs[k] for k in ("dim",) if k in node.kwargs)]
    if node.meta["op"] != "unsqueeze" or given[1] % node.meta["value"].ndim != axis:
        return None
    return given[0]


def _derive(model: nn.Module, node: fx.Node, found: Sequences) -> None:
    """Add a node that computes the same of every step of a value over time; leave any other out."""
    op = node.meta.get("op")
    if op == "module":
        _derive_module(model, node, found)
        return
    family = BY_NAME[op].family if op in BY_NAME else None
    if family == "same":
        source = first_input(node)
        found.axes |= {node: found.axes[source]} if source in found.axes else {}
    elif family in ("sum", "product"):
        _derive_sum(node, found)
    elif family == "layer" and len(data := data_nodes(node)) == 1 and data[0] in found.axes:
        _derive_layer(node, operation(node).call, data[0], found)
    elif family in ("move", "map") and all(n in found.axes for n in data_nodes(node)):
        made = operation(node)
        axis = _time_axis(made.call, [(n.meta["value"], found.axes[n]) for n in data_nodes(node)], found.steps)
        if axis is not None:
            found.axes[node] = axis
            found.functions[node] = _in_one_step(made.call, [found.axes[n] for n in data_nodes(node)], found.steps, axis)


def _derive_sum(node: fx.Node, found: Sequences) -> None:
    """Of values over time on one axis and of constants that are the same in every step."""
    tensors = [n for n in node.all_input_nodes if n.meta["op"] != "constant"]
    axes = {found.axes.get(n) for n in tensors}
    value = node.meta["value"]
    if len(axes) != 1 or None in axes or any(n.meta["value"].shape != value.shape for n in tensors):
        return
    (axis,) = cast(set[Place], axes)
    before = axis if isinstance(axis, int) else 0
    constants = [n.meta["value"] for n in node.all_input_nodes if n.meta["op"] == "constant"]
    if all(c.numel() == 1 or c.ndim < value.ndim - before for c in constants):
        found.axes[node], found.functions[node] = axis, None


def _derive_module(model: nn.Module, node: fx.Node, found: Sequences) -> None:
    """A layer that does the same with every step as with all at once: one over the last axes, such as Linear."""
    import copy

    (source,) = node.all_input_nodes if len(node.all_input_nodes) == 1 else (None,)
    layer = model.get_submodule(module_path(node))
    if source not in found.axes or source is None or hasattr(layer, "accumulates") or hasattr(layer, "folded_scale"):
        return
    twin = copy.deepcopy(layer).double().cpu().eval()

    def call(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return twin(x)

    _derive_layer(node, call, source, found)


def _derive_layer(node: fx.Node, call: Function, source: fx.Node, found: Sequences) -> None:
    place = found.axes[source]
    time = _time_axis(call, [(source.meta["value"], place)], found.steps)
    if time is None:
        return
    x = _random(source.meta["value"])
    try:
        whole = call(x)
        each = [(call(in_step(x, place, found.steps, t)), in_step(whole, time, found.steps, t)) for t in range(found.steps)]
    except (RuntimeError, ValueError, IndexError):
        return
    if all(_equal(*pair) for pair in each):
        found.axes[node], found.functions[node] = time, None


def _random(value: torch.Tensor) -> torch.Tensor:
    return torch.randn(value.shape, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)


def _in_one_step(call: Function, given: Sequence[Place], steps: int, place: Place) -> Function:
    """What a function over time does to one step."""

    def one(*each: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return in_step(call(*(spread(double(x), p, steps) for x, p in zip(each, given, strict=True))), place, steps, 0)

    return one


def _time_axis(call: Function, given: Sequence[tuple[torch.Tensor, Place]], steps: int) -> Place | None:
    """Where a function's result has its steps; None where it is not the same function of every step."""
    numbers = [_random(value) for value, _ in given]
    before = [place for _, place in given]
    try:
        whole = call(*numbers)
        for place in places(tuple(whole.shape), steps):
            one = _in_one_step(call, before, steps, place)
            alone = (one(*(in_step(x, p, steps, t) for x, p in zip(numbers, before, strict=True))) for t in range(steps))
            if all(_equal(found, in_step(whole, place, steps, t)) for t, found in enumerate(alone)):
                return place
    except (RuntimeError, ValueError, IndexError):
        return None
    return None


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b)
