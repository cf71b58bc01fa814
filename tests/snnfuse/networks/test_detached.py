"""Neurons with a detached membrane: over all steps at once they are snnTorch's layer, spike for spike, and their gradient is local."""

import numpy as np
import pytest
import snntorch
import torch
from torch import nn

from snnfuse.hardware.errors import InputError
from snnfuse.networks import Neuron, run, run_folded

T = 6


def layer(beta: float = 0.5, threshold: float = 2.0) -> nn.Module:
    return Neuron(beta=beta, threshold=threshold, slope=2.0, surrogate="sigmoid", detach=True).layer()


def currents(scale: float = 2.0) -> torch.Tensor:
    return scale * torch.randn(T, 5, 7, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.85, 0.999])
@pytest.mark.parametrize("threshold", [0.3, 2.0])
def test_it_is_snntorchs_layer(beta: float, threshold: float) -> None:
    spikes = run_folded(layer(beta, threshold), currents())
    plain = snntorch.Leaky(beta, threshold=threshold, reset_mechanism="zero", reset_delay=False, init_hidden=True)
    assert torch.equal(spikes, run(plain, currents())) and 0 < spikes.mean() < 1
    assert torch.equal(spikes, run(layer(beta, threshold), currents()))


def test_twice_the_threshold_is_the_published_neuron() -> None:
    """v += (x - v) / 2; s = [v >= 1]; v = 0 where s. At the threshold the published one fires, and this one does not."""
    x, v, expected = currents(), torch.zeros(5, 7), []
    for now in x:
        v = v + (now - v) / 2
        assert not (v == 1).any()
        expected.append((v >= 1).float())
        v = v * (1 - expected[-1])
    assert torch.equal(run_folded(layer(), x), torch.stack(expected))
    at = torch.full((1, 1, 1), 2.0)
    below = float(np.nextafter(np.float32(2), np.float32(0)))
    assert run_folded(layer(), at).item() == 0 and run_folded(layer(threshold=below), at).item() == 1


@pytest.mark.parametrize("through_time", [run, run_folded])
def test_the_gradient_is_the_surrogates_on_the_same_step(through_time: object) -> None:
    x = currents().requires_grad_()
    weights = torch.randn(T, 5, 7, generator=torch.Generator().manual_seed(1))
    (through_time(layer(), x) * weights).sum().backward()
    membrane, expected = torch.zeros(5, 7), []
    for now in x.detach():
        membrane = membrane / 2 + now
        sigma = torch.sigmoid(2 * (membrane - 2))
        expected.append(2 * sigma * (1 - sigma))
        membrane = membrane * (membrane <= 2)
    torch.testing.assert_close(x.grad, weights * torch.stack(expected))


def test_the_gradient_of_a_far_membrane_is_finite() -> None:
    x = torch.tensor([-1000.0, 1000.0]).reshape(1, 1, 2).requires_grad_()
    run_folded(layer(), x).sum().backward()
    assert x.grad.tolist() == [[[0.0, 0.0]]]


@pytest.mark.parametrize(
    "rule", [{"alpha": 0.5}, {"reset": "subtract"}, {"reset_delay": True}, {"surrogate": "fast-sigmoid"}, {"surrogate": "arctan"}]
)
def test_rules_without_a_detached_form_are_refused(rule: dict) -> None:
    with pytest.raises(InputError, match="detach is for|surrogate must be"):
        Neuron(**{"beta": 0.5, "surrogate": "sigmoid", "detach": True, **rule})
