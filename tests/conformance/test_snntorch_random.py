"""Layers and operations in random order, each value read by up to three others: the same spikes as snnTorch, on every step."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from snntorch_models import binary, leaky, randomise_norms, run_steps
from torch import nn

from snnfuse.export.tracing import to_nir

IMAGE = (3, 4, 4)
STEPS: tuple[Callable[[nn.Module, str, torch.Tensor, torch.Tensor], torch.Tensor], ...] = (
    # of the module, the name of this step, a value and one before it, both of one shape
    lambda m, name, x, y: m.layer(name, lambda: nn.Conv2d(3, 3, 3, padding=1))(x),
    lambda m, name, x, y: m.layer(name, lambda: nn.Conv2d(3, 3, (1, 3), padding="same"))(x),
    lambda m, name, x, y: m.layer(name, lambda: nn.BatchNorm2d(3))(x),
    lambda m, name, x, y: m.layer(name, lambda: nn.AvgPool2d(3, 1, 1))(x),
    lambda m, name, x, y: m.layer(name, lambda: nn.ZeroPad2d((1, 0, 0, 1)))(x)[:, :, 1:, :-1],
    lambda m, name, x, y: m.layer(name, lambda: leaky(beta=0.9, threshold=0.6931))(x),
    lambda m, name, x, y: x * 0.7 - y * 0.4,
    lambda m, name, x, y: x + x * torch.tensor([0.3, -0.2, 0.5], dtype=x.dtype)[:, None, None],
    lambda m, name, x, y: x + 0.17,
    lambda m, name, x, y: x + torch.linspace(-0.217, 0.331, 16, dtype=x.dtype).view(4, 4),
    lambda m, name, x, y: torch.cat([x[:, 1:], y[:, :1]], 1),
    lambda m, name, x, y: torch.cat([x, y], 3)[..., 2:6],
    lambda m, name, x, y: x.permute(0, 1, 3, 2),
    lambda m, name, x, y: m.layer(name, lambda: nn.Linear(48, 48))(x.flatten(1)).view(-1, 3, 4, 4),
)
OF_TWO = {6, 10, 11}


class Random(nn.Module):
    """Ten steps, drawn by a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.plan = [(int(rng.integers(len(STEPS))), int(rng.integers(1, 4)), int(rng.integers(1, 4))) for _ in range(10)]
        self.first, self.last = leaky(beta=0.5, threshold=0.3971), leaky(beta=0.8, threshold=0.8731, reset_mechanism="zero")

    def layer(self, name: str, make: Callable[[], nn.Module]) -> nn.Module:
        if name not in self._modules:
            self.add_module(name, make().double().eval())
        return self._modules[name]

    def forward(self, x):
        values, read = [self.first(x)], set()
        for i, (kind, *back) in enumerate(self.plan):
            chosen = [len(values) - min(n, len(values)) for n in back][: 2 if kind in OF_TWO else 1]
            read.update(chosen)
            values.append(STEPS[kind](self, f"step{i}", *(values[n] for n in (*chosen, *chosen)[:2])))
        return self.last(sum(value for n, value in enumerate(values) if n not in read))


@pytest.mark.parametrize("seed", range(16))
def test_random_networks(agree, seed: int) -> None:
    torch.manual_seed(seed)
    model, x = Random(seed).double(), binary(*IMAGE, seed=seed)[:40]
    model(x[0])  # makes its layers
    randomise_norms(model)
    expected = run_steps(reset(model), x)[0]
    graph = to_nir(model, x[0])
    agree(graph, {"x": x}, {"output": expected.reshape(*expected.shape[:2], *graph.nodes["output"].output_type["output"])}, rate=False)


def reset(model: nn.Module) -> nn.Module:
    for neuron in (m for m in model.modules() if hasattr(m, "reset_mem")):
        neuron.reset_mem()
    return model
