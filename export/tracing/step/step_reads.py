"""How a node reads one step of a value over time: x[t], x.select(0, t), x.unbind()[t]."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import fx

from snnfuse.export.tracing.capture.fx_types import argument_node
from snnfuse.export.tracing.step.places import Place


@dataclass(frozen=True)
class Read:
    """One step of a value over time, as a node reads it.

    Attributes:
        source: the value.
        axis: which one an index removes.
        index: of the step, as it is written.
        rest: what else the node indexes, None for nothing.
    """

    source: fx.Node
    axis: int
    index: int
    rest: tuple[Any, ...] | None = None


def step_read(node: fx.Node, axes: Mapping[fx.Node, Place] | None = None) -> Read | None:
    """How a node takes one index of one axis; with `axes`, of a value that has a time axis, and of that."""
    op = node.meta.get("op")
    if op == "select":
        given: list[Any] = [*node.args, *(node.kwargs[k] for k in ("dim", "index") if k in node.kwargs)]
        found = _at(given[0], given[1], given[2]) if isinstance(given[0], fx.Node) else None
    elif op == "piece" and node.args[0] == "unbind":
        found = _at(argument_node(node, 2), (node.args[3:] or (node.kwargs.get("dim", 0),))[0], cast(int, node.args[1]))
    elif op == "getitem" and isinstance(node.args[0], fx.Node):
        found = _item(node, None if axes is None else axes.get(node.args[0]))
    else:
        return None
    if found is None or axes is not None and axes.get(found.source) != found.axis:
        return None
    return found


def _at(source: fx.Node, dim: Any, index: Any) -> Read | None:
    return Read(source, dim % source.meta["value"].ndim, index) if isinstance(dim, int) and isinstance(index, int) else None


def _item(node: fx.Node, axis: Place | None) -> Read | None:
    """x[t], x[:, t] and the like; of several numbers that at the axis, or else the first."""
    if not isinstance(axis, int | None):
        return None
    source = argument_node(node)
    given: tuple[Any, ...] = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
    if not all(i is Ellipsis or isinstance(i, int | slice) and not isinstance(i, bool) for i in given):
        return None
    missing = source.meta["value"].ndim - sum(i is not Ellipsis for i in given)
    at = next((i for i, each in enumerate(given) if each is Ellipsis), len(given))
    whole = [*given[:at], *[slice(None)] * missing, *given[at + 1 :]]
    axis = next((i for i, each in enumerate(whole) if isinstance(each, int)), None) if axis is None else axis
    if axis is None or not isinstance(whole[axis], int):
        return None
    rest = (*whole[:axis], *whole[axis + 1 :])
    return Read(source, axis, whole[axis], None if all(i == slice(None) for i in rest) else rest)
