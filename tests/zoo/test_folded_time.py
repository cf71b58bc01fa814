"""Time folded into the batch, so that layers which take images see all steps at once: the same spikes as step by step."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from forms import agrees, made, spikes_over_time
from snntorch_models import leaky
from torch import nn


class Images(nn.Module):
    """A convolution, a pool and a linear layer, on a grid of 1/16."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool, self.lif1 = nn.Conv2d(1, 3, 3), nn.MaxPool2d(2), leaky(beta=0.75, threshold=0.5, init_hidden=False)
        self.fc, self.lif2 = nn.Linear(12, 4), leaky(beta=0.75, threshold=0.5, init_hidden=False)
        with torch.no_grad():
            for parameter in (*self.conv.parameters(), *self.fc.parameters()):
                parameter.copy_((parameter * 60).round() / 16)

    def begin(self) -> None:
        self.mem1, self.mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()

    def behind(self, current: Any) -> Any:
        """What the first neuron and all behind it do with its current."""
        spikes, self.mem1 = self.lif1(current, self.mem1)
        spikes, self.mem2 = self.lif2(self.fc(spikes.flatten(1)), self.mem2)
        return spikes

    def step(self, x: Any) -> tuple[Any, Any]:
        return self.behind(self.pool(self.conv(x))), self.mem2


def viewed(m: Any, x: Any) -> Any:
    steps, batch = x.shape[:2]
    currents = m.pool(m.conv(x.view(steps * batch, *x.shape[2:]))).view(steps, batch, 3, 2, 2)
    return torch.stack([m.behind(currents[t]) for t in range(steps)])


def flattened(m: Any, x: Any) -> Any:
    currents = m.pool(m.conv(x.flatten(0, 1))).unflatten(0, (x.size(0), -1))
    return torch.stack([m.behind(now) for now in currents])


def samples_first(m: Any, x: Any) -> Any:
    batch, steps = x.shape[:2]
    currents = m.pool(m.conv(x.flatten(0, 1))).view(batch, steps, 3, 2, 2)
    return torch.stack([m.behind(currents[:, t]) for t in range(steps)], 1)


def of_functions(m: Any, x: Any) -> Any:
    steps, batch = x.shape[:2]
    currents = F.max_pool2d(F.conv2d(x.reshape(-1, 1, 6, 6) * 2 - 1, m.conv.weight / 2, m.conv.bias + m.conv.weight.sum((1, 2, 3)) / 2), 2)
    return torch.stack([m.behind(now) for now in currents.reshape(steps, batch, *currents.shape[1:])])


def layer_by_layer(m: Any, x: Any) -> Any:
    steps, batch = x.shape[:2]
    currents, first = m.pool(m.conv(x.flatten(0, 1))).view(steps, batch, 3, 2, 2), []
    for t in range(steps):
        spikes, m.mem1 = m.lif1(currents[t], m.mem1)
        first.append(spikes)
    currents, second = m.fc(torch.stack(first).reshape(steps * batch, -1)).reshape(steps, batch, -1), []
    for t in range(steps):
        spikes, m.mem2 = m.lif2(currents[t], m.mem2)
        second.append(spikes)
    return torch.stack(second)


LAYOUTS = {
    viewed: "time-first",
    flattened: "time-first",
    samples_first: "batch-first",
    of_functions: "time-first",
    layer_by_layer: "time-first",
}


@pytest.mark.parametrize("run", LAYOUTS, ids=lambda run: run.__name__)
def test_steps_folded_into_the_batch_are_found_out(run: Any) -> None:
    class Folding(Images):
        def forward(self, x: Any) -> Any:
            self.begin()
            return run(self, x)

    agrees(made(Folding), spikes_over_time((1, 6, 6)), LAYOUTS[run])
