"""The NIR graph while it grows, and how what flows through it is spelled where it must be nodes."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain, count
from typing import Any

import nir
import numpy as np
from scipy import sparse
from torch import nn

from snnfuse.export.lowering.graph import Graph, fresh_name
from snnfuse.export.tracing.emit import fold
from snnfuse.export.tracing.emit.convolutions import Kernel, as_convolution
from snnfuse.export.tracing.emit.maps import check_size, size
from snnfuse.export.tracing.emit.signals import Part, Signal, diagonal
from snnfuse.export.tracing.nodes.pieces import Array, Piece, single
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.kept import Kept
from snnfuse.export.tracing.step.step import Term
from snnfuse.hardware.ir.host_steps import step_record
from snnfuse.hardware.ledger import LedgerEntry

Shape = tuple[int, ...]
AS_IT_IS = "as it is"
SMALLER = "make it smaller, for instance by pooling before it, or write it with layers that NIR has"


class Assembly(Graph):
    """The graph while it grows."""

    def __init__(self, kept: Kept, model: nn.Module, dt: float) -> None:
        super().__init__()
        self.kept, self.model, self.dt = kept, model, dt
        self.ledger: list[LedgerEntry] = [*kept.ledger]
        self.signals: dict[int, Signal] = {}
        self.membranes: dict[int, str | None] = {}  # by neuron that fires, as of `Piece`
        self.flat: dict[tuple[str, ...], str] = {}  # the Flatten behind some nodes
        self.uses: dict[str, int] = {}  # how often a module's node was placed
        self.known: dict[str, Array] = {}  # how high the integers of spiking and summing nodes reach
        self.host_steps: dict[str, dict] = {}  # by module path: what a host could compute in a folded module's place
        self.reserved = frozenset({*self.output_names(), *kept.step.inputs, *(path for path, _ in model.named_modules())})

    def term(self, index: int) -> Term:
        return self.kept.step.terms[index]

    def module(self, term: Term) -> Any:
        """The torch module of a term: a layer, a neuron, or one with methods of this project's own."""
        return self.model.get_submodule(term.target)

    # names

    def output_names(self) -> list[str]:
        if self.kept.step.names:
            return [self.kept.step.names[position] for position in self.kept.returned]
        beside = self.kept.beside
        spoken = iter(_numbered("output", len(self.kept.outputs) - len(beside)))
        membranes = iter(_numbered("membrane", len(beside)))
        return [next(membranes if position in beside else spoken) for position in range(len(self.kept.outputs))]

    def name(self, path: str) -> str:
        """A module's node is called by its path, unless an input or output has that name."""
        if "/" in path:
            raise refusal(path, "a NIR file cannot hold a '/' in a name", "rename the module")
        return f"{path}.module" if path in (*self.kept.step.inputs, *self.output_names()) else path

    def free_name(self, stem: str) -> str:
        """A name for what is no module."""
        return fresh_name(stem, self.nodes, self.reserved)

    def stem(self, term: Term, path: str | None) -> str:
        """The name of the nodes of a layer: its path, numbered where a layer is used again; of a function its name."""
        if path is None:
            return self.free_name(term.target.name)
        self.uses[path] = self.uses.get(path, 0) + 1
        return self.name(path) if self.uses[path] == 1 else self.free_name(f"{self.name(path)}.use_{self.uses[path]}")

    # growing

    def place(self, piece: Piece, sources: tuple[str, ...]) -> tuple[str, ...]:
        """Add a piece behind its sources."""
        self.nodes.update(piece.nodes)
        for edge in piece.edges:
            self.connect(*edge)
        self.ledger.extend(piece.ledger)
        self.feed(sources, piece.entry)
        return (piece.exit,)

    def feed(self, sources: tuple[str, ...], target: str) -> None:
        """An edge from every source."""
        for source in sources:
            self.connect(source, target)

    def placed(self, name: str, node: nir.NIRNode, part: Part, shape: Shape) -> Part:
        """One node behind a part as it is."""
        return Part(self.place(single(name, node), part.nodes), shape)

    def each_part(self, source: Signal, stem: str, lower: Callable[[str, Part, bool], Part]) -> tuple[Part, ...]:
        """One piece behind every part, called by `stem`, numbered if there are several; the last argument says if it is the first."""
        several = len(source.parts) > 1
        return tuple(lower(f"{stem}.{i}" if several else stem, part, i == 0) for i, part in enumerate(source.parts))

    def flattened(self, part: Part) -> Part:
        """The same behind a nir.Flatten, which all readers share."""
        if len(part.shape) == 1:
            return part
        if part.nodes not in self.flat:
            self.flat[part.nodes] = self.free_name("flatten")
            self.place(single(self.flat[part.nodes], nir.Flatten(np.array(part.shape), 0, -1)), part.nodes)
        return replace(part, nodes=(self.flat[part.nodes],), shape=(size(part.shape),))

    def note_host_step(self, path: str, module: Any, parts: tuple[Part, ...]) -> None:
        """What a host could compute in the place of a folded module (`host_step()`), and the node that it is, if it is one: each time that
        the module is used."""
        if hasattr(module, "host_step"):
            whole = len(parts) == 1 and parts[0].view is None and len(parts[0].nodes) == 1
            use = next(name for name in chain([path], (f"{path}.use_{n}" for n in count(2))) if name not in self.host_steps)
            self.host_steps[use] = {"node": parts[0].nodes[0] if whole else None, "step": step_record(module.host_step())}

    # spelling

    def folded(self, signal: Signal) -> Signal:
        """Factors and a constant moved into the layers that they follow, where nothing else reads those."""
        parts = tuple(self._folded_factors(part, signal.own) for part in signal.parts)
        constant = signal.constant
        for part in parts:
            name = next((n for n in part.nodes if n in signal.own), None)
            if constant is None or part.view is not None or name is None:
                continue
            node = fold.shifted(self.nodes[name], constant, part.shape)
            if node is not None:
                self.nodes[name], constant = node, None
        return replace(signal, parts=parts, constant=constant)

    def _folded_factors(self, part: Part, own: frozenset[str]) -> Part:
        factors = None if part.view is None else diagonal(part.view)
        if factors is None or not own.issuperset(part.nodes):
            return part
        scaled = {name: fold.scaled(self.nodes[name], factors, part.shape) for name in part.nodes}
        nodes = {name: node for name, node in scaled.items() if node is not None}
        if len(nodes) < len(scaled):
            return part
        self.nodes.update(nodes)
        return replace(part, view=None)

    def spelled(self, signal: Signal, where: str) -> tuple[tuple[str, ...], Shape]:
        """The nodes that add up to a signal, and the shape they have in NIR: the signal's, or flat where NIR has no other way.

        Raises:
            UnsupportedError: it is a constant, or takes too large a matrix.
        """
        if not signal.parts:
            raise refusal(where, "it reads nothing but a constant", "feed it from the input too, or leave it out")
        image = self._spelled_image(signal) if len(signal.shape) > 1 else None
        if image is not None:
            return image, signal.shape
        return self._spelled_flat(signal, where), (size(signal.shape),)

    def _spelled_image(self, signal: Signal) -> tuple[str, ...] | None:
        """As (channels, *space); None where that takes more than factors and convolutions."""
        spellings = [self._spelling(part, signal.shape) for part in signal.parts]
        bias, taker = None, None
        if signal.constant is not None:
            bias, taker = fold.by_channel(signal.constant, signal.shape), self._taker(signal, spellings)
        if None in spellings or (signal.constant is not None and (bias is None or taker is None)):
            return None
        found: tuple[str, ...] = ()
        for i, (part, spelling) in enumerate(zip(signal.parts, spellings, strict=True)):
            if isinstance(spelling, Kernel):
                found += self._convolved(part, spelling, signal.shape, bias if i == taker else None)
            else:
                found += part.nodes if spelling == AS_IT_IS else self._scaled(part)
        return found

    def _spelling(self, part: Part, shape: Shape) -> Kernel | str | None:
        """How a part becomes an image: as it is, by factors, by a convolution, or not at all."""
        if part.view is None:
            return AS_IT_IS if part.shape == shape else None
        if part.shape == shape and diagonal(part.view) is not None:
            return "by factors"
        return as_convolution(part.view, part.shape, shape)

    def _taker(self, signal: Signal, spellings: list[Kernel | str | None]) -> int | None:
        """The part whose convolution adds a constant; one is made of a part that needs none otherwise."""
        for i, spelling in enumerate(spellings):
            if isinstance(spelling, Kernel):
                return i
        for i, part in enumerate(signal.parts):
            spellings[i] = as_convolution(part.matrix, part.shape, signal.shape) or spellings[i]
            if isinstance(spellings[i], Kernel):
                return i
        return None

    def _convolved(self, part: Part, kernel: Kernel, shape: Shape, bias: Array | None) -> tuple[str, ...]:
        return self.placed(self.free_name("conv"), kernel.node(bias, part.shape), part, shape).nodes

    def _scaled(self, part: Part) -> tuple[str, ...]:
        return self.placed(self.free_name("scale"), nir.Scale(part.matrix.diagonal().reshape(part.shape)), part, part.shape).nodes

    def _spelled_flat(self, signal: Signal, where: str) -> tuple[str, ...]:
        constant, found = signal.constant, ()
        parts = sorted(signal.parts, key=lambda p: p.view is None or diagonal(p.view) is not None)  # a matrix takes the constant first
        for part in parts:
            scale = None if part.view is None else diagonal(part.view)
            if constant is None and part.view is None:
                found += self.flattened(part).nodes
            elif constant is None and scale is not None:
                found += self.flattened(Part(self._scaled(part), part.shape)).nodes
            else:
                found += self._multiplied(part, signal, constant, where)
                constant = None
        return found

    def _multiplied(self, part: Part, signal: Signal, constant: Array | None, where: str) -> tuple[str, ...]:
        if len(part.nodes) == 1 and signal.own.issuperset(part.nodes):
            node = fold.multiplied(self.nodes[part.nodes[0]], part.view, constant)
            if node is not None:
                self.nodes[part.nodes[0]] = node
                return part.nodes
        part = self.flattened(part)
        return self.placed(self.free_name("linear"), linear_node(part.matrix, constant, where), part, (size(signal.shape),)).nodes


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}_{i}" for i in range(count)]


def linear_node(matrix: sparse.csr_matrix | Array, bias: Array | None, where: str) -> nir.NIRNode:
    """A matrix as a NIR node."""
    check_size(matrix.shape[0] * matrix.shape[1], where, SMALLER)
    dense = matrix.toarray() if sparse.issparse(matrix) else matrix
    return nir.Linear(dense) if bias is None else nir.Affine(dense, bias)
