"""Tensor operations as values that can be compared: two steps of a loop are equal if they do the same with the same constants."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.fx.node import map_arg

from snnfuse.export.tracing.capture.trace_ops import BY_NAME

JOINING = ("cat", "stack")


@dataclass(frozen=True)
class Constant:
    """A tensor that does not depend on the input, equal to any other with the same content."""

    shape: tuple[int, ...]
    content: bytes
    value: torch.Tensor = field(compare=False, repr=False)

    @staticmethod
    def of(value: torch.Tensor) -> "Constant":
        """float64, on the CPU."""
        held = value.detach().cpu().to(torch.float64)
        return Constant(tuple(held.shape), np.ascontiguousarray(held.numpy()).tobytes(), held)


@dataclass(frozen=True)
class Operation:
    """A function of one or more tensors (batch, *shape), and everything else that it was called with.

    Attributes:
        name: that in `trace_ops.OPERATIONS`.
        given: its arguments, tensors that depend on the input numbered.
        batch: the number of samples that was traced.
        call: of those tensors, in float64.
        layer: the torch layer that computes the same, for functions that have one.
    """

    name: str
    given: Hashable
    batch: int
    call: Callable[..., torch.Tensor] = field(compare=False, repr=False)
    layer: nn.Module | None = field(default=None, compare=False, repr=False)


def data_nodes(node: fx.Node) -> list[fx.Node]:
    """The arguments that depend on the input, each once, in order; of what is joined all, so that zeros may stand for a first step."""
    joins = node.meta["op"] in JOINING
    found: dict[fx.Node, None] = {}
    map_arg((node.args, node.kwargs), lambda n: found.setdefault(n) if joins or n.meta["op"] != "constant" else None)
    return list(found)


def operation(node: fx.Node) -> Operation:
    """What a recorded call computes."""
    name, data = node.meta["op"], data_nodes(node)
    kept = BY_NAME[name]

    def call(*tensors: torch.Tensor) -> torch.Tensor:
        given = dict(zip(data, tensors, strict=True))
        args, kwargs = map_arg((node.args, node.kwargs), lambda n: given[n] if n in given else double(n.meta["value"]))
        with torch.no_grad():
            return kept.run(*args, **kwargs)

    values, options = map_arg((node.args, node.kwargs), lambda n: n.meta["value"])
    layer = None if kept.layer is None else kept.layer(*values, **options)
    batch = len(data[0].meta["value"]) if data else 1
    return Operation(kept.names[0], _frozen((node.args, node.kwargs), data), batch, call, layer)


def double(value: torch.Tensor) -> torch.Tensor:
    """Constants as float64 on the CPU; indices and masks stay what they are."""
    value = value.detach().cpu()
    return value.to(torch.float64) if value.is_floating_point() else value


def _frozen(value: Any, data: list[fx.Node]) -> Hashable:
    if isinstance(value, fx.Node):
        return ("argument", data.index(value)) if value in data else Constant.of(value.meta["value"])
    if isinstance(value, dict):
        return tuple((k, _frozen(v, data)) for k, v in sorted(value.items()))
    if isinstance(value, list | tuple):
        return tuple(_frozen(v, data) for v in value)
    if isinstance(value, slice):
        return ("slice", *(_frozen(v, data) for v in (value.start, value.stop, value.step)))
    return repr(value)
