"""The NIR graph while it grows, and what flows through it.

A value is a `Signal`: the NIR nodes whose outputs add up to it or, where a concatenation has not met its reader yet,
several such parts side by side. Addition and concatenation thus cost no node: several edges into a node are a sum,
and a linear map of a concatenation is the sum of one map per part.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import nir
import numpy as np
from torch import nn

from snnfuse.export.tracing.kept import Kept
from snnfuse.export.tracing.pieces import Piece
from snnfuse.export.tracing.refusal import refusal
from snnfuse.export.tracing.step import Term
from snnfuse.hardware.ledger import LedgerEntry

Shape = tuple[int, ...]
Lower = Callable[[str, Shape, int], Piece]  # name, shape and first channel or feature of a part


@dataclass(frozen=True)
class Signal:
    """A value on its way to a reader.

    Attributes:
        parts: for each part, the nodes that add up to it.
        shapes: each part's shape, without batch; parts lie side by side on the first axis.
    """

    parts: tuple[tuple[str, ...], ...]
    shapes: tuple[Shape, ...]

    @property
    def starts(self) -> list[int]:
        """Each part's first channel or feature; one more entry for the end."""
        return [0, *np.cumsum([shape[0] for shape in self.shapes]).tolist()]


@dataclass
class Assembly:
    """The graph while it grows."""

    kept: Kept
    model: nn.Module
    dt: float
    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    ledger: list[LedgerEntry] = field(default_factory=list)
    signals: dict[int, Signal] = field(default_factory=dict)

    def term(self, index: int) -> Term:
        return self.kept.step.terms[index]

    def module(self, term: Term) -> nn.Module:
        return self.model.get_submodule(term.target)

    # names

    def output_names(self) -> list[str]:
        count = len(self.kept.outputs)
        return ["output"] if count == 1 else [f"output_{i}" for i in range(count)]

    def name(self, path: str) -> str:
        """A module's node is called by its path, unless an input or output has that name."""
        if "/" in path:
            raise refusal(path, "a NIR file cannot hold a '/' in a name", "rename the module")
        return f"{path}.module" if path in (*self.kept.step.inputs, *self.output_names()) else path

    def free_name(self, stem: str) -> str:
        """A name for what is no module."""
        taken = {*self.nodes, *self.output_names(), *self.kept.step.inputs, *(path for path, _ in self.model.named_modules())}
        return next(name for name in (stem, *(f"{stem}_{i}" for i in range(1, len(taken) + 2))) if name not in taken)

    # growing

    def place(self, piece: Piece, sources: tuple[str, ...], where: str) -> tuple[str, ...]:
        """Add a piece behind its sources."""
        self.nodes.update(piece.nodes)
        self.edges.extend(piece.edges)
        self.ledger.extend(piece.ledger)
        self.connect(sources, piece.entry, where)
        return (piece.exit,)

    def connect(self, sources: tuple[str, ...], target: str, where: str) -> None:
        twice = [s for s in sources if sources.count(s) > 1]
        if twice:
            raise refusal(
                where,
                f"it adds {twice[0]} to itself, and NIR has one edge between two nodes",
                "scale the weights before it instead",
            )
        self.edges.extend((source, target) for source in sources)

    def each_part(self, source: Signal, path: str, where: str, lower: Lower) -> tuple[tuple[str, ...], ...]:
        """One piece behind every part."""
        name = self.name(path)
        several = len(source.parts) > 1
        return tuple(
            self.place(lower(f"{name}.{i}" if several else name, shape, start), nodes, where)
            for i, (nodes, shape, start) in enumerate(zip(source.parts, source.shapes, source.starts, strict=False))
        )
