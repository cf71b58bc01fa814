"""torch's layers as NIR's standard primitives, without batch: (channels, height, width) or (features,)."""

from dataclasses import dataclass

import nir
import numpy as np
from torch import nn

from snnfuse.export.tracing.pieces import Array, Piece, array
from snnfuse.export.tracing.refusal import refusal

IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
WEIGHTED = (nn.Linear, nn.Conv2d)


@dataclass(frozen=True, eq=False)
class Weighted:
    """A linear map in float64, dense.

    Attributes:
        weight: (out, in) or (out, in, height, width), without groups.
        bias: (out,); None if the layer has none.
    """

    weight: Array
    bias: Array | None


def weighted(path: str, module: nn.Linear | nn.Conv2d) -> Weighted:
    """A layer's parameters; a grouped convolution written dense, because nir 1.0.8 cannot read groups."""
    weight = array(module.weight, f"{path}.weight")
    if isinstance(module, nn.Conv2d) and module.groups > 1:
        weight = _dense(weight, module.groups)
    return Weighted(weight, None if module.bias is None else array(module.bias, f"{path}.bias"))


def _dense(weight: Array, groups: int) -> Array:
    """(out, in/groups, ...) to (out, in, ...): each group of outputs sees its own inputs."""
    out, fan_in = weight.shape[0] // groups, weight.shape[1]
    dense = np.zeros((weight.shape[0], fan_in * groups, *weight.shape[2:]))
    for g in range(groups):
        dense[g * out : (g + 1) * out, g * fan_in : (g + 1) * fan_in] = weight[g * out : (g + 1) * out]
    return dense


def normalised(layer: Weighted, path: str, norm: nn.Module, where: str) -> Weighted:
    """The layer with the batch norm behind it in one map.

    In evaluation y = gamma (x - mean) / sqrt(var + eps) + beta (Ioffe and Szegedy, 2015).
    """
    if norm.running_mean is None:
        raise refusal(where, "it normalises by each batch's own statistics", "use track_running_stats=True")
    mean, var = (array(getattr(norm, name), f"{path}.{name}") for name in ("running_mean", "running_var"))
    gamma = np.ones_like(mean) if norm.weight is None else array(norm.weight, f"{path}.weight")
    beta = np.zeros_like(mean) if norm.bias is None else array(norm.bias, f"{path}.bias")
    factor = gamma / np.sqrt(var + norm.eps)
    bias = (0 if layer.bias is None else layer.bias) - mean
    return Weighted(layer.weight * factor.reshape(-1, *[1] * (layer.weight.ndim - 1)), bias * factor + beta)


def lower_linear(layer: Weighted) -> nir.NIRNode:
    """(in,) to (out,)."""
    return nir.Linear(layer.weight) if layer.bias is None else nir.Affine(layer.weight, layer.bias)


def lower_conv(module: nn.Conv2d, layer: Weighted, shape: tuple[int, ...], where: str) -> nir.NIRNode:
    """(in, height, width) to (out, height', width').

    Args:
        shape: of the input.
    """
    if module.padding_mode != "zeros":
        raise refusal(where, f"padding_mode={module.padding_mode!r} has no NIR form", 'use padding_mode="zeros"')
    bias = np.zeros(layer.weight.shape[0]) if layer.bias is None else layer.bias
    weight, padding = _square(*_padded(module, layer.weight, where), module.dilation, where)
    return nir.Conv2d(tuple(shape[1:]), weight, tuple(module.stride), padding, tuple(module.dilation), 1, bias)


def _padded(module: nn.Conv2d, weight: Array, where: str) -> tuple[Array, tuple[int, ...]]:
    """Padding in numbers. Where "same" needs one more after than before, a zero tap in front makes both sides equal."""
    if module.padding == "valid":
        return weight, (0, 0)
    if module.padding != "same":
        return weight, tuple(module.padding)
    uneven = [d * (k - 1) % 2 for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    if any(u and d != 1 for u, d in zip(uneven, module.dilation, strict=True)):
        raise refusal(where, 'padding="same" is uneven for this kernel and dilation', "use an odd kernel, or padding in numbers")
    taps = np.pad(weight, ((0, 0), (0, 0), (uneven[0], 0), (uneven[1], 0)))
    return taps, tuple(d * (k - 1) // 2 for d, k in zip(module.dilation, taps.shape[2:], strict=True))


def _square(weight: Array, padding: tuple[int, ...], dilation: tuple[int, ...], where: str) -> tuple[Array, tuple[int, ...]]:
    """nir 1.0.8 computes the output's width from the kernel's height: zero taps around the shorter side make both equal."""
    height, width = weight.shape[2:]
    if (height - width) % 2:
        reason = f"nir 1.0.8 cannot check the shape of a {height} x {width} kernel"
        raise refusal(where, reason, "use kernel sides that are both odd or both even")
    extra = [(max(height, width) - n) // 2 for n in (height, width)]
    taps = np.pad(weight, ((0, 0), (0, 0), (extra[0],) * 2, (extra[1],) * 2))
    return taps, tuple(p + d * e for p, d, e in zip(padding, dilation, extra, strict=True))


def lower_avg_pool(module: nn.AvgPool2d, where: str) -> nir.NIRNode:
    """Average over windows; NIR counts padding."""
    padding = _pair(module.padding)
    if module.ceil_mode or module.divisor_override is not None:
        name = "ceil_mode" if module.ceil_mode else "divisor_override"
        raise refusal(where, f"{name} has no NIR form", f"leave {name} at its default")
    if padding.any() and not module.count_include_pad:
        raise refusal(where, "count_include_pad=False with padding has no NIR form", "use count_include_pad=True or no padding")
    return nir.AvgPool2d(_pair(module.kernel_size), _pair(module.stride), padding)


def lower_max_pool(name: str, module: nn.MaxPool2d, shape: tuple[int, ...], where: str) -> Piece:
    """The maximum of binary spikes: their sum exceeds one half.

    Args:
        shape: of the output.
    """
    for option in ("ceil_mode", "return_indices"):
        if getattr(module, option):
            raise refusal(where, f"{option} has no NIR form", f"leave {option} at its default")
    if (_pair(module.dilation) != 1).any():
        raise refusal(where, "dilation has no NIR form", "leave dilation at 1")
    total = nir.SumPool2d(_pair(module.kernel_size), _pair(module.stride), _pair(module.padding))
    nodes = {f"{name}.sum": total, name: nir.Threshold(np.full(shape, 0.5))}
    return Piece(nodes, ((f"{name}.sum", name),), f"{name}.sum", name)


def _pair(value: int | tuple[int, int]) -> np.ndarray:
    return np.array([value, value] if isinstance(value, int) else value)
