"""How forward returns what a loop over time computed, of neurons or of groups: all steps, their sum, mean or maximum, or the last one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx, nn

from snnfuse.export.tracing.capture.fx_types import module_path
from snnfuse.export.tracing.capture.trace_ops import BY_NAME, SAME, TIME_ADVICE
from snnfuse.export.tracing.nodes.refusal import Refusal, refusal
from snnfuse.export.tracing.step.fx_nodes import SHARED_ADVICE, factors, first_input, operands
from snnfuse.export.tracing.step.sequences import Sequences
from snnfuse.export.tracing.step.step import Reading, Reduction

REDUCTIONS: Mapping[str, Reduction] = {"sum": "sum", "mean": "mean", "amax": "max"}
SQUASHING, SQUASHING_LAYERS = ("softmax", "log_softmax", "sigmoid", "argmax"), (nn.Softmax, nn.LogSoftmax, nn.Sigmoid)

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Recorded:
    """The nodes behind a returned value.

    Attributes:
        reading: what it is of them.
        each: by step, where they are nodes of their own; else
        whole: a value over time; of neither, `last` is
        last: the value of the last step.
    """

    reading: Reading
    each: tuple[fx.Node, ...] = ()
    whole: fx.Node | None = None
    last: fx.Node | None = None


def leaves(values: Sequence[Any], names: tuple[str, ...], found: Sequences) -> tuple[list[tuple[Path, Any]], tuple[str, ...]]:
    """What is returned, one by one, with where it stands, and names; lists of values over time, not of steps, are taken apart.

    Args:
        values: what forward returns.
        names: of each, where it returns a dict; else empty.
        found: the values over time.
    """
    each = [((at, *inner), leaf) for at, value in enumerate(values) for inner, leaf in _apart(value, found)]
    return each, tuple("_".join(map(str, (names[path[0]], *path[1:]))) for path, _ in each) if names else ()


def _apart(value: Any, found: Sequences) -> list[tuple[Path, Any]]:
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list | tuple) else []
    nodes = [each for _, each in items if isinstance(each, fx.Node)]
    each_over_time = len(nodes) == len(items) and all(node in found.axes for node in nodes)
    if found.steps == 1 or not items or not (isinstance(value, dict) or each_over_time or len(nodes) < len(items)):
        return [((), value)]
    return [((key, *inner), leaf) for key, part in items for inner, leaf in _apart(part, found)]


def recorded(value: Any, model: nn.Module, found: Sequences, step_of: Mapping[fx.Node, int]) -> Recorded | None:
    """The nodes behind a returned value; None for what does not come of the steps of a loop in any of these ways."""
    if isinstance(value, list | tuple):
        each = tuple(value)
        if not all(isinstance(v, fx.Node) for v in each):
            return None
        coded = [_population(v) for v in each]
        (_, factor, classes), *others = coded
        if factor == 1 and all((f, c) == (factor, classes) for _, f, c in others):
            return Recorded(Reading(classes=classes), tuple(v for v, _, _ in coded))
        return Recorded(Reading(), each)
    node, squashed = _squashed(value, model)
    result = _of_window(node, found, step_of)
    if result is None or not squashed:
        return result
    return None if result.reading.reduction == "steps" else replace(result, reading=replace(result.reading, squashed=squashed))


def _of_window(value: fx.Node, found: Sequences, step_of: Mapping[fx.Node, int]) -> Recorded | None:
    """Of a value without what is applied at last: groups of neurons are added before or after the steps are."""
    node, factor = _scaled(value)
    node, share, classes = _population(node)
    node, more = _scaled(node)
    factor *= share * more
    if node in found.axes:
        axis = found.axes[node]
        is_plain = isinstance(axis, int) and factor == 1
        return (
            _grouped(Recorded(Reading("steps", axis if isinstance(axis, int) else None), whole=node), found, classes) if is_plain else None
        )
    summed = _reduced(node, found)
    if summed is not None:
        source, kind = summed
        result = None if kind == "max" and classes else _of_sum(factor, found.steps, kind, whole=source)
        return result and _grouped(result, found, classes)
    read = found.read(node)
    if read is not None:
        is_last = read.rest is None and read.index == found.steps - 1 and factor == 1
        return _grouped(Recorded(Reading("last"), whole=read.source), found, classes) if is_last else None
    if found.steps == 1:
        return None
    added = _added_up(node, step_of, found.steps)
    if added is not None:
        return _grouped(_of_sum(factor, found.steps, "sum", each=added), found, classes)
    last = Recorded(Reading("last", classes=classes), last=node if classes else value)
    return last if step_of[value] == found.steps - 1 and (classes is None or factor == 1) else None


def _grouped(result: Recorded, found: Sequences, classes: int | None) -> Recorded | None:
    """The same in so many groups, which may also have been added in every step, before it was recorded; None for groups of groups."""
    whole = result.whole
    coded = [] if whole is None else [_population(whole)]
    if whole is None or coded[0][2] is None:
        each = result.each if whole is None else found.recorded.get(whole, [])
        coded = [_population(node) for node in each if isinstance(node, fx.Node)]
    kinds = {(factor, groups) for _, factor, groups in coded}
    if not coded or len(kinds) > 1 or coded[0][2] is None:
        return replace(result, reading=replace(result.reading, classes=classes))
    ((factor, groups),) = kinds
    if classes is not None or result.reading.reduction == "max" or (factor != 1 and result.reading.reduction == "steps"):
        return None
    reading = replace(result.reading, classes=groups, factor=result.reading.factor * factor)
    nodes = tuple(node for node, _, _ in coded)
    return replace(result, reading=reading, whole=nodes[0]) if len(nodes) == 1 else replace(result, reading=reading, each=nodes, whole=None)


def _squashed(value: fx.Node, model: nn.Module) -> tuple[fx.Node, str]:
    """What a function that keeps the order of classes is applied to, and its name; the value itself and nothing for any other."""
    if value.meta["op"] in SQUASHING and not _mixes_samples(value):
        return first_input(value), value.meta["op"]
    if value.meta["op"] == "module" and isinstance(layer := model.get_submodule(module_path(value)), SQUASHING_LAYERS):
        return value.all_input_nodes[0], type(layer).__name__
    return value, ""


def _mixes_samples(value: fx.Node) -> bool:
    axis = value.kwargs.get("dim", value.args[1] if len(value.args) > 1 else None)
    if axis is None:
        return value.meta["op"] == "argmax"
    return isinstance(axis, int) and value.meta["op"] != "sigmoid" and axis % first_input(value).meta["value"].ndim == 0


def _population(node: fx.Node) -> tuple[fx.Node, float, int | None]:
    """What a sum or mean over equal groups of the last axis' numbers in a row is of, its factor, and the number of groups; the node
    itself, 1 and None for anything else."""
    nothing = node, 1.0, None
    if node.meta["op"] not in ("sum", "mean"):
        return nothing
    split = first_input(node)
    if split.meta["op"] not in ("view", "reshape", "unflatten") or not isinstance(whole := first_input(split), fx.Node):
        return nothing
    before, after = whole.meta["value"].shape, split.meta["value"].shape
    if len(after) != len(before) + 1 or before[:-1] != after[:-2] or len(before) < 2 or axes_of(node) != {len(after) - 1}:
        return nothing
    return whole, 1.0 if node.meta["op"] == "sum" else 1.0 / after[-1], after[-2]


def _of_sum(factor: float, steps: int, kind: Reduction, **nodes: Any) -> Recorded:
    """A sum divided by the number of steps is a mean."""
    if kind == "sum" and abs(factor * steps - 1) < 1e-12:
        kind, factor = "mean", 1.0
    return Recorded(Reading(kind, factor=factor), **nodes)


def _scaled(node: fx.Node) -> tuple[fx.Node, float]:
    """What a value is a positive multiple of, and that."""
    factor = 1.0
    while True:
        op = node.meta["op"]
        if op in SAME:
            node = first_input(node)
        elif op in BY_NAME and BY_NAME[op].family == "product" and (split := _by_number(node)) is not None:
            node, factor = split[0], factor * split[1]
        else:
            return node, factor


def _by_number(node: fx.Node) -> tuple[fx.Node, float] | None:
    given = factors(node)
    data = [v for v in given if isinstance(v, fx.Node) and v.meta["op"] != "constant"]
    others = [v.meta["value"] if isinstance(v, fx.Node) else v for v in given if v is not (data[0] if data else None)]
    if len(data) != 1 or len(others) != 1 or torch.as_tensor(others[0]).numel() != 1:
        return None
    factor = float(torch.as_tensor(others[0]))
    return (data[0], factor) if factor > 0 else None


def _reduced(node: fx.Node, found: Sequences) -> tuple[fx.Node, Reduction] | None:
    """A sum, mean or maximum over time alone."""
    op = node.meta["op"]
    if op not in REDUCTIONS or (source := first_input(node)) not in found.axes:
        return None
    return (source, REDUCTIONS[op]) if axes_of(node) == {found.axes[source]} and not node.kwargs.get("keepdim") else None


def axes_of(node: fx.Node) -> set[int] | None:
    """The axes, from 0, that a sum, mean or maximum goes over; None for all."""
    given = node.kwargs.get("dim", node.kwargs.get("axis", node.args[1] if len(node.args) > 1 else None))
    axes: Any = given if isinstance(given, list | tuple) else (given,)
    return None if axes == (None,) else {a % first_input(node).meta["value"].ndim for a in axes}


def _added_up(node: fx.Node, step_of: Mapping[fx.Node, int], steps: int) -> tuple[fx.Node, ...] | None:
    """The nodes that a running sum added, one of each step: ((0 + s0) + s1) + s2."""
    each: list[fx.Node] = []
    here: Any = node
    for step in range(steps - 1, -1, -1):
        if step == 0 and not _is_sum(here):
            each.append(here)
            here = 0
            break
        if not _is_sum(here):
            return None
        given, signs = operands(here)
        item = next((v for v in given if isinstance(v, fx.Node) and step_of[v] == step), None)
        rest = [v for v in given if v is not item]
        if item is None or signs != [1.0, 1.0] or len(rest) != 1:
            return None
        each.append(item)
        here = rest[0]
        before = step_of[here] if isinstance(here, fx.Node) else -1
        if before != step - 1:
            return None
    return tuple(reversed(each)) if _is_zero(here) else None


def _is_sum(value: Any) -> bool:
    return isinstance(value, fx.Node) and value.meta["op"] == "add"


def _is_zero(value: Any) -> bool:
    if isinstance(value, fx.Node):
        return value.meta["op"] == "constant" and not value.meta["value"].any()
    return value == 0


def refused_output(value: Any, steps: int) -> Refusal:
    """Why what forward returns is none of these ways; `steps` of its loop."""
    if isinstance(value, list):
        return refusal("forward", "it returns a list", "return a tensor or a tuple of tensors")
    if not isinstance(value, fx.Node):
        return refusal("forward", f"it returns {type(value).__name__} inside its outputs", "return a tensor or a tuple of tensors")
    reason = f"every neuron is called {steps} times, as by a loop over time, and this is returned for all steps at once"
    return refusal(value.meta["where"], reason, f"{TIME_ADVICE}: torch.stack(spk_rec); without a loop, {SHARED_ADVICE}")
