"""Layers with weights: NIR's own nodes where it has them, written out as a matrix where it has none."""

from dataclasses import replace

import nir
import numpy as np
import torch
from scipy import sparse

from snnfuse.export.tracing.emit import maps
from snnfuse.export.tracing.emit.assembly import SMALLER, linear_node
from snnfuse.export.tracing.emit.convolutions import as_convolution
from snnfuse.export.tracing.emit.fold import by_channel
from snnfuse.export.tracing.emit.layer_use import Use, check_axes, value_at
from snnfuse.export.tracing.emit.layouts import as_image
from snnfuse.export.tracing.emit.signals import Part, Signal, plus
from snnfuse.export.tracing.nodes.pieces import Array, array
from snnfuse.export.tracing.nodes.torch_layers import Weighted, conv_node, lower_linear, norm_factors, padding_of, weighted


def linear(use: Use) -> Signal:
    """(features,) to (out,); over the last axis of anything longer written out."""
    layer, shape = weighted(use.owner, use.layer), use.source.shape
    if len(shape) > 1:
        matrix = maps.per_channel(layer.weight, maps.size(shape[:-1]))
        bias = None if layer.bias is None else np.tile(layer.bias, maps.size(shape[:-1]))
        return _dense(use, matrix, bias)

    def lower(name: str, part: Part, first: bool) -> Part:
        flat = use.graph.flattened(part)
        weight = layer.weight if part.view is None else (part.view.T @ layer.weight.T).T
        node = lower_linear(Weighted(np.ascontiguousarray(weight), bias if first else None))
        return use.graph.placed(name, node, flat, (weight.shape[0],))

    bias = layer.bias if use.source.constant is None else _sum(layer.bias, layer.weight @ use.source.constant)
    parts = use.graph.each_part(use.source, use.stem, lower)
    return use.signal(parts, None if parts else bias)


def _sum(a: Array | None, b: Array) -> Array:
    return b if a is None else a + b


def _dense(use: Use, matrix: sparse.csr_matrix, bias: Array | None) -> Signal:
    """A layer written out as matrix (out, in), with a bias (out,)."""

    def lower(name: str, part: Part, first: bool) -> Part:
        flat = use.graph.flattened(part)
        whole = matrix if part.view is None else matrix @ part.view
        return use.graph.placed(name, linear_node(whole, total if first else None, use.where), flat, (whole.shape[0],))

    total = bias if use.source.constant is None else _sum(bias, matrix @ use.source.constant)
    parts = use.graph.each_part(use.source, use.stem, lower)
    return use.signal(parts, None if parts else total)


def convolution(use: Use) -> Signal:
    """nir.Conv1d or nir.Conv2d; written out for what they cannot say and behind what NIR holds flat."""
    check_axes(use, len(use.layer.kernel_size) + 1)
    layer = weighted(use.owner, use.layer)
    constant = None if use.source.constant is None else value_at(_without_bias(use), use.source.constant)
    bias = None if constant is None else by_channel(constant, use.term.shape)
    late = constant if bias is None else None  # differs within a channel, as behind padding
    channels = layer.bias if bias is None else _sum(layer.bias, bias)

    def lower(name: str, part: Part, first: bool) -> Part:
        node, seen = _conv_of(use, Weighted(layer.weight, channels if first else None), part)
        if node is not None:
            return use.graph.placed(name, node, seen, use.term.shape)
        matrix = _conv_matrix(use, layer.weight)
        whole = matrix if part.view is None else matrix @ part.view
        repeated = np.repeat(channels, maps.size(use.term.shape[1:])) if first and channels is not None else None
        return use.graph.placed(name, linear_node(whole, repeated, use.where), use.graph.flattened(part), (whole.shape[0],))

    parts = use.graph.each_part(use.source, use.stem, lower)
    return use.signal(parts, late)


def _conv_of(use: Use, layer: Weighted, part: Part) -> tuple[nir.NIRNode | None, Part]:
    """NIR's own convolution and the part it reads; mixed channels and padding go into it, other images get a node before it."""
    shape = use.source.shape
    if part.view is None:
        return (conv_node(use.layer, layer, shape) if part.shape == shape else None), part
    kernel = as_convolution(part.view, part.shape, shape)
    if kernel is None:
        node = conv_node(use.layer, layer, shape)
        spread = None if node is None else as_image(use.graph, part, shape, use.stem)
        return (None, part) if spread is None else (node, spread)
    if kernel.mixes_channels and use.layer.padding_mode == "zeros":
        mixed = np.einsum("oc...,cn->on...", layer.weight, kernel.weight.reshape(kernel.weight.shape[:2]))
        return conv_node(use.layer, Weighted(mixed, layer.bias), part.shape, kernel.padding), replace(part, view=None)
    if conv_node(use.layer, layer, shape) is None:
        return None, part
    nodes, _ = use.graph.spelled(Signal((part,), shape), use.where)
    return conv_node(use.layer, layer, shape), Part(nodes, shape)


def _conv_matrix(use: Use, weight: Array) -> sparse.csr_matrix:
    """A convolution with any padding written out."""
    before, layer = use.source.shape, use.layer
    flat = any(len(part.shape) == 1 for part in use.source.parts)
    way_out = "present images as images, not as vectors" if flat else 'use odd kernel sides and padding_mode="zeros"'
    maps.check_size(maps.size(before) * maps.size(use.term.shape), use.where, way_out)
    padded = tuple(padding_of(layer, torch.zeros(1, *before)).shape[1:])
    (place,), _ = maps.moved(lambda x: padding_of(layer, x), [before], 1)
    none = (0,) * len(layer.kernel_size)
    return maps.conv_nd(weight, padded, layer.stride, none, layer.dilation) @ place


def _without_bias(use: Use) -> Use:
    same = replace(use)
    same.twin.bias = None
    return same


def norm(use: Use) -> Signal:
    """Factor and shift per channel, into the layer before or after it."""
    factor, shift = norm_factors(use.owner, use.layer, use.where)
    inner = maps.size(use.source.shape[1:])
    scaled = use.source.scaled(np.repeat(factor, inner))
    return replace(scaled, constant=plus(scaled.constant, np.repeat(shift, inner)))


def transposed(use: Use) -> Signal:
    """A transposed convolution written out: the transpose of a convolution's matrix."""
    layer, before, after = use.layer, use.source.shape, use.term.shape
    check_axes(use, len(layer.kernel_size) + 1)
    maps.check_size(maps.size(before) * maps.size(after), use.where, "use Upsample and Conv2d on smaller images, or fewer channels")
    weight = array(layer.weight, f"{use.owner}.weight")
    matrix = maps.conv_nd(weight, after, layer.stride, layer.padding, layer.dilation, layer.groups).T.tocsr()
    bias = None if layer.bias is None else np.repeat(array(layer.bias, f"{use.owner}.bias"), maps.size(after[1:]))
    return _dense(use, matrix, bias)


def conv3d(use: Use) -> Signal:
    """Written out."""
    check_axes(use, 4)
    (matrix,), bias = maps.written_out(use.call, [use.source.shape], use.where, SMALLER)
    return _dense(use, matrix, bias if bias.any() else None)
