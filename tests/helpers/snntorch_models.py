"""Inputs, neurons and runs of snnTorch models, for the tests that compare them with their graphs."""

import numpy as np
import snntorch as snn
import torch
from torch import nn

STEPS, BATCH = 100, 4


def grid(*shape: int, seed: int = 0) -> torch.Tensor:
    """Inputs in multiples of 1/16: sums meet the threshold exactly, so ties count."""
    return torch.from_numpy(np.random.default_rng(seed).integers(-6, 12, (STEPS, BATCH, *shape)) / 16)


def binary(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy((np.random.default_rng(seed).random((STEPS, BATCH, *shape)) < 0.3).astype(np.float64))


def heaviside(x: torch.Tensor) -> torch.Tensor:
    """snnTorch's own surrogates return float32 spikes, which a float64 layer does not take."""
    return (x > 0).to(x.dtype)


def leaky(**options) -> snn.Leaky:
    return snn.Leaky(**{"init_hidden": True, "spike_grad": heaviside, **options})


def synaptic(**options) -> snn.Synaptic:
    return snn.Synaptic(**{"init_hidden": True, "spike_grad": heaviside, **options})


def run_steps(model: nn.Module, *inputs: torch.Tensor) -> list[np.ndarray]:
    """A single-step model over time: each output (time, batch, *shape)."""
    model = model.double().eval()
    with torch.no_grad():
        steps = [model(*(x[t] for x in inputs)) for t in range(len(inputs[0]))]
    steps = [s if isinstance(s, tuple) else (s,) for s in steps]
    return [torch.stack(values).numpy() for values in zip(*steps, strict=True)]


def randomise_norms(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)):
        for tensor in (norm.weight.data, norm.running_var):
            tensor.uniform_(0.5, 1.5, generator=generator)
        for tensor in (norm.bias.data, norm.running_mean):
            tensor.uniform_(-0.2, 0.2, generator=generator)


def amplify(model: nn.Module, factor: float) -> None:
    for layer in (m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)):
        layer.weight.data *= factor
