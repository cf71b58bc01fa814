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

from snnfuse.export import from_nir, lower, quantize, simulate, to_nir
from snnfuse.export.lowering.alpha import AlphaNeurons
from snnfuse.export.lowering.float_neurons import to_node
from snnfuse.hardware import emulate
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


@pytest.mark.parametrize("neuron", NEURONS)
def test_a_model_made_of_a_graph_is_exported_again(neuron: str) -> None:
    torch.manual_seed(6)
    model, x = nn.Sequential(nn.Linear(6, 12), NEURONS[neuron]()).double(), binary(6)
    amplify(model, 3.0)
    first = to_nir(model, x[0])
    again = to_nir(from_nir(first, dtype=torch.float64), x[0])
    (expected,), (found,) = (simulate(lower(g), {name: x.numpy() for name in g.inputs}).spikes.values() for g in (first, again))
    np.testing.assert_array_equal(found, expected)
    assert 0.001 < expected.mean() < 0.99


def test_names_survive_and_precisions_are_refused() -> None:
    graph = to_nir(nn.Sequential(nn.Linear(6, 8), leaky(beta=0.9)), torch.zeros(1, 6))
    assert [*from_nir(graph).layers] == ["0", "1"]
    with pytest.raises(UnsupportedError, match="float32 or float64, not torch.float16"):
        from_nir(graph, dtype=torch.float16)


@pytest.mark.parametrize("reset", ("zero", "subtract", "none"))
@pytest.mark.parametrize("decays", [(0.85, 0.6), (1.0, 0.5), (0.7, 0.0), "one per neuron"])
def test_alpha_neurons_come_back_with_every_state(reset: str, decays: object, tmp_path) -> None:
    torch.manual_seed(5)
    rng = np.random.default_rng(0)
    alpha, beta = (torch.from_numpy(rng.uniform(*r, 8)) for r in ((0.7, 0.9), (0.2, 0.6))) if isinstance(decays, str) else decays
    model = nn.Sequential(
        nn.Linear(6, 8), snn.Alpha(alpha, beta, threshold=0.4, init_hidden=True, reset_mechanism=reset, spike_grad=heaviside)
    ).double()
    amplify(model, 3.0)
    x = binary(6)
    nir.write(tmp_path / "graph.nir", to_nir(model, x[0]))
    again = from_nir(nir.read(tmp_path / "graph.nir"), dtype=torch.float64)
    assert isinstance(again.layers["1"].neuron, snn.Alpha)
    seen = 0.0
    with torch.no_grad():
        for step in x:
            expected = model(step)
            assert torch.equal(again(step), expected)
            for state in ("syn_exc", "syn_inh", "mem"):
                torch.testing.assert_close(getattr(again.layers["1"].neuron, state), getattr(model[1], state), rtol=1e-12, atol=1e-12)
            seen += float(expected.mean()) / len(x)
    assert 0.01 < seen < 0.99
    exported = lower(to_nir(again, x[0]))
    assert [type(population.own) for population in exported.populations.values()] == [AlphaNeurons], "and go out again"


def gained(reset: int, **parameters: float) -> nir.NIRGraph:
    """An alpha neuron whose gain is 1.5 times that of its decays."""
    own = {"alpha": 0.8, "beta": 0.5, "theta": 0.7, "reset": reset} | parameters
    own = {"tau": 1.5 * (np.log(own["alpha"]) / (np.log(own["beta"]) - np.log(own["alpha"])) + 1)} | own
    cell = to_node(AlphaNeurons(**{name: np.array(float(value)) for name, value in own.items()}), (4,), DT)
    nodes = {"input": nir.Input({"input": np.array([3])}), "fc": nir.Linear(np.arange(1.0, 13.0).reshape(4, 3) / 10), "cell": cell}
    edges = [("input", "fc"), ("fc", "cell"), ("cell", "output")]
    return nir.NIRGraph(nodes | {"output": nir.Output({"output": np.array([4])})}, edges, type_check=False)


@pytest.mark.parametrize("reset", (1, 2))
def test_an_alpha_neuron_of_another_gain_has_its_input_scaled(reset: int) -> None:
    graph, x = gained(reset), binary(3)
    expected = simulate(lower(graph, DT), {"input": x.numpy()}).spikes["cell"]
    found = step_outputs(from_nir(graph, DT, torch.float64), {"input": x.numpy()})[0]
    np.testing.assert_array_equal(found, expected)
    assert 0.01 < expected.mean() < 0.99


def test_an_alpha_neuron_that_snntorch_cannot_hold_is_refused_and_runs_as_a_program() -> None:
    for graph, message in ((gained(0), "its gain tau"), (gained(1, alpha=0.5, beta=0.8, tau=2.0), "alpha > beta")):
        with pytest.raises(UnsupportedError, match=f"node 'cell': .*{message}.*run it as a Program"):
            from_nir(graph, DT)
        x = binary(3).numpy()
        program = quantize(graph, x, dt=DT)
        assert emulate(program, program.encode(x), "all", states=True).states["cell"]["v"].any()
    assert from_nir(gained(1), DT) is not None, "the other advice: reset to zero"
