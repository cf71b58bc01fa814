"""What flows between the nodes of a growing NIR graph: an affine function of the outputs of nodes.

Additions, concatenations, permutations, slices and factors thus cost no node of their own: they change how the next layer, or the
layer before, is written. Only what meets a neuron, a pool or an output must be spelled in nodes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from snnfuse.export.tracing.emit.maps import Shape, size
from snnfuse.export.tracing.nodes.pieces import Array


@dataclass(frozen=True, eq=False)
class Part:
    """view @ (the sum of the nodes' outputs, flattened).

    Attributes:
        nodes: names, each once.
        shape: of what each of them puts out in NIR.
        view: (numbers in the signal, numbers in `shape`); None for the identity.
    """

    nodes: tuple[str, ...]
    shape: Shape
    view: sparse.csr_matrix | None = None

    @property
    def matrix(self) -> sparse.csr_matrix:
        """The view, also where it is the identity."""
        return sparse.identity(size(self.shape), format="csr") if self.view is None else self.view

    def seen(self, matrix: sparse.csr_matrix) -> "Part":
        """The same through one more matrix."""
        return replace(self, view=simplified(matrix if self.view is None else matrix @ self.view))


@dataclass(frozen=True, eq=False)
class Signal:
    """The sum of its parts and a constant; of `shape`, that of the model's value, in C order.

    Attributes:
        parts: with no node in two of them.
        shape: without batch.
        constant: what is added on every step, (numbers,); None for nothing.
        own: nodes that no other value reads, so that they may still change.
    """

    parts: tuple[Part, ...]
    shape: Shape
    constant: Array | None = None
    own: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        """Whether it is the sum of what nodes put out, as it is."""
        return bool(self.parts) and all(p.view is None and p.shape == self.parts[0].shape for p in self.parts) and self.constant is None

    def mapped(self, matrix: sparse.csr_matrix, shape: Shape, constant: Array | None = None) -> "Signal":
        """matrix @ signal + constant."""
        moved = None if self.constant is None else matrix @ self.constant
        return replace(self, parts=tuple(p.seen(matrix) for p in self.parts), shape=shape, constant=plus(moved, constant))

    def scaled(self, factors: Array) -> "Signal":
        """Times one factor per number."""
        return self if (factors == 1).all() else self.mapped(sparse.diags(factors.ravel(), format="csr"), self.shape)


def node_signal(nodes: tuple[str, ...], shape: Shape) -> Signal:
    """The outputs of nodes, added."""
    return Signal((Part(nodes, shape),), shape)


def added(signals: Iterable[Signal], shape: Shape) -> Signal:
    """The sum of signals of one shape; what one node gives on several ways is one view of it."""
    signals = list(signals)
    views: dict[str, Part] = {}
    for part in (p for s in signals for p in s.parts):
        for node in part.nodes:
            before = views.get(node)
            view = part.view if before is None else simplified(before.matrix + part.matrix)
            views[node] = Part((node,), part.shape, view)
    constant = None
    for s in signals:
        constant = plus(constant, s.constant)
    own = frozenset().union(*(s.own for s in signals))
    return Signal(_grouped(views.values()), shape, constant, own)


def _grouped(single: Iterable[Part]) -> tuple[Part, ...]:
    """Nodes with the same view are one part."""
    groups: list[Part] = []
    for part in single:
        for i, group in enumerate(groups):
            if group.shape == part.shape and _same(group.view, part.view):
                groups[i] = replace(group, nodes=group.nodes + part.nodes)
                break
        else:
            groups.append(part)
    return tuple(g for g in groups if g.view is None or g.view.nnz)


def _same(a: sparse.csr_matrix | None, b: sparse.csr_matrix | None) -> bool:
    if a is None or b is None:
        return a is b
    return a is b or (a.shape == b.shape and a.nnz == b.nnz and (a != b).nnz == 0)


def simplified(matrix: sparse.csr_matrix) -> sparse.csr_matrix | None:
    """None where it is the identity."""
    matrix = sparse.csr_matrix(matrix)
    matrix.eliminate_zeros()
    factors = diagonal(matrix)
    return None if factors is not None and (factors == 1).all() else matrix


def diagonal(matrix: sparse.csr_matrix) -> Array | None:
    """The factors of a diagonal matrix; None for any other."""
    if matrix.shape[0] != matrix.shape[1]:
        return None
    entries = matrix.tocoo()
    return matrix.diagonal() if np.array_equal(entries.row, entries.col) else None


def plus(a: Array | None, b: Array | None) -> Array | None:
    """The sum of constants of which each may be missing; None for zero."""
    total = b if a is None else a if b is None else a + b
    return None if total is None or not total.any() else total
