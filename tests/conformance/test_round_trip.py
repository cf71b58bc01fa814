"""snnTorch to NIR to snnTorch: the model, its graph and the model made of the graph give the same spikes, on every step."""

import re
from collections.abc import Callable

import nir
import nir_equations
import numpy as np
import pytest
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_nir import DT, random_graph, random_inputs
from snntorch.import_nir import import_from_nir
from snntorch_models import amplify, binary, grid, heaviside, leaky, randomise_norms, run_steps, synaptic
from torch import nn

from snnfuse.export import from_nir, to_nir
from snnfuse.hardware.errors import UnsupportedError

ZERO = {"reset_mechanism": "zero", "reset_delay": False}
NEURONS: dict[str, Callable[[], nn.Module]] = {
    "Leaky": lambda: leaky(beta=0.9),
    "Leaky, threshold 0.7": lambda: leaky(beta=0.8, threshold=0.7),
    "Leaky, per neuron": lambda: leaky(beta=torch.linspace(0.3, 0.95, 12), threshold=torch.linspace(0.6, 1.4, 12)),
    "Leaky without a leak": lambda: leaky(beta=1.0),
    "Leaky zero": lambda: leaky(beta=0.9, **ZERO),
    "Leaky none": lambda: leaky(beta=0.9, reset_mechanism="none"),
    "Synaptic": lambda: synaptic(alpha=0.4, beta=0.9),
    "Synaptic zero": lambda: synaptic(alpha=0.6, beta=0.8, **ZERO),
    "Lapicque": lambda: snn.Lapicque(R=5.1, C=2e-3, time_step=1e-3, init_hidden=True, spike_grad=heaviside),
}


def step_outputs(model: nn.Module, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """A model of `from_nir` over time: each output (time, batch, *shape)."""
    return run_steps(model, *(torch.from_numpy(np.asarray(inputs[name])) for name in model.inputs))


def same_three_ways(model: nn.Module, *inputs: torch.Tensor, tmp_path) -> nn.Module:
    """Original, graph from a file, and re-imported model; the last is returned."""
    originals = run_steps(model, *inputs)
    graph = to_nir(model, tuple(x[0] for x in inputs))
    nir.write(tmp_path / "graph.nir", graph)
    graph = nir.read(tmp_path / "graph.nir")
    arrays = {name: x.numpy() for name, x in zip(_inputs_in_order(model, graph), inputs, strict=True)}
    by_equations = nir_equations.simulate(graph, arrays)
    again = from_nir(graph, dtype=torch.float64)
    found = dict(zip(again.outputs, step_outputs(again, arrays), strict=True))
    for name, original in zip(sorted(found), originals, strict=True):
        np.testing.assert_array_equal(by_equations[name], original)
        np.testing.assert_array_equal(found[name], original)
        assert 0.001 < original.mean() < 0.99
    return again


def _inputs_in_order(model: nn.Module, graph: nir.NIRGraph) -> list[str]:
    names = [name for name in model.forward.__code__.co_varnames[1:] if name in graph.nodes]
    return names or list(graph.inputs)


@pytest.mark.parametrize("neuron", NEURONS.values(), ids=NEURONS)
@pytest.mark.parametrize("inputs", [grid, binary])
def test_every_neuron_comes_back(neuron: Callable[[], nn.Module], inputs: Callable, tmp_path) -> None:
    torch.manual_seed(0)
    fc = nn.Linear(10, 12).double()
    fc.weight.data = torch.randint(-6, 16, (12, 10)).double() / 16  # ties: sums meet thresholds exactly
    fc.bias.data = torch.randint(-2, 3, (12,)).double() / 16
    again = same_three_ways(nn.Sequential(fc, neuron()), inputs(10), tmp_path=tmp_path)
    (made,) = (m for m in again.modules() if isinstance(m, snn.SpikingNeuron))
    assert type(made) in (snn.Leaky, snn.Synaptic) and made.reset_mechanism == neuron().reset_mechanism


def test_a_convolutional_network_comes_back_layer_by_layer(tmp_path) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), leaky(beta=0.8), nn.AvgPool2d(2),
        nn.Conv2d(4, 3, 3, groups=1), leaky(beta=0.7, **ZERO), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(3, 5), synaptic(alpha=0.5, beta=0.7),
    ).double().eval()  # fmt: skip
    randomise_norms(model)
    amplify(model, 2.5)
    again = same_three_ways(model, binary(2, 10, 10), tmp_path=tmp_path)
    kinds = [type(layer.layer) for layer in again.layers.values() if hasattr(layer, "layer")]
    assert sorted(k.__name__ for k in kinds) == ["AvgPool2d", "AvgPool2d", "Conv2d", "Conv2d", "Flatten", "Linear"]


class Recurrent(nn.Module):
    """Two inputs, a recurrence, a skip and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.rec, self.out = nn.Linear(8, 12), nn.Linear(6, 12), nn.Linear(12, 12), nn.Linear(24, 5)
        self.lif_a, self.lif_b, self.lif_out = leaky(beta=0.8), leaky(beta=0.9, **ZERO), leaky(beta=0.7)
        self.last = None

    def forward(self, x, y):
        spk = torch.zeros(x.shape[1], 12, dtype=x.dtype)
        outs, sides = [], []
        for now, other in zip(x, y, strict=True):
            spk = self.lif_a(self.a(now) + self.rec(spk))
            sides.append(self.lif_b(self.b(other)))
            outs.append(self.lif_out(self.out(torch.cat([spk, sides[-1]], 1))))
        return torch.stack(outs), torch.stack(sides)


def test_a_recurrent_network_of_two_inputs_comes_back() -> None:
    torch.manual_seed(2)
    model, x, y = Recurrent().double(), binary(8), binary(6, seed=1)
    amplify(model, 2.0)
    with torch.no_grad():
        originals = [output.numpy() for output in model(x, y)]
    graph = to_nir(model, (x[:3], y[:3]))
    again = from_nir(graph, dtype=torch.float64)
    found = dict(zip(again.outputs, step_outputs(again, {"x": x, "y": y}), strict=True))
    for name, original in zip(("output_0", "output_1"), originals, strict=True):
        np.testing.assert_array_equal(found[name], original)
        assert 0.001 < original.mean() < 0.95
    first = step_outputs(again, {"x": x, "y": y})
    again.reset()
    second = dict(zip(again.outputs, step_outputs(again, {"x": x, "y": y}), strict=True))
    np.testing.assert_array_equal(second["output_0"], originals[0])
    assert any((a != b).any() for a, b in zip(first, second.values(), strict=True))  # without the reset, states go on


HELD_BACK = r"delays a bias|snnTorch's neurons reset to 0|Synaptic adds nothing to the membrane"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_graph_comes_in_or_is_refused_by_node(seed: int) -> None:
    graph, x = random_graph(seed), random_inputs(random_graph(seed), 25, 3, seed)
    try:
        model = from_nir(graph, DT, torch.float64)
    except UnsupportedError as error:
        assert re.search(HELD_BACK, str(error)), error
        return
    expected = nir_equations.simulate(graph, x)
    for name, found in zip(model.outputs, step_outputs(model, x), strict=True):
        if {*np.unique(expected[name])} <= {0.0, 1.0}:
            np.testing.assert_array_equal(found, expected[name])
        np.testing.assert_allclose(found, expected[name], rtol=1e-6, atol=1e-6)


def test_snntorchs_own_importer_runs_what_it_can_hold() -> None:
    """Reset to zero, at once, one threshold: another reader of the graphs that we write."""
    torch.manual_seed(3)
    neurons = [snn.Leaky(beta, init_hidden=True, **ZERO) for beta in (0.9, 0.7)]
    model = nn.Sequential(nn.Linear(10, 12), neurons[0], nn.Linear(12, 5), neurons[1])
    amplify(model, 2.5)
    x, theirs, state = binary(10).float(), import_from_nir(to_nir(model, torch.zeros(1, 10))), None
    ours = from_nir(to_nir(model, torch.zeros(1, 10)))
    rate = 0.0
    with torch.no_grad():
        for step in x:
            y, state = theirs(step) if state is None else theirs(step, state)
            expected = model(step)
            assert torch.equal(y, expected) and torch.equal(ours(step), expected)
            rate += float(expected.mean()) / len(x)
    assert 0.01 < rate < 0.9


def test_a_model_in_float32_trains() -> None:
    torch.manual_seed(4)
    model = from_nir(to_nir(nn.Sequential(nn.Linear(6, 8), leaky(beta=0.9), nn.Linear(8, 3), leaky(beta=0.8)), torch.zeros(1, 6)))
    assert {p.dtype for p in model.parameters()} == {torch.float32} and len([*model.parameters()]) == 4
    x = binary(6).float()
    sum(model(step).sum() for step in x[:20]).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_names_survive_and_precisions_are_refused() -> None:
    graph = to_nir(nn.Sequential(nn.Linear(6, 8), leaky(beta=0.9)), torch.zeros(1, 6))
    assert [*from_nir(graph).layers] == ["0", "1"]
    with pytest.raises(UnsupportedError, match="float32 or float64, not torch.float16"):
        from_nir(graph, dtype=torch.float16)
