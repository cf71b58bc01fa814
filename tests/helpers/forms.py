"""Networks of one hidden layer whose forwards differ in nothing but how they take time and return it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from snntorch_models import leaky
from torch import nn

from snnfuse.export import lower, simulate
from snnfuse.export.tracing.forms import Form, find_form

STEPS, BATCH, INPUTS, CLASSES = 9, 5, 6, 3
SHAPES = {"x": (INPUTS,)}


class Net(nn.Module):
    """Two layers with default resets, states passed along; weights on a grid of 1/16, decays dyadic, so that float64 is exact."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        rule = {"beta": 0.75, "threshold": 0.5} | options
        self.fc1, self.lif1 = nn.Linear(INPUTS, 8), leaky(init_hidden=False, **rule)
        self.fc2, self.lif2 = nn.Linear(8, CLASSES), leaky(init_hidden=False, **rule)
        with torch.no_grad():
            for parameter in (*self.fc1.parameters(), *self.fc2.parameters()):
                parameter.copy_((parameter * 40).round() / 16)

    def begin(self) -> None:
        """Bring both neurons to rest."""
        self.mem1, self.mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()

    def step(self, x: Any) -> tuple[Any, Any]:
        """Spikes and membrane of the last layer."""
        spikes, self.mem1 = self.lif1(self.fc1(x), self.mem1)
        spikes, self.mem2 = self.lif2(self.fc2(spikes), self.mem2)
        return spikes, self.mem2


class Static(Net):
    """The form of snnTorch's tutorials: one image for all steps, spikes and membranes recorded."""

    def forward(self, x: Any) -> Any:
        self.begin()
        spikes, membranes = zip(*(self.step(x) for _ in range(STEPS)), strict=True)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class Restarting(nn.Module):
    """States that are made anew in every call of one step, and a last layer without a neuron."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif = nn.Linear(INPUTS, 8), leaky(beta=0.75, threshold=0.5, init_hidden=False)
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        spikes, _ = self.lif(self.fc1(x), self.lif.init_leaky())
        return self.fc2(spikes)


def made(kind: type[nn.Module], **options: Any) -> nn.Module:
    """A network of a kind, in float64."""
    torch.manual_seed(4)
    return kind(**options).double().eval()


def spikes_over_time(shape: tuple[int, ...] = (INPUTS,), static: bool = False) -> torch.Tensor:
    """Binary inputs (time, batch, *shape)."""
    x = (torch.rand(STEPS, BATCH, *shape, generator=torch.Generator().manual_seed(7)) < 0.4).double()
    return x[:1].expand(STEPS, BATCH, *shape).clone() if static else x


def by_steps(model: Any, x: torch.Tensor) -> np.ndarray:
    """What the layers themselves put out on every step, (time, batch, classes), whatever forward does with it."""
    with torch.no_grad():
        model.begin()
        return torch.stack([model.step(now)[0] for now in x]).numpy()


def found(model: nn.Module, x: torch.Tensor) -> tuple[Any, Form]:
    """Graph and form of a model, found out for data (time, batch, *shape)."""
    traced, form = find_form(model, {"x": tuple(x.shape[2:])}, len(x))
    return traced.graph, form


def graph_spikes(graph: Any, x: torch.Tensor, output: str = "output") -> np.ndarray:
    """The spikes of an output of a graph by the float simulator."""
    network = lower(graph)
    return simulate(network, {name: x.numpy() for name in network.inputs}).spikes[network.outputs[output]]


def agrees(model: Any, x: torch.Tensor, layout: str, reduce: Callable | None = None, output: str = "output") -> Form:
    """Assert that a model is found to take time in a layout, and that its graph fires as its layers do, on every step."""
    graph, form = found(model, x)
    expected = by_steps(model, x)
    assert form.layout == layout and 0.02 < expected.mean() < 0.98
    assert (graph_spikes(graph, x, output) != expected).sum() == 0
    return form
