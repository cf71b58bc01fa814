"""A user's own file: resonate-and-fire neurons in torch, networks of them, and the one call that says how they are exported."""

import numpy as np
import torch
from torch import Tensor, nn

from snnfuse.export import register_module
from snnfuse.export.lowering.resonate_and_fire import Resonator


class Resonators(nn.Module):
    """Neurons of which snnfuse knows nothing by itself; states are passed, or held where asked."""

    def __init__(self, periods: Tensor, alpha: float = 0.08, threshold: float = 1.0, init_hidden: bool = False) -> None:
        super().__init__()
        self.period, self.alpha, self.threshold = nn.Parameter(periods), alpha, threshold
        self.init_hidden = init_hidden
        for name in ("real", "imag"):
            self.register_buffer(name, None, persistent=False)

    def reset_mem(self) -> None:
        self.real = self.imag = None

    def forward(self, x: Tensor, real: Tensor | None = None, imag: Tensor | None = None):
        real, imag = (self.real, self.imag) if self.init_hidden else (real, imag)
        real, imag = (torch.zeros_like(x) if part is None else part for part in (real, imag))
        sin, cos = ((1 - self.alpha) * f(2 * np.pi / self.period) for f in (torch.sin, torch.cos))
        turned = cos * real - sin * imag + x, sin * real + cos * imag
        spikes = ((turned[0] >= self.threshold) & (turned[1] >= 0) & (imag < 0)).to(x.dtype)
        if self.init_hidden:
            self.real, self.imag = turned
            return spikes
        return spikes, *turned


class Unrolled(nn.Module):
    """All steps in one forward, two layers, states passed along."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.turn1 = nn.Linear(6, 12), Resonators(torch.linspace(3, 20, 12))
        self.fc2, self.turn2 = nn.Linear(12, 4, bias=False), Resonators(torch.tensor(5.0), threshold=0.4)
        with torch.no_grad():
            self.fc1.weight.mul_(2.5)
            self.fc2.weight.mul_(3.0)

    def forward(self, x: Tensor) -> Tensor:
        first = second = (None, None)
        found = []
        for step in x:
            spikes, *first = self.turn1(self.fc1(step), *first)
            spikes, *second = self.turn2(self.fc2(spikes), *second)
            found.append(spikes)
        return torch.stack(found)


class Held(nn.Module):
    """The same, one step per forward, states held by the neurons."""

    def __init__(self) -> None:
        super().__init__()
        like = Unrolled()
        self.fc1, self.fc2 = like.fc1, like.fc2
        self.turn1 = Resonators(torch.linspace(3, 20, 12), init_hidden=True)
        self.turn2 = Resonators(torch.tensor(5.0), threshold=0.4, init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.turn2(self.fc2(self.turn1(self.fc1(x))))


def _lowered(module: Resonators, shape: tuple[int, ...], dt: float) -> Resonator:
    return Resonator(module.period.detach().double().numpy(), np.array(module.alpha), np.array(module.threshold))


register_module(Resonators, states=("real", "imag"), lower=_lowered)
