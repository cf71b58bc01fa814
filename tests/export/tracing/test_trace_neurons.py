"""Neurons as NIR: which nodes they become, and what does not fit them."""

from collections.abc import Iterator

import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from neuron_cases import unlisted
from torch import nn

from snnfuse.export.tracing import to_nir, trace_model
from snnfuse.hardware.errors import InputError, UnsupportedError

VECTOR, IMAGE = torch.zeros(2, 4), torch.zeros(2, 3, 5, 5)


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with unlisted():
        yield


def rleaky(**options) -> nn.Module:
    return snn.RLeaky(**{"beta": 0.5, "init_hidden": True, **options})


def test_a_recurrent_neuron_is_a_loop_through_its_own_layer() -> None:
    neuron = rleaky(linear_features=4, reset_mechanism="zero", reset_delay=False)
    graph = to_nir(neuron, VECTOR)
    assert isinstance(graph.nodes["0"], nir.LIF) and {("0", "0.recurrent"), ("0.recurrent", "0")} < set(graph.edges)
    np.testing.assert_array_equal(graph.nodes["0.recurrent"].weight, neuron.recurrent.weight.detach().numpy())
    np.testing.assert_array_equal(graph.nodes["0.recurrent"].bias, neuron.recurrent.bias.detach().numpy())


def test_a_one_to_one_recurrence_is_a_scale_beside_that_of_the_reset() -> None:
    graph = to_nir(rleaky(V=torch.tensor([0.5, -0.25, 0.0, 1.0]), all_to_all=False), VECTOR)
    assert graph.nodes["0.recurrent"].scale.tolist() == [0.5, -0.25, 0.0, 1.0] and graph.nodes["0.reset"].scale.tolist() == [-1.0] * 4
    assert {("0", "0.recurrent"), ("0.recurrent", "0.membrane"), ("0", "0.reset"), ("0.reset", "0.membrane")} < set(graph.edges)


def test_what_comes_back_reaches_the_current_of_a_recurrent_synaptic_neuron() -> None:
    graph = to_nir(snn.RSynaptic(alpha=0.5, beta=0.5, conv2d_channels=3, kernel_size=3, init_hidden=True), IMAGE)
    assert isinstance(graph.nodes["0.recurrent"], nir.Conv2d) and ("0.recurrent", "0.current") in graph.edges


def test_lapicques_parameters_are_resistance_and_capacity() -> None:
    """tau = R C in time steps; the input counts R."""
    node = to_nir(snn.Lapicque(R=4.0, C=2.0, time_step=1, reset_mechanism="zero", init_hidden=True), VECTOR).nodes["0"]
    np.testing.assert_allclose(node.tau, 8e-4, rtol=1e-12)
    np.testing.assert_allclose(node.r, 4.0, rtol=1e-12)


def test_beta_of_lapicque_only_sets_the_capacity() -> None:
    neuron = snn.Lapicque(beta=0.9, learn_beta=True, init_hidden=True)
    before = to_nir(neuron, VECTOR).nodes["0.membrane"].tau
    neuron.beta.data.fill_(0.1)
    np.testing.assert_array_equal(to_nir(neuron, VECTOR).nodes["0.membrane"].tau, before)


def test_graded_spikes_are_scaled_behind_the_neuron_for_layers_and_not_for_outputs() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = snn.Leaky(beta=0.5, graded_spikes_factor=2.0, init_hidden=True)
            self.fc, self.out = nn.Linear(4, 3), snn.Leaky(beta=0.5, init_hidden=True)

        def forward(self, x):
            spk = self.lif(x)
            return self.out(self.fc(spk)), spk

    graph, (entry,) = trace_model(Both(), VECTOR)
    assert {("lif", "lif.graded"), ("lif.graded", "fc"), ("lif", "output_1")} < set(graph.edges)
    assert graph.nodes["lif.graded"].scale.tolist() == [2.0] * 4
    assert (entry.node, entry.change) == ("lif", "an output spike is 1, not 2")


def test_graded_spikes_that_are_fed_back_by_hand_keep_their_factor() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif, self.back = snn.Leaky(beta=0.5, graded_spikes_factor=0.5), nn.Linear(4, 4)

        def forward(self, x):
            mem, spk, record = self.lif.reset_mem(), torch.zeros(2, 4), []
            for now in x:
                spk, mem = self.lif(now + self.back(spk), mem)
                record.append(spk)
            return torch.stack(record)

    graph = to_nir(Loop(), torch.zeros(3, 2, 4))
    assert {("lif.graded", "back"), ("back", "lif.membrane")} < set(graph.edges)


@pytest.mark.parametrize(
    "neuron, sample, message",
    [
        (rleaky(linear_features=5), VECTOR, r"0 \(RLeaky\): its recurrent layer fails on spikes of shape \(4,\)"),
        (rleaky(conv2d_channels=3, kernel_size=2), IMAGE, r"makes \(3, 6, 6\) of spikes of shape \(3, 5, 5\); use an odd kernel"),
        (rleaky(V=torch.ones(3), all_to_all=False), VECTOR, "its recurrent layer fails on spikes of shape"),
        (snn.Leaky(beta=torch.ones(3) / 2, init_hidden=True), VECTOR, r"0.beta has shape \(3,\), which does not fit neurons of shape"),
    ],
    ids=["features", "even kernel", "V", "beta"],
)
def test_what_does_not_fit_the_neurons_is_an_input_error(neuron: nn.Module, sample: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_nir(neuron, sample)


def test_a_linear_recurrence_of_an_image_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"its recurrent layer: it maps the last axis of \(3, 5, 5\).*; flatten before the neuron"):
        to_nir(rleaky(linear_features=5), IMAGE)


def test_a_decay_of_one_beside_others_leaks_less_than_the_thresholds_margin() -> None:
    node = to_nir(snn.Leaky(beta=torch.tensor([1.0, 0.5]), reset_mechanism="zero", init_hidden=True), torch.zeros(1, 2)).nodes["0"]
    assert (1e-4 / node.tau).tolist() == pytest.approx([2.0**-40, 0.5], rel=1e-12)
    np.testing.assert_allclose(node.r * 1e-4 / node.tau, 1, rtol=1e-15)


@pytest.mark.filterwarnings("ignore:StateLeaky")
def test_the_way_out_of_whole_sequence_neurons_computes_the_same() -> None:
    """What the refusals of StateLeaky and LinearLeaky tell users to write, in double precision."""
    torch.manual_seed(0)
    whole = snn.LinearLeaky(beta=0.8, in_features=6, out_features=4).double()
    stepwise = snn.Leaky(beta=float(torch.exp(-1 / whole.tau)), reset_mechanism="none")
    x = torch.randn(40, 3, 6, dtype=torch.float64)
    expected, membranes = whole(x)
    mem, spikes = stepwise.reset_mem(), []
    for t, now in enumerate(whole.linear(x)):
        spk, mem = stepwise(now, mem)
        spikes.append(spk)
        torch.testing.assert_close(mem, membranes[t], rtol=1e-6, atol=1e-6)
    assert 0 < expected.sum() and (torch.stack(spikes) == expected).all()
    state = snn.StateLeaky(beta=0.8, channels=4).double()
    torch.testing.assert_close(state(whole.linear(x))[0], expected)
