"""The layers that every S-CMRL network is made of: its neuron, spike patches (SPS), 1x1 projections and the perceptron.

The published neuron is v += (x - v) / 2; s = [v >= 1]; v = 0 where s. With V = 2 v that is V = V / 2 + x, s = [V >= 2]: snnTorch's
Leaky with beta 1/2, immediate reset to zero and twice the threshold, so that no weight needs halving and no rounding differs. snnTorch
and the chip fire strictly above the threshold; the published code also at it. `legacy` fires at it here too: in float32, V > the number
before 2 is V >= 2.

The surrogate gradient is that of a sigmoid of slope 4 in v, which is 2 in V, and the membrane is detached from one step to the next,
as published. snnTorch has the surrogate, not the detachment: `snnfuse.networks.Neuron(detach=True)` adds it.
"""

from collections.abc import Iterable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from snnfuse.networks.neurons import Neuron
from snnfuse.networks.s_cmrl.config import STAGES, SCMRLConfig

PUBLISHED_THRESHOLD = 1.0
SLOPE = 4.0


def spiking(c: SCMRLConfig, threshold: float = PUBLISHED_THRESHOLD) -> nn.Module:
    """A layer of neurons; threshold: in the units of the published equation."""
    doubled = 2 * (PUBLISHED_THRESHOLD if c.legacy else threshold)  # the published code drops the argument that would set another one
    fires_above = float(np.nextafter(np.float32(doubled), np.float32(0))) if c.legacy else doubled
    return Neuron(beta=0.5, threshold=fires_above, slope=SLOPE / 2, surrogate="sigmoid", detach=True).layer()


class Projection(nn.Sequential):
    """1x1 convolution, batch norm, neurons: (batch, channels, height, width) -> spikes of the same shape."""

    def __init__(self, c: SCMRLConfig, before: int, after: int, bias: bool = False) -> None:
        super().__init__(nn.Conv2d(before, after, 1, bias=bias), nn.BatchNorm2d(after), spiking(c))

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The norm in front of its neurons."""
        return cast(nn.BatchNorm2d, self[1])  # as built


class Perceptron(nn.Sequential):
    """MLP(x), C -> mlp_ratio C -> C, to be added to x."""

    def __init__(self, c: SCMRLConfig) -> None:
        hidden = c.mlp_ratio * c.channels
        super().__init__(Projection(c, c.channels, hidden, bias=True), Projection(c, hidden, c.channels, bias=True))


class Patches(nn.Module):
    """A picture to tokens (SPS): stages of 3x3 convolution, batch norm, neurons and pooling, then one more convolution beside it.

    forward returns (pooled, relative), both spikes (batch, C, height / 2^stages, width / 2^stages); the tokens are their sum, 0..2, and
    `relative` carries position.
    """

    def __init__(self, c: SCMRLConfig, before: int) -> None:
        super().__init__()
        stages = STAGES[c.patches]
        widths = [before, *(c.channels // 2**i for i in reversed(range(stages)))]
        self.stages = nn.Sequential(*[_stage(c, a, b) for a, b in zip(widths, widths[1:], strict=False)])
        self.position = nn.Sequential(*_convolution(c, c.channels, c.channels))

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """picture: float (batch, channels, height, width)."""
        pooled = self.stages(picture)
        return pooled, self.position(pooled)


def _convolution(c: SCMRLConfig, before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), spiking(c)]


def _stage(c: SCMRLConfig, before: int, after: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(c, before, after), nn.MaxPool2d(3, stride=2, padding=1))


class Head(nn.Linear):
    """Class scores of a step: linear in the tokens' mean, (batch, C, height, width) -> (batch, classes).

    Decoding sums them over time: T times what the published head makes of the mean over time.
    """

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__(c.channels, c.classes)
        nn.init.trunc_normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """One time step of tokens."""
        return super().forward(input.flatten(2).mean(2))


def summed(values: Iterable[Tensor]) -> Tensor:
    """Return the sum of at least one tensor."""
    return cast(Tensor, sum(values))  # the int 0 for none only


def tokens_mean(x: Tensor) -> Tensor:
    """Average over tokens: (batch, C, height, width) -> (batch, C)."""
    return torch.flatten(x, 2).mean(2)
