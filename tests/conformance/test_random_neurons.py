"""Neurons with random parameters, resets and recurrences between random layers: what the tracer calls exact is.

Decays are drawn beyond 0..1, which snnTorch clamps; parameters are one number, one element, or one per neuron.
"""

from collections.abc import Iterator

import nir
import nir_equations
import numpy as np
import pytest
import snntorch as snn
import torch
from neuron_cases import unlisted
from snntorch_models import heaviside
from torch import nn

from snnfuse.export import lower, simulate, trace_model
from snnfuse.export.lowering.notes import without_notes

STEPS, BATCH, INPUTS, OUTPUTS = 60, 4, 5, 4
QUICK, MANY = range(40), range(40, 440)


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with unlisted():
        yield


def drawn(rng: np.random.Generator, low: float, high: float, neurons: int) -> float | torch.Tensor:
    shape = [(), (1,), (neurons,)][rng.integers(3)]
    return torch.from_numpy(rng.uniform(low, high, shape)) if shape else float(rng.uniform(low, high))


def neuron(rng: np.random.Generator, neurons: int) -> nn.Module:
    kind = [snn.Leaky, snn.Synaptic, snn.Lapicque, snn.RLeaky, snn.RSynaptic, snn.Alpha][rng.integers(6)]
    reset = ["subtract", "zero", "none"][rng.integers(3)]
    options = {"reset_mechanism": reset, "threshold": drawn(rng, 0.3, 2, neurons), "init_hidden": True, "spike_grad": heaviside}
    if kind is snn.Lapicque:
        return kind(R=float(rng.uniform(2, 8)), C=float(rng.uniform(0.5, 4)), **options)
    if kind is snn.Alpha:
        return kind(alpha=drawn(rng, 0.6, 1.2, neurons), beta=drawn(rng, -0.2, 0.5, neurons), **options)
    options |= {"beta": drawn(rng, -0.2, 1.2, neurons), "reset_delay": kind is snn.RSynaptic or bool(rng.random() < 0.6)}
    if kind in (snn.Synaptic, snn.RSynaptic):
        options["alpha"] = drawn(rng, -0.2, 1.2, neurons)
    if kind in (snn.RLeaky, snn.RSynaptic):
        one_to_one = {"all_to_all": False, "V": drawn(rng, -1, 1, neurons)}
        options |= {"linear_features": neurons} if rng.random() < 0.5 else one_to_one
    elif kind is snn.Leaky and rng.random() < 0.5:
        options["graded_spikes_factor"] = drawn(rng, 0.5, 2, neurons)
    return kind(**options)


def network(seed: int) -> nn.Sequential:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    neurons = int(rng.integers(1, 9))
    last = snn.Leaky(0.7, init_hidden=True, spike_grad=heaviside)
    model = nn.Sequential(nn.Linear(INPUTS, neurons), neuron(rng, neurons), nn.Linear(neurons, OUTPUTS), last).double()
    model[0].weight.data *= 2
    model[2].weight.data *= 3
    return model


def check(seed: int) -> None:
    """Assert that the network of a seed is called exact, and is; without its notes it is what NIR's own equations give."""
    model = network(seed)
    x = torch.from_numpy((np.random.default_rng(seed + 10**6).random((STEPS, BATCH, INPUTS)) < 0.4).astype(np.float64))
    graph, ledger = trace_model(model, x[0])
    with torch.no_grad():
        expected = torch.stack([model(now) for now in x]).numpy()
    plain = nir_equations.simulate(graph, {"input": x.numpy()})["output"]
    assert (lowered(without_notes(graph), x) != plain.astype(bool)).sum() == 0
    assert ledger == () and (lowered(graph, x) != expected.astype(bool)).sum() == 0


def lowered(graph: nir.NIRGraph, x: torch.Tensor) -> np.ndarray:
    network = lower(graph)
    return simulate(network, {"input": x.numpy()}).spikes[network.outputs["output"]]


def test_random_neurons() -> None:
    for seed in QUICK:
        check(seed)


@pytest.mark.slow
def test_many_random_neurons() -> None:
    for seed in MANY:
        check(seed)
