"""Layers that treat every channel alike: averages, maxima of binary spikes, interpolations; of other maxima see `maximum_layers`."""

from dataclasses import replace

import nir
import numpy as np
from scipy import sparse
from torch import nn

from snnfuse.export.tracing.emit import maps
from snnfuse.export.tracing.emit.assembly import SMALLER
from snnfuse.export.tracing.emit.convolutions import as_convolution
from snnfuse.export.tracing.emit.layer_use import Use, check_axes, value_at
from snnfuse.export.tracing.emit.maximum_layers import maximum, pair, plain_window, windows
from snnfuse.export.tracing.emit.signals import Part, Signal, plus
from snnfuse.export.tracing.nodes.pieces import Array, Piece
from snnfuse.export.tracing.nodes.refusal import refusal


def average_pool(use: Use) -> Signal:
    """nir.AvgPool2d, which counts padding; written out for what it cannot say."""
    check_axes(use, 3)
    window = _window(use)
    if window is None:
        return pool_matrix(use)

    def lower(name: str, part: Part, first: bool) -> Part:
        return _pooled(use, name, part, nir.AvgPool2d(*window))

    if not all(_only_mixes(part, use.source.shape) for part in use.source.parts):
        return pool_matrix(use)
    constant = None if use.source.constant is None else value_at(use, use.source.constant)
    return replace(use.signal(use.graph.each_part(use.source, use.stem, lower), constant), own=frozenset())


def _window(use: Use) -> tuple[Array, Array, Array] | None:
    """Kernel, stride and padding of an average that NIR can say."""
    layer, before, after = use.layer, use.source.shape, use.term.shape
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        steps = np.array([n // m for n, m in zip(before[1:], after[1:], strict=True)])
        even = all(n % m == 0 for n, m in zip(before[1:], after[1:], strict=True))
        return (steps, steps, np.array([0, 0])) if even else None
    padding = pair(layer.padding)
    uneven = layer.ceil_mode or layer.divisor_override is not None or (padding.any() and not layer.count_include_pad)
    return None if uneven else (pair(layer.kernel_size), pair(layer.stride), padding)


def _only_mixes(part: Part, shape: tuple[int, ...]) -> bool:
    return _mixture(part, shape) is not None


def _mixture(part: Part, shape: tuple[int, ...]) -> Array | None:
    """The matrix (channels, channels of the part) by which a part enters, if positions stay; such a mixture may follow the pool."""
    if part.view is None:
        return np.identity(shape[0]) if part.shape == shape else None
    kernel = as_convolution(part.view, part.shape, shape)
    if kernel is None or not kernel.mixes_channels or any(kernel.padding):
        return None
    return kernel.weight.reshape(kernel.weight.shape[:2])


def _pooled(use: Use, name: str, part: Part, *nodes: nir.NIRNode) -> Part:
    """A pool on a part's own channels, and the part's mixture of channels behind it."""
    out = (part.shape[0], *use.term.shape[1:])
    mixture = _mixture(part, use.source.shape)
    names = [name] if len(nodes) == 1 else [f"{name}.sum", name]
    piece = Piece(dict(zip(names, nodes, strict=True)), tuple(zip(names, names[1:], strict=False)), names[0], name)
    pooled = Part(use.graph.place(piece, part.nodes), out)
    return pooled if part.view is None or mixture is None else pooled.seen(_spread(mixture, out))


def _spread(mixture: Array, shape: tuple[int, ...]) -> sparse.csr_matrix:
    return sparse.kron(sparse.csr_matrix(mixture), sparse.identity(maps.size(shape[1:])), format="csr")


def pool_matrix(use: Use) -> Signal:
    """A layer that treats every channel alike, by its matrix for one."""
    shape = use.source.shape
    channels, one = (shape[0], (1, *shape[1:])) if len(shape) > 1 else (1, shape)
    (matrix,), _ = maps.written_out(use.call, [one], use.where, SMALLER)
    constant = None if use.source.constant is None else value_at(use, use.source.constant)
    mapped = replace(use.source, constant=None).mapped(maps.per_channel(matrix, channels), use.term.shape)
    return replace(mapped, constant=plus(None, constant))


def max_pool(use: Use) -> Signal:
    """The maximum: of binary spikes their sum, which exceeds one half; of other numbers a maximum neuron."""
    if getattr(use.layer, "return_indices", False):
        raise refusal(use.where, "return_indices has no NIR form", "leave return_indices at its default")
    if not use.graph.kept.is_binary(use.term.args[0]):
        return maximum(use)
    window = plain_window(use)
    mixtures = [None if window is None else _mixture(part, use.source.shape) for part in use.source.parts]
    if window is None or any(m is None or (m.sum(1) > 1).any() for m in mixtures):
        return _max_by_sums(use)

    def lower(name: str, part: Part, first: bool) -> Part:
        sums = nir.SumPool2d(*window)
        use.graph.known[name] = np.ones(part.shape[0] * maps.size(use.term.shape[1:]))
        return _pooled(use, name, part, sums, nir.Threshold(np.full((part.shape[0], *use.term.shape[1:]), 0.5)))

    return replace(use.signal(use.graph.each_part(use.source, use.stem, lower)), own=frozenset())


def _max_by_sums(use: Use) -> Signal:
    """By a matrix of sums over windows."""
    nodes, shape = use.graph.spelled(use.source.mapped(windows(use), use.term.shape), use.where)
    node = nir.Threshold(np.full(shape, 0.5))
    use.graph.known[use.stem] = np.ones(maps.size(shape))
    return replace(use.signal((use.graph.placed(use.stem, node, Part(nodes, shape), shape),)), own=frozenset())
