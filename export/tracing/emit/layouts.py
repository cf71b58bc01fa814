"""How the numbers of a product lie in NIR, so that what spreads its factors over them stays small.

NIR has no node that turns a vector into an image, and none that repeats or reorders; but a convolution of one tap mixes channels, and
a sum over windows that reach everywhere adds up positions, or repeats one. So numbers that lie as (channels, height, width), where a
factor's matrix is mixture (x) places, take a few small nodes:

    mixture     any matrix (channels, channels): a convolution of one tap
    places      nothing; all added up and repeated everywhere: a sum over the image, one over windows wider than it

Everything else is flat and takes the matrix written out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import nir
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.export.tracing.emit.assembly import Assembly, linear_node
from snnfuse.export.tracing.emit.convolutions import Kernel
from snnfuse.export.tracing.emit.maps import MOST, Shape, check_size, size
from snnfuse.export.tracing.emit.signals import Part, Signal, simplified
from snnfuse.export.tracing.nodes.pieces import Array

SUM_FIRST = "multiply first what sums over tokens, as Q (K^T V) for (Q K^T) V, and give both factors as (batch, channels, height, width)"


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the numbers of a domain lie.

    Attributes:
        shape: in NIR: (channels, *space), or (numbers,).
        order: (numbers,), the domain's number at each place of it, both in C order.
    """

    shape: Shape
    order: NDArray[np.int64]

    @property
    def back(self) -> sparse.csr_matrix | None:
        """From NIR's order to the domain's; None where they are one."""
        count = len(self.order)
        return simplified(sparse.csr_matrix((np.ones(count), (self.order, np.arange(count))), shape=(count, count)))


@dataclass(frozen=True, eq=False)
class Spread:
    """A part's matrix as mixture (x) places.

    Attributes:
        mixture: (channels, channels of the part).
        everywhere: whether all positions are added up and repeated everywhere, instead of staying what they are.
    """

    mixture: sparse.csr_matrix
    everywhere: bool


def choose_layout(domain: Shape, signals: Sequence[Signal]) -> Layout:
    """The layout in which the signals, both over the domain, take the smallest nodes; flat where there is no other."""
    best, least = Layout((size(domain),), np.arange(size(domain))), np.inf
    for layout in _layouts(domain, [p.shape for s in signals for p in s.parts]):
        cost = _cost(layout, signals)
        if cost < least:
            best, least = layout, cost
    return best


def lay_out(graph: Assembly, signal: Signal, stem: str, where: str) -> tuple[tuple[str, ...], Layout]:
    """The nodes that add up to a signal, and where its numbers lie in them."""
    layout = choose_layout(signal.shape, (signal,))
    return spelled_in(graph, signal, layout, stem, where), layout


def _layouts(domain: Shape, sources: list[Shape]) -> Iterator[Layout]:
    """Every choice of axes as positions of which there are as many as some source has."""
    spaces = {size(s[1:]): s[1:] for s in sorted(sources, key=lambda s: -size(s)) if len(s) > 1}
    if any(len(s) < 2 for s in sources) or len({len(s) for s in sources}) != 1:
        return
    long = [axis for axis, length in enumerate(domain) if length > 1]
    numbers = np.arange(size(domain)).reshape(domain)
    for count in range(len(long) + 1):
        for chosen in combinations(long, count):
            places = size(tuple(domain[a] for a in chosen))
            space = spaces.get(places, (1,) * (len(sources[0]) - 1) if places == 1 else None)
            if space is not None:
                axes = [*(a for a in range(len(domain)) if a not in chosen), *chosen]
                yield Layout((size(domain) // places, *space), numbers.transpose(axes).ravel())


def _cost(layout: Layout, signals: Sequence[Signal]) -> float:
    """Numbers in all nodes that spread the signals."""
    total = 0
    for part in (p for s in signals for p in s.parts):
        spread = spread_of(part, layout)
        if spread is None:
            return np.inf
        total += 0 if _is_plain(spread) else size(spread.mixture.shape)
    return total if total <= MOST else np.inf


def spread_of(part: Part, layout: Layout) -> Spread | None:
    """A part's matrix taken apart; None where it is no such product of two."""
    if len(part.shape) != len(layout.shape) or len(part.shape) < 2:
        return None
    channels, places = part.shape[0], size(part.shape[1:])
    wide = size(layout.shape[1:])
    entries = part.matrix[layout.order].tocoo()
    (row, at), (column, of) = np.divmod(entries.row, wide), np.divmod(entries.col, places)
    shape = layout.shape[0], channels
    if part.shape[1:] == layout.shape[1:] and (at == of).all():
        return _alike(row, column, entries.data, wide, shape, everywhere=False)
    return _alike(row, column, entries.data, wide * places, shape, everywhere=True) if len(part.shape) == 3 else None


def _alike(row: Array, column: Array, data: Array, times: int, shape: tuple[int, int], everywhere: bool) -> Spread | None:
    """The mixture, if every pair of channels has one weight, at `times` pairs of positions."""
    if data.size and data.min() == data.max():  # as of what selects and sums: counting suffices
        counts = sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=shape)
        return Spread(counts * (data[0] / times), everywhere) if (counts.data == times).all() else None
    key = row.astype(np.int64) * shape[1] + column
    order = np.argsort(key, kind="stable")
    pairs, first, counts = np.unique(key[order], return_index=True, return_counts=True)
    weights = data[order]
    if (counts != times).any() or not np.array_equal(weights, np.repeat(weights[first], counts)):
        return None
    mixture = sparse.csr_matrix((weights[first], np.divmod(pairs, shape[1])), shape=shape)
    return Spread(mixture, everywhere)


def _is_plain(spread: Spread) -> bool:
    return simplified(spread.mixture) is None


def spelled_in(graph: Assembly, signal: Signal, layout: Layout, stem: str, where: str) -> tuple[str, ...]:
    """The nodes that add up to a signal in a layout.

    Raises:
        UnsupportedError: it takes too large a matrix.
    """
    found: tuple[str, ...] = ()
    for part in signal.parts:
        spread = spread_of(part, layout)
        found += _flat(graph, part, layout, stem, where) if spread is None else _nodes(graph, part, spread, layout, stem)
    return found


def as_image(graph: Assembly, part: Part, shape: Shape, stem: str) -> Part | None:
    """A part as an image of a shape, by sums over whole images; None where that is not what it is, or NIR's convolution cannot follow."""
    spread = spread_of(part, layout := Layout(shape, np.arange(size(shape))))
    if spread is None or (not _is_plain(spread) and size(spread.mixture.shape) > MOST):
        return None
    return Part(_nodes(graph, part, spread, layout, stem), shape)


def _flat(graph: Assembly, part: Part, layout: Layout, stem: str, where: str) -> tuple[str, ...]:
    flat = graph.flattened(part)
    matrix = part.matrix[layout.order]
    if simplified(matrix) is None:
        return flat.nodes
    check_size(size(matrix.shape), where, SUM_FIRST)
    return graph.placed(graph.free_name(f"{stem}.spread"), linear_node(matrix, None, where), flat, layout.shape).nodes


def _nodes(graph: Assembly, part: Part, spread: Spread, layout: Layout, stem: str) -> tuple[str, ...]:
    space, ones = layout.shape[1:], np.ones(2, np.int64)
    if spread.everywhere and size(part.shape[1:]) > 1:
        window = nir.SumPool2d(np.array(part.shape[1:]), ones, np.zeros(2, np.int64))
        part = graph.placed(graph.free_name(f"{stem}.sum"), window, part, (part.shape[0], *(1,) * len(space)))
    if not _is_plain(spread):
        kernel = spread.mixture.toarray().reshape(*spread.mixture.shape, *(1,) * len(space))
        node = Kernel(kernel, (1,) * len(space), (0,) * len(space)).node(None, part.shape)
        part = graph.placed(graph.free_name(f"{stem}.spread"), node, part, (layout.shape[0], *part.shape[1:]))
    if spread.everywhere and size(space) > 1:
        window = nir.SumPool2d(np.array(space), ones, np.array(space) - 1)
        part = graph.placed(graph.free_name(f"{stem}.repeat"), window, part, layout.shape)
    return part.nodes
