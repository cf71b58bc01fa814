"""Running sums over time, step by step and layer by layer."""

import pytest
import torch
from torch import nn

from snnfuse.hardware.errors import InputError
from snnfuse.networks import Accumulator, Neuron, reset, run, run_folded

TIME, BATCH = 5, 3


def counts() -> torch.Tensor:
    return torch.randint(0, 3, (TIME, BATCH, 2, 4), generator=torch.Generator().manual_seed(0)).float()


def test_sums_are_those_of_all_steps_so_far() -> None:
    x = counts()
    expected = torch.stack([x[: t + 1].sum(0) for t in range(TIME)])
    assert torch.equal(run(Accumulator(10).eval(), x), expected)
    assert torch.equal(run_folded(Accumulator(10).eval(), x), expected)


def test_every_run_starts_at_rest() -> None:
    model, x = nn.Sequential(Accumulator(10)), counts()
    assert torch.equal(run(model, x), run(model, x))
    model(x[0])
    reset(model)
    assert model[0].total.numel() == 0 and not model.state_dict()


def test_a_network_of_neurons_and_accumulators_runs_alike_both_ways() -> None:
    torch.manual_seed(0)  # of weights with which the last layer spikes
    model = nn.Sequential(Neuron().layer(), Accumulator(TIME), nn.Linear(4, 4), Neuron().layer()).eval()
    x = counts()
    assert run(model, x).sum() > 0
    assert torch.equal(run(model, x), run_folded(model, x))


def test_gradients_reach_every_earlier_step() -> None:
    x = counts().requires_grad_()
    run(Accumulator(10), x)[-1].sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


@pytest.mark.parametrize("bound", [0, -1, 2.0, True, None])
def test_a_bound_that_bounds_nothing_is_refused(bound: object) -> None:
    with pytest.raises(InputError, match="integer of at least 1"):
        Accumulator(bound)


@pytest.mark.parametrize("way", [run, run_folded])
def test_a_sum_above_the_bound_is_refused_in_evaluation(way: object) -> None:
    with pytest.raises(InputError, match="reached 10, above its bound of 9"):
        way(Accumulator(9).eval(), torch.full((TIME, 1, 2), 2.0))
