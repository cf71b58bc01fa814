"""One use of a layer: what the functions that lower layers work on."""

import copy
import functools
from dataclasses import dataclass
from typing import Any

import torch

from snnfuse.export.tracing.emit.assembly import Assembly
from snnfuse.export.tracing.emit.signals import Part, Signal
from snnfuse.export.tracing.nodes.pieces import Array
from snnfuse.export.tracing.step.step import Term
from snnfuse.hardware.errors import InputError


@dataclass(frozen=True)
class Use:
    """One use of a layer.

    Attributes:
        graph: grows.
        index: of the term.
        layer: the torch module, in float32 or float64, of a class that the table of layers sends to the function.
        source: what it reads.
        path: the module's; None for a function.
    """

    graph: Assembly
    index: int
    layer: Any
    source: Signal
    path: str | None

    @property
    def term(self) -> Term:
        return self.graph.term(self.index)

    @property
    def where(self) -> str:
        return self.term.where

    @functools.cached_property
    def stem(self) -> str:
        """The name of its nodes."""
        return self.graph.stem(self.term, self.path)

    @property
    def owner(self) -> str:
        """Names its parameters in messages."""
        return self.path or self.where

    def signal(self, parts: tuple[Part, ...], constant: Array | None = None) -> Signal:
        """What it puts out, by nodes of its own."""
        return Signal(parts, self.term.shape, constant, frozenset(n for p in parts for n in p.nodes))

    def call(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Its forward, in float64 and on the CPU."""
        with torch.no_grad():
            return self.twin(*tensors)

    @functools.cached_property
    def twin(self) -> Any:
        """A copy that may be changed."""
        return copy.deepcopy(self.layer).double().cpu().eval()


def value_at(use: Use, constant: Array) -> Array:
    """A layer's output at a constant input."""
    return use.call(torch.from_numpy(constant).reshape(1, *use.source.shape)).reshape(-1).numpy()


def check_axes(use: Use, axes: int) -> None:
    shape = use.source.shape
    if len(shape) != axes:
        reason = f"it reads samples of shape {shape} behind the batch axis, and needs {axes} axes"
        raise InputError(f"{use.where}: {reason}; give the sample a batch axis first")
