"""The weights of torch's layers, and the NIR nodes that hold them, without batch: (channels, *space) or (features,)."""

from dataclasses import dataclass

import nir
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from snnfuse.export.tracing.nodes.pieces import Array, array
from snnfuse.export.tracing.nodes.refusal import refusal

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True, eq=False)
class Weighted:
    """A linear map in float64, dense.

    Attributes:
        weight: (out, in) or (out, in, *kernel), without groups.
        bias: (out,); None if the layer has none.
    """

    weight: Array
    bias: Array | None


def weighted(path: str, module: nn.Linear | nn.Conv1d | nn.Conv2d) -> Weighted:
    """A layer's parameters; a grouped convolution written dense, because nir 1.0.8 cannot read groups."""
    weight = array(module.weight, f"{path}.weight")
    if isinstance(module, CONVOLUTIONS) and module.groups > 1:
        weight = _dense(weight, module.groups)
    return Weighted(weight, None if module.bias is None else array(module.bias, f"{path}.bias"))


def _dense(weight: Array, groups: int) -> Array:
    """(out, in/groups, ...) to (out, in, ...): each group of outputs sees its own inputs."""
    out, fan_in = weight.shape[0] // groups, weight.shape[1]
    dense = np.zeros((weight.shape[0], fan_in * groups, *weight.shape[2:]))
    for g in range(groups):
        dense[g * out : (g + 1) * out, g * fan_in : (g + 1) * fan_in] = weight[g * out : (g + 1) * out]
    return dense


def lower_linear(layer: Weighted) -> nir.NIRNode:
    """(in,) to (out,)."""
    return nir.Linear(layer.weight) if layer.bias is None else nir.Affine(layer.weight, layer.bias)


def lower_conv(module: nn.Conv1d | nn.Conv2d, layer: Weighted, shape: tuple[int, ...], where: str) -> nir.NIRNode:
    """(in, *space) to (out, *space').

    Args:
        shape: of the input.

    Raises:
        UnsupportedError: NIR's convolution cannot say it.
    """
    node = conv_node(module, layer, shape)
    if node is None:
        reason = f"NIR 1.0.8 has no convolution with a kernel of {tuple(module.kernel_size)}, padding {module.padding!r} and "
        reason += f"padding_mode={module.padding_mode!r}"
        raise refusal(where, reason, 'use odd kernel sides, padding in numbers and padding_mode="zeros"')
    return node


def conv_node(
    module: nn.Conv1d | nn.Conv2d, layer: Weighted, shape: tuple[int, ...], extra: tuple[int, ...] | None = None
) -> nir.NIRNode | None:
    """A convolution as NIR's own; None where NIR cannot say it.

    Args:
        shape: of the input.
        extra: zeros padded on both sides before the layer's own padding, per axis.
    """
    padded = _padded(module, layer.weight) if module.padding_mode == "zeros" else None
    if padded is None:
        return None
    weight, padding = padded
    if extra is not None:
        padding = tuple(p + e for p, e in zip(padding, extra, strict=True))
    return convolution(weight, layer.bias, shape, tuple(module.stride), padding, tuple(module.dilation))


def convolution(
    weight: Array,
    bias: Array | None,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> nir.NIRNode | None:
    """nir.Conv1d or nir.Conv2d over inputs of `shape`; None for kernels that nir 1.0.8 cannot check."""
    bias = np.zeros(weight.shape[0]) if bias is None else bias
    if weight.ndim == 3:
        return nir.Conv1d(int(shape[1]), weight, int(stride[0]), int(padding[0]), int(dilation[0]), 1, bias)
    square = _square(weight, padding, dilation)
    if square is None:
        return None
    taps, around = square
    image, apart, around, dilated = (_pair(values) for values in (shape[1:], stride, around, dilation))
    return nir.Conv2d(image, taps, apart, around, dilated, 1, bias)


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    return first, second


def _padded(module: nn.Conv1d | nn.Conv2d, weight: Array) -> tuple[Array, tuple[int, ...]] | None:
    """Padding in numbers. Where "same" needs one more after than before, a zero tap in front makes both sides equal."""
    if module.padding == "valid":
        return weight, (0,) * len(module.kernel_size)
    if not isinstance(module.padding, str):
        return weight, tuple(module.padding)
    uneven = [d * (k - 1) % 2 for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    if any(u and d != 1 for u, d in zip(uneven, module.dilation, strict=True)):
        return None
    taps = np.pad(weight, ((0, 0), (0, 0), *((u, 0) for u in uneven)))
    return taps, tuple(d * (k - 1) // 2 for d, k in zip(module.dilation, taps.shape[2:], strict=True))


def _square(weight: Array, padding: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[Array, tuple[int, ...]] | None:
    """nir 1.0.8 computes the output's width from the kernel's height: zero taps around the shorter side make both equal."""
    height, width = weight.shape[2:]
    if (height - width) % 2:
        return None
    extra = [(max(height, width) - n) // 2 for n in (height, width)]
    taps = np.pad(weight, ((0, 0), (0, 0), (extra[0],) * 2, (extra[1],) * 2))
    return taps, tuple(p + d * e for p, d, e in zip(padding, dilation, extra, strict=True))


def padding_of(module: nn.Conv1d | nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """What a convolution sees at its borders, (batch, in, *space), by its own padding and padding mode."""
    sides = module._reversed_padding_repeated_twice  # torch's own bookkeeping, last axis first; "same" may be uneven
    return F.pad(x, sides, mode="constant" if module.padding_mode == "zeros" else module.padding_mode)


def norm_factors(path: str, norm: _BatchNorm, where: str) -> tuple[Array, Array]:
    """A batch norm in evaluation as factor and shift per channel.

    y = gamma (x - mean) / sqrt(var + eps) + beta (Ioffe and Szegedy, 2015).
    """
    if norm.running_mean is None:
        raise refusal(where, "it normalises by each batch's own statistics", "use track_running_stats=True")
    mean, var = (array(getattr(norm, name), f"{path}.{name}") for name in ("running_mean", "running_var"))
    gamma = np.ones_like(mean) if norm.weight is None else array(norm.weight, f"{path}.weight")
    beta = np.zeros_like(mean) if norm.bias is None else array(norm.bias, f"{path}.bias")
    factor = gamma / np.sqrt(var + norm.eps)
    return factor, beta - mean * factor
