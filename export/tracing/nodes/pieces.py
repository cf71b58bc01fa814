"""Small parts of a NIR graph, and the arrays inside them."""

from collections.abc import Mapping
from dataclasses import dataclass

import nir
import numpy as np
import torch
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ledger import Ledger

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Piece:
    """NIR nodes that stand for one module.

    Attributes:
        nodes: by name.
        edges: between them.
        entry: the node that takes the module's input.
        exit: the node whose output is the module's.
        ledger: what changed.
        membrane: of a neuron that fires, the node that puts out the membrane that its module returns; None where NIR has none.
    """

    nodes: Mapping[str, nir.NIRNode]
    edges: tuple[tuple[str, str], ...]
    entry: str
    exit: str
    ledger: Ledger = ()
    membrane: str | None = None


def single(name: str, node: nir.NIRNode, ledger: Ledger = ()) -> Piece:
    """A piece of one node."""
    return Piece({name: node}, (), name, name, ledger)


def array(tensor: torch.Tensor, name: str) -> Array:
    """A float64 copy of a parameter.

    Raises:
        InputError: it holds NaN or infinity.
    """
    values = tensor.detach().cpu().to(torch.float64).numpy().copy()
    if not np.isfinite(values).all():
        bad = "NaN" if np.isnan(values).any() else "infinity"
        raise InputError(f"{name} holds {bad}: train again, or load a checkpoint from before it diverged")
    return values


def expanded(values: Array, shape: tuple[int, ...], name: str) -> Array:
    """A parameter, scalar, per channel or per neuron, written out for every neuron.

    Args:
        values: broadcasts against (batch, *shape), as in snnTorch.

    Raises:
        InputError: it does not broadcast, or differs between samples of a batch.
    """
    try:
        return np.broadcast_to(values, (1, *shape))[0].copy()
    except ValueError:
        raise InputError(f"{name} has shape {values.shape}, which does not fit neurons of shape {shape}") from None
