"""torch's functions that have a layer of the same meaning, as that layer."""

from typing import Any

import torch
from torch import nn


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Module:
    """torch.nn.functional.linear."""
    return _holding(nn.Linear(weight.shape[1], weight.shape[0], device="meta"), weight, bias)


def conv1d(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *args: Any, **options: Any) -> nn.Module:
    """torch.nn.functional.conv1d."""
    return _conv(nn.Conv1d, weight, bias, args, options)


def conv2d(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *args: Any, **options: Any) -> nn.Module:
    """torch.nn.functional.conv2d."""
    return _conv(nn.Conv2d, weight, bias, args, options)


def _conv(kind: type[nn.Module], weight: torch.Tensor, bias: torch.Tensor | None, args: tuple, options: dict[str, Any]) -> nn.Module:
    named = dict(zip(("stride", "padding", "dilation", "groups"), args, strict=False)) | options
    channels = weight.shape[1] * named.get("groups", 1), weight.shape[0]
    return _holding(kind(*channels, tuple(weight.shape[2:]), device="meta", **named), weight, bias)


def _holding(layer: nn.Module, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    layer.register_parameter("bias", None if bias is None else nn.Parameter(bias.detach(), requires_grad=False))
    return layer


def avg_pool2d(x: torch.Tensor, *args: Any, **options: Any) -> nn.Module:
    """torch.nn.functional.avg_pool2d."""
    return nn.AvgPool2d(*args, **options)


def max_pool1d(x: torch.Tensor, *args: Any, **options: Any) -> nn.Module:
    """torch.nn.functional.max_pool1d."""
    return _max_pool(nn.MaxPool1d, args, options)


def max_pool2d(x: torch.Tensor, *args: Any, **options: Any) -> nn.Module:
    """torch.nn.functional.max_pool2d."""
    return _max_pool(nn.MaxPool2d, args, options)


def max_pool3d(x: torch.Tensor, *args: Any, **options: Any) -> nn.Module:
    """torch.nn.functional.max_pool3d."""
    return _max_pool(nn.MaxPool3d, args, options)


def _max_pool(kind: type[nn.Module], args: tuple, options: dict[str, Any]) -> nn.Module:
    """The functions take ceil_mode before return_indices, the modules behind it."""
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    return kind(**dict(zip(names, args, strict=False)) | options)


def adaptive_max_pool1d(x: torch.Tensor, *args: Any, **options: Any) -> nn.Module:
    """torch.nn.functional.adaptive_max_pool1d."""
    return nn.AdaptiveMaxPool1d(*args, **options)


def adaptive_max_pool2d(x: torch.Tensor, *args: Any, **options: Any) -> nn.Module:
    """torch.nn.functional.adaptive_max_pool2d."""
    return nn.AdaptiveMaxPool2d(*args, **options)


def adaptive_max_pool3d(x: torch.Tensor, *args: Any, **options: Any) -> nn.Module:
    """torch.nn.functional.adaptive_max_pool3d."""
    return nn.AdaptiveMaxPool3d(*args, **options)
