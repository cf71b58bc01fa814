"""How forward returns what a loop over time computed: all steps, their sum or mean, or the last one only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from snnfuse.export.tracing.capture.trace_ops import BY_NAME, SAME
from snnfuse.export.tracing.step.fx_nodes import factors, first_input, operands
from snnfuse.export.tracing.step.sequences import Sequences
from snnfuse.export.tracing.step.step import Reading, Reduction

REDUCTIONS = ("sum", "mean")


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


def recorded(value: Any, found: Sequences, step_of: Mapping[fx.Node, int]) -> Recorded | None:
    """The nodes behind a returned value; None for what does not come of the steps of a loop in any of these ways."""
    if isinstance(value, list | tuple):
        each = tuple(value)
        return Recorded(Reading(), each) if all(isinstance(v, fx.Node) for v in each) else None
    node, factor = _scaled(value)
    if node in found.axes:
        axis = found.axes[node]
        return Recorded(Reading("steps", axis), whole=node) if factor == 1 and isinstance(axis, int) else None
    summed = _reduced(node, found)
    if summed is not None:
        source, kind = summed
        return _of_sum(factor, found.steps, kind, whole=source)
    read = found.read(node)
    if read is not None:
        is_last = read.rest is None and read.index == found.steps - 1 and factor == 1
        return Recorded(Reading("last"), whole=read.source) if is_last else None
    if found.steps == 1:
        return None
    added = _added_up(node, step_of, found.steps)
    if added is not None:
        return _of_sum(factor, found.steps, "sum", each=added)
    return Recorded(Reading("last"), last=value) if step_of[value] == found.steps - 1 else None


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
    """A sum or mean over time alone."""
    op = node.meta["op"]
    if op not in REDUCTIONS or (source := first_input(node)) not in found.axes:
        return None
    given = node.kwargs.get("dim", node.kwargs.get("axis", node.args[1] if len(node.args) > 1 else None))
    axes: Any = given if isinstance(given, list | tuple) else (given,)
    if axes == (None,) or {a % source.meta["value"].ndim for a in axes} != {found.axes[source]} or node.kwargs.get("keepdim"):
        return None
    return source, op


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
