"""Maxima of numbers: the mean over the same windows, with a note that the largest is meant; see `lowering.maximum_patterns`.

The windows of any max pool are found by torch's own function: along each axis, by which positions each output sees. What lies in the
padding, or beyond the end in ceil_mode, is in none of them.
"""

from collections.abc import Iterator
from functools import reduce
from typing import Any

import nir
import numpy as np
import torch
from scipy import sparse
from torch import nn

from snnfuse.export.lowering.maximum_patterns import noted
from snnfuse.export.tracing.emit.assembly import linear_node
from snnfuse.export.tracing.emit.convolutions import as_convolution
from snnfuse.export.tracing.emit.layer_use import Use
from snnfuse.export.tracing.emit.maps import Shape
from snnfuse.export.tracing.emit.signals import Part, Signal
from snnfuse.export.tracing.nodes.pieces import Array
from snnfuse.export.tracing.nodes.torch_layers import convolution


def maximum(use: Use) -> Signal:
    """A maximum of any numbers, as one noted node."""
    nodes, shape = use.graph.spelled(use.source, use.where)
    window = plain_window(use) if shape == use.source.shape else None
    if window is not None:
        return _placed(use, nir.AvgPool2d(*window), Part(nodes, shape), use.term.shape)
    matrix = windows(use)
    mean = matrix / np.diff(matrix.indptr).max()
    kernel = as_convolution(mean, shape, use.term.shape) if len(shape) == len(use.term.shape) else None
    if kernel is not None:
        node = convolution(kernel.weight, None, shape, kernel.stride, kernel.padding, (1,) * len(kernel.stride))
        if node is not None:
            return _placed(use, node, Part(nodes, shape), use.term.shape)
    flat = use.graph.flattened(Part(nodes, shape))
    return _placed(use, linear_node(mean, None, use.where), flat, (matrix.shape[0],))


def _placed(use: Use, node: nir.NIRNode, part: Part, shape: Shape) -> Signal:
    return Signal((use.graph.placed(use.stem, noted(node), part, shape),), use.term.shape)


def plain_window(use: Use) -> tuple[Array, Array, Array] | None:
    """Kernel, stride and padding of a pool over images whose windows NIR's pools can say; None for any other."""
    layer, before, after = use.layer, use.source.shape, use.term.shape
    if len(before) != 3:
        return None
    if isinstance(layer, nn.AdaptiveMaxPool2d):
        steps = np.array([n // m for n, m in zip(before[1:], after[1:], strict=True)])
        even = all(n % m == 0 for n, m in zip(before[1:], after[1:], strict=True))
        return (steps, steps, np.array([0, 0])) if even else None
    if not isinstance(layer, nn.MaxPool2d) or layer.ceil_mode or (pair(layer.dilation) != 1).any():
        return None
    return pair(layer.kernel_size), pair(layer.stride), pair(layer.padding)


def pair(value: Any) -> Array:
    """One number for both axes, or one each."""
    return np.array([value, value] if isinstance(value, int) else value)


def windows(use: Use) -> sparse.csr_matrix:
    """What each number that a max pool puts out sees, a matrix (out, in) of 0 and 1 over samples in C order."""
    along = list(_along(use))
    channels = use.source.shape[0] if len(use.source.shape) > len(along) else 1
    return reduce(lambda a, b: sparse.kron(a, b, format="csr"), along, sparse.identity(channels, format="csr"))


def _along(use: Use) -> Iterator[sparse.csr_matrix]:
    """For every axis of space, which positions each output sees along it."""
    axes = int(type(use.layer).__name__[-2])  # MaxPool1d to AdaptiveMaxPool3d
    has_channels = len(use.source.shape) > axes
    space = use.source.shape[-axes:]
    for axis, length in enumerate(space):
        lit = torch.eye(length, dtype=torch.float64).reshape(length, *(length if a == axis else 1 for a in range(axes)))
        x = lit.expand(length, *space)
        seen = use.call(x[:, None] if has_channels else x)
        seen = seen[:, 0] if has_channels else seen
        line = seen[(slice(None), *(slice(None) if a == axis else 0 for a in range(axes)))]
        yield sparse.csr_matrix(line.numpy().T)
