"""Layers that take what follows them into their weights: factors, constants and other orders of what they put out."""

from dataclasses import replace
from typing import Any

import nir
import numpy as np
from scipy import sparse

from snnfuse.export.tracing.emit.maps import Shape
from snnfuse.export.tracing.nodes.pieces import Array

DENSE, CONVOLUTIONS = (nir.Affine, nir.Linear), (nir.Conv1d, nir.Conv2d)


def by_channel(values: Array, shape: Shape) -> Array | None:
    """One value per channel of (channels, *space), where all of a channel is equal; else None."""
    rows = values.reshape(shape[0], -1)
    return rows[:, 0].copy() if (rows == rows[:, :1]).all() else None


def scaled(node: Any, factors: Array, shape: Shape) -> nir.NIRNode | None:
    """A layer whose output, of `shape`, is multiplied by factors (numbers,); None if it cannot hold them."""
    if isinstance(node, DENSE):
        return multiplied(node, sparse.diags(factors, format="csr"), None)
    channels = by_channel(factors, shape) if isinstance(node, CONVOLUTIONS) else None
    if channels is None:
        return None
    return replace(node, weight=node.weight * channels.reshape(-1, *[1] * (node.weight.ndim - 1)), bias=node.bias * channels)


def shifted(node: Any, constant: Array, shape: Shape) -> nir.NIRNode | None:
    """A layer to whose output a constant (numbers,) is added; None if it cannot hold it."""
    if isinstance(node, DENSE):
        return multiplied(node, None, constant)
    channels = by_channel(constant, shape) if isinstance(node, CONVOLUTIONS) else None
    return None if channels is None else replace(node, bias=node.bias + channels)


def multiplied(node: nir.NIRNode, matrix: sparse.csr_matrix | None, constant: Array | None) -> nir.NIRNode | None:
    """matrix @ a dense layer + constant; None for any other node."""
    if not isinstance(node, DENSE):
        return None
    weight, bias = node.weight, getattr(node, "bias", None)
    if matrix is not None:
        weight, bias = matrix @ weight, None if bias is None else matrix @ bias
    total = bias if constant is None else constant if bias is None else bias + constant
    return nir.Linear(weight) if total is None else nir.Affine(weight, np.asarray(total))
