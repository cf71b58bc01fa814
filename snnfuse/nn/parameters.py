"""What a layer trains, from the float network: weights by projection, and biases."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from snnfuse.export.lowering.network import Projection
from snnfuse.export.quantization.rounding import Rounds


@dataclass(frozen=True, eq=False)
class Incoming:
    """A projection into a layer.

    Attributes:
        projection: its weights in theta per unit of what the source stands for.
        rounds: the grids that its synapse groups lie on.
        payload: largest magnitude that the source sends.
        unit: what a payload of 1 stands for; 1 but for graded inputs.
        late: steps by which it arrives, one more than its lag where it is recurrent.
    """

    projection: Projection
    rounds: Rounds
    payload: int
    unit: float
    late: int

    @property
    def is_recurrent(self) -> bool:
        """Whether it feeds its own population."""
        return self.projection.source == self.projection.target


def firsts(incoming: tuple[Incoming, ...], ports: int) -> list[int]:
    """By projection, the position of the one whose parameter it shares: of those of one source at several ports that hold the same weights
    but for where zeros stand, as the places of a pooled convolution do, the first; else its own."""
    found: dict[Hashable, int] = {}
    for position, projection in enumerate(i.projection for i in incoming):
        values = np.asarray(projection.weights.values, np.float64)
        own = (projection.source, projection.is_fixed, values[values != 0].tobytes())
        found.setdefault(position if ports == 1 else own, position)
        found[position, "of all"] = found[position if ports == 1 else own]
    return [found[position, "of all"] for position in range(len(incoming))]


def parameter(projection: Projection) -> nn.Parameter:
    """Its float weights, in the structure's own layout."""
    values = torch.as_tensor(np.array(projection.weights.values, np.float64))
    return nn.Parameter(values, requires_grad=not projection.is_fixed)


def present(projection: Projection) -> Tensor | None:
    """1 where there is a synapse; None where there is one everywhere."""
    values = torch.as_tensor(np.asarray(projection.weights.values != 0, np.float64))
    return None if bool(values.all()) else values


def shared(values: NDArray[np.float64], axis: int = 0) -> nn.Parameter:
    """One bias per channel, an index of `axis`, where all its neurons have the same; none to train where no neuron has any."""
    alike = values[(slice(None),) * (axis + 1) + (slice(0, 1),) * (values.ndim - axis - 1)]
    if values.ndim > axis + 1 and (values == alike).all():
        values = alike
    return nn.Parameter(torch.as_tensor(np.array(values, np.float64)), requires_grad=bool(values.any()))
