"""What a snnTorch model computes and what its NIR graph computes by NIR's own equations: the same spikes, on every step."""

import itertools
from collections.abc import Callable

import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import nn

from snnfuse.export import float_run
from snnfuse.export.lowering import lower
from snnfuse.export.tracing import to_nir, trace_model

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


@pytest.fixture
def agree(nir_equations, tmp_path) -> Callable[..., nir.NIRGraph]:
    """Asserts that the graph, the graph read back from a file, and what it is lowered to give the expected outputs on every step."""

    def check(
        graph: nir.NIRGraph,
        inputs: dict[str, torch.Tensor],
        expected: dict[str, np.ndarray],
        rate: bool = True,
    ) -> nir.NIRGraph:
        nir.write(tmp_path / "graph.nir", graph)
        for each in (graph, nir.read(tmp_path / "graph.nir")):
            outputs = nir_equations.simulate(each, {name: x.numpy() for name, x in inputs.items()})
            assert outputs.keys() == expected.keys()
            for name, values in expected.items():
                assert (outputs[name] != values).sum() == 0
            network = lower(each)
            run = float_run.simulate(network, {name: x.numpy() for name, x in inputs.items()})
            for name, values in expected.items():
                assert (run.spikes[network.outputs[name]] != values).sum() == 0
        if rate:
            assert all(0.001 < values.mean() < 0.95 for values in expected.values())
        return graph

    return check


# --- one neuron ------------------------------------------------------------------------------------------------------

PER_NEURON = torch.linspace(0.5, 0.98, 512, dtype=torch.float64)
SCALARS = {"alpha": 0.7, "beta": 0.9, "threshold": 1.0}
ARRAYS = {"alpha": PER_NEURON.flip(0) / 2, "beta": PER_NEURON, "threshold": torch.linspace(0.5, 2, 512, dtype=torch.float64)}


def make(kind: type, reset: str, delay: bool, params: dict, **options) -> nn.Module:
    used = params if kind is snn.Synaptic else {k: v for k, v in params.items() if k != "alpha"}
    return kind(**used, reset_mechanism=reset, reset_delay=delay, init_hidden=True, **options)


@pytest.mark.parametrize("params", [SCALARS, ARRAYS], ids=["scalar", "per-neuron"])
@pytest.mark.parametrize(
    "kind, reset, delay",
    [
        c
        for c in itertools.product([snn.Leaky, snn.Synaptic], ["zero", "subtract"], [True, False])
        if c != (snn.Synaptic, "zero", True)
    ],
)
def test_a_neuron(agree, kind, reset, delay, params) -> None:
    neuron = make(kind, reset, delay, params).double()
    x = grid(512, seed=1) / (2 if kind is snn.Synaptic else 1)
    expected = run_steps(neuron, x)[0]
    if reset == "subtract" and not delay:
        assert (run_stored(neuron, x) <= neuron.threshold).all()  # where snnTorch subtracts after every spike
    assert not in_margin(run_stored(neuron, x), neuron.threshold).any()
    graph, ledger = trace_model(neuron, x[0])
    agree(graph, {"input": x}, {"output": expected})
    assert [e.node for e in ledger] == (["0"] if reset == "subtract" and not delay else [])


def in_margin(mem: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Where the membrane passes the threshold by so little that the margin which keeps ties from firing hides it."""
    return (mem > threshold) & (mem <= threshold * (1 + 1e-6))


def run_stored(neuron: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The stored membrane after every step, from rest."""
    neuron.reset_mem()
    stored = []
    for step in x:
        neuron(step)
        stored.append(neuron.mem)
    return torch.stack(stored)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_threshold_that_the_membrane_meets_exactly_does_not_fire(agree, reset) -> None:
    neuron = snn.Leaky(beta=0.9, reset_mechanism=reset, init_hidden=True)
    x = torch.ones(STEPS, BATCH, 8, dtype=torch.float64) * (torch.arange(STEPS)[:, None, None] == 0)
    expected = run_steps(neuron, x)[0]
    assert expected.sum() == 0 and run_stored(neuron, x).max() == 1
    agree(to_nir(neuron, x[0]), {"input": x}, {"output": expected}, rate=False)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("beta, node", [(1.0, {"zero": nir.IF, "subtract": nir.I}), (1.7, {"zero": nir.IF, "subtract": nir.I})])
def test_without_a_leak_it_integrates(agree, reset, beta, node) -> None:
    neuron = snn.Leaky(beta=beta, reset_mechanism=reset, init_hidden=True)
    x = grid(32) / 4
    graph = agree(to_nir(neuron, x[0]), {"input": x}, {"output": run_steps(neuron, x)[0]})
    assert any(type(n) is node[reset] for n in graph.nodes.values())


@pytest.mark.parametrize("kind, alpha", [(snn.Leaky, 0.7), (snn.Synaptic, 0.7), (snn.Synaptic, 1.0)])
def test_a_membrane_readout(nir_equations, kind, alpha) -> None:
    class Readout(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 3)
            self.read = make(kind, "none", True, SCALARS | {"alpha": alpha}, output=True)

        def forward(self, x):
            return self.read(self.fc(x))[-1]

    torch.manual_seed(0)
    model, x = Readout(), binary(8)
    expected = run_steps(model, x)[0]
    graph, ledger = trace_model(model, x[0])
    assert ledger == () and isinstance(graph.nodes["read"], nir.LI)
    output = nir_equations.simulate(graph, {"x": x.numpy()})["output"]
    np.testing.assert_allclose(output, expected, rtol=1e-12, atol=1e-12)  # a float membrane, by two orders of rounding
    network = lower(graph)
    assert list(network.populations) == ["read"] and network.populations["read"].is_readout
    np.testing.assert_allclose(float_run.simulate(network, {"x": x.numpy()}).v["read"], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("beta", [0.9, 1.0])
def test_a_current_without_a_leak(agree, beta) -> None:
    neuron = make(snn.Synaptic, "subtract", True, {"alpha": 1.0, "beta": beta, "threshold": 1.0}).double()
    x = torch.from_numpy(np.random.default_rng(3).normal(0, 0.05, (STEPS, BATCH, 64)))
    expected = run_steps(neuron, x)[0]
    assert not in_margin(run_stored(neuron, x), neuron.threshold).any()
    graph = agree(to_nir(neuron, x[0]), {"input": x}, {"output": expected})
    assert isinstance(graph.nodes["0.current"], nir.I)


# --- networks --------------------------------------------------------------------------------------------------------


class Fusion(nn.Module):
    """Two inputs, two spiking branches, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.vision = nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), leaky(beta=0.8))
        self.audio = nn.Sequential(nn.Linear(6, 10), nn.Dropout(0.5), leaky(beta=0.9, reset_mechanism="zero"))
        self.drop = nn.Dropout(0.2)
        self.fuse = nn.Linear(26, 20)
        self.skip = nn.Linear(16, 20)
        self.hidden = synaptic(alpha=0.6, beta=0.9)
        self.read = nn.Linear(20, 5)
        self.out = leaky(beta=0.95, output=True)

    def forward(self, image, sound):
        v, a = self.vision(image), self.audio(sound)
        h = self.hidden(self.fuse(self.drop(torch.cat([v, a], dim=1))) + self.skip(v))
        return self.out(self.read(h))[0], v


def test_a_fusion_network_with_two_inputs(agree) -> None:
    torch.manual_seed(1)
    model, image, sound = Fusion(), binary(12), binary(6, seed=1)
    randomise_norms(model)
    amplify(model, 2.0)
    out, vision = run_steps(model, image, sound)
    graph = agree(to_nir(model, (image[0], sound[0])), {"image": image, "sound": sound}, {"output_0": out, "output_1": vision})
    assert {"fuse.0", "fuse.1", "vision.0", "vision.2", "hidden.current"} <= graph.nodes.keys()
    assert "vision.1" not in graph.nodes
    assert graph.nodes["fuse.0"].weight.shape == (20, 16) and graph.nodes["fuse.1"].weight.shape == (20, 10)


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


def test_a_convolutional_network(agree) -> None:
    torch.manual_seed(2)
    channels = torch.linspace(0.6, 0.9, 6)[:, None, None]
    model = nn.Sequential(
        nn.Conv2d(2, 6, (3, 5), stride=(1, 2), padding=(1, 2), bias=False),
        nn.BatchNorm2d(6),
        leaky(beta=channels),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(6, 6, 4, padding="same", groups=3),
        nn.Identity(),
        leaky(beta=0.7, threshold=0.8, reset_mechanism="zero"),
        nn.AvgPool2d(2, padding=1),
        nn.Conv2d(6, 8, 2, dilation=2),
        leaky(beta=0.9),
        nn.Flatten(),
        nn.Linear(32, 5),
        leaky(beta=0.9),
    )
    x = binary(2, 12, 24)
    randomise_norms(model)
    amplify(model, 3.0)
    graph = agree(to_nir(model, x[0]), {"input": x}, {"output": run_steps(model, x)[0]})
    assert graph.nodes["4"].groups == 1 and graph.nodes["4"].weight.shape == (6, 6, 5, 5)
    assert isinstance(graph.nodes["3.sum"], nir.SumPool2d) and isinstance(graph.nodes["3"], nir.Threshold)


def test_concatenated_channels_through_pool_and_flatten(agree) -> None:
    class Channels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 3, 3, padding="same")
            self.la, self.lb = (leaky(beta=0.8) for _ in range(2))
            self.pool, self.conv = nn.MaxPool2d(2), nn.Conv2d(5, 4, 1)
            self.lc, self.fc = leaky(beta=0.8), nn.Linear(5 * 9 + 4 * 9, 3)
            self.out = leaky(beta=0.8)

        def forward(self, x):
            both = self.pool(torch.cat((self.la(self.a(x)), self.lb(self.b(x))), 1))
            deep = self.lc(self.conv(both))
            return self.out(self.fc(torch.cat([torch.flatten(both, 1), deep.view(deep.size(0), -1)], dim=-1)))

    torch.manual_seed(3)
    model, x = Channels(), binary(1, 6, 6)
    amplify(model, 3.0)
    agree(to_nir(model, x[0]), {"x": x}, {"output": run_steps(model, x)[0]})


# --- models that loop over time themselves ---------------------------------------------------------------------------


class Tutorial(nn.Module):
    """snnTorch's tutorial 5: a static input, states passed along, spikes and membranes recorded."""

    num_steps = STEPS

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(10, 20), leaky(beta=0.95, init_hidden=False)
        self.fc2, self.lif2 = nn.Linear(20, 4), leaky(beta=0.95, init_hidden=False)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk2_rec, mem2_rec = [], []
        for _ in range(self.num_steps):
            cur1 = self.fc1(x)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = self.fc2(spk1)
            spk2, mem2 = self.lif2(cur2, mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)


def test_the_tutorial_network(agree) -> None:
    torch.manual_seed(4)
    model, x = Tutorial().double(), grid(10)[0].clamp(min=0)
    expected = model(x)[0].detach().numpy()
    model.num_steps = 3
    graph, ledger = trace_model(model, x)
    agree(graph, {"x": x.expand(STEPS, -1, -1)}, {"output": expected})
    assert [(e.node, e.change) for e in ledger] == [("lif2", "its membrane is not an output of the graph")]
    assert "the membrane of lif2 can be recorded instead" in ledger[0].reason


class TimeMajor(nn.Module):
    """Loops over x[t], with hidden states that it resets itself, and a hand-written recurrence."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.rec = nn.Linear(6, 12), nn.Linear(12, 12)
        self.lif = leaky(beta=0.9)
        self.out = nn.Linear(12, 3)
        self.lif_out = synaptic(alpha=0.5, beta=0.8, reset_mechanism="zero", reset_delay=False)

    def forward(self, x):
        utils.reset(self)
        spk, record = torch.zeros(x.size(1), 12, dtype=x.dtype), []
        for t in range(x.size(0)):
            spk = self.lif(self.fc(x[t]) + self.rec(spk))
            record.append(self.lif_out(self.out(spk)))
        return torch.stack(record)


def test_a_loop_over_time_with_a_recurrence(agree) -> None:
    torch.manual_seed(5)
    model, x = TimeMajor().double(), binary(6)
    amplify(model, 2.0)
    graph = agree(to_nir(model, x[:3]), {"x": x}, {"output": model(x).detach().numpy()})
    assert {("lif", "rec"), ("rec", "lif.membrane")} <= set(graph.edges)


def test_a_single_step_with_states_as_arguments(agree) -> None:
    class Explicit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(6, 5), synaptic(alpha=0.5, beta=0.8, init_hidden=False)

        def forward(self, x, syn, mem):
            return self.lif(self.fc(x), syn, mem)

    torch.manual_seed(6)
    model, x = Explicit().double(), binary(6)
    syn = mem = torch.zeros(BATCH, 5, dtype=torch.float64)
    expected = []
    with torch.no_grad():
        for step in x:
            spk, syn, mem = model(step, syn, mem)
            expected.append(spk.numpy())
    graph, ledger = trace_model(model, (x[0], syn, mem))
    agree(graph, {"x": x}, {"output": np.array(expected)})
    assert {e.change for e in ledger} == {
        "its membrane is not an output of the graph",
        "its synaptic current is not an output of the graph",
    }


NEURONS: tuple[Callable[[], nn.Module], ...] = (
    lambda: leaky(beta=0.8),
    lambda: leaky(beta=0.7, threshold=0.7, reset_mechanism="zero"),
    lambda: leaky(beta=0.9, reset_mechanism="zero", reset_delay=False),
    lambda: synaptic(alpha=0.4, beta=0.7),
    lambda: synaptic(alpha=0.4, beta=0.7, reset_mechanism="zero", reset_delay=False),
)


class Mixed(nn.Module):
    """Two inputs over time, a recurrence, a batch norm, nested concatenations and two outputs, of any neurons."""

    def __init__(self, neurons: list[nn.Module]) -> None:
        super().__init__()
        self.a, self.rec, self.b = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(8, 12)
        self.fuse, self.norm, self.out = nn.Linear(28, 10), nn.BatchNorm1d(10), nn.Linear(38, 6)
        self.lif_a, self.lif_b, self.lif_fuse, self.lif_out = neurons

    def forward(self, x, y):
        spk, outs, fused = torch.zeros(x.size(1), 16, dtype=x.dtype), [], []
        for now, other in zip(x, y, strict=True):
            spk = self.lif_a(self.a(now) + self.rec(spk))
            side = self.lif_b(self.b(other))
            fused.append(self.lif_fuse(self.norm(self.fuse(torch.cat([spk, side], 1)))))
            outs.append(self.lif_out(self.out(torch.cat([fused[-1], torch.cat([side, spk], -1)], 1))))
        return torch.stack(outs), torch.stack(fused)


@pytest.mark.parametrize("seed", range(10))
def test_networks_of_random_neurons(agree, seed) -> None:
    torch.manual_seed(seed)
    model = Mixed([NEURONS[i]() for i in np.random.default_rng(seed).integers(len(NEURONS), size=4)]).double().eval()
    randomise_norms(model)
    amplify(model, 2.5)
    x, y = binary(8, seed=seed), binary(8, seed=seed + 100)
    with torch.no_grad():
        outs, fused = (output.numpy() for output in model(x, y))
    agree(to_nir(model, (x[:2], y[:2])), {"x": x, "y": y}, {"output_0": outs, "output_1": fused})
