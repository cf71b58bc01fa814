"""Whole models, from snnTorch to Lava: the float network keeps every spike of snnTorch, and Lava every spike and state of the emulator."""

import json

import nir
import numpy as np
import pytest
import snntorch
import torch
from snntorch import utils
from torch import nn

from snnfuse.export import lower, measure_agreement, quantize, simulate, to_nir
from snnfuse.hardware import compare, emulate
from snnfuse.hardware.backends.lava import simulate_on_lava
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.errors import UnsupportedError

TIME, BATCH = 25, 6


class Tutorial(nn.Module):
    """snnTorch's tutorial network, defaults and all: a loop over time in forward, reset by subtraction, one step late."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(30, 40), snntorch.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(40, 10), snntorch.Leaky(beta=0.95)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


def leaky(beta: float = 0.9, **settings) -> snntorch.Leaky:
    return snntorch.Leaky(beta=beta, init_hidden=True, **{"reset_mechanism": "zero", "reset_delay": False, **settings})


class Convolutional(nn.Module):
    """Batch norm, a maximum and a mean over spikes, and a residual path that is shorter than its rival."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), leaky(0.8, threshold=0.4), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), leaky(0.8, threshold=0.3))
        self.third = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 8))
        self.skip, self.out = nn.Linear(64, 8), leaky(0.9, threshold=0.5)
        nn.init.constant_(self.skip.bias, 0.7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.first(x)
        return self.out(self.third(self.second(seen)) + self.skip(torch.flatten(seen, 1)))


class Fused(nn.Module):
    """Two inputs, two kinds of neuron, a concatenation, per-neuron parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.see, self.hear = nn.Linear(20, 12), nn.Linear(15, 12)
        self.eye = leaky(torch.linspace(0.5, 0.95, 12), threshold=torch.linspace(0.6, 1.2, 12))
        self.ear = snntorch.Synaptic(alpha=0.8, beta=0.9, init_hidden=True, reset_mechanism="zero", reset_delay=False)
        self.mix, self.out = nn.Linear(24, 6), leaky(0.9)

    def forward(self, image: torch.Tensor, sound: torch.Tensor) -> torch.Tensor:
        return self.out(self.mix(torch.cat((self.eye(self.see(image)), self.ear(self.hear(sound))), dim=1)))


class Subtracting(nn.Module):
    """Reset by subtraction at once, and delayed on a neuron with a synaptic current."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(20, 15), leaky(0.9, reset_mechanism="subtract")
        self.fc2, self.lif2 = nn.Linear(15, 6), snntorch.Synaptic(alpha=0.7, beta=0.9, init_hidden=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


CASES = {  # class, inputs, and a factor on its weights that makes it fire
    "tutorial": (Tutorial, {"x": (30,)}, 2.5),
    "convolutional": (Convolutional, {"x": (2, 8, 8)}, 2.5),
    "fused": (Fused, {"image": (20,), "sound": (15,)}, 2.5),
    "subtracting": (Subtracting, {"x": (20,)}, 0.5),  # beyond twice the threshold snnTorch undoes an immediate subtraction
}


def make(name: str) -> tuple[nn.Module, dict[str, np.ndarray]]:
    """A model in float64 with weights that make it fire, and binary inputs (time, batch, *shape)."""
    kind, shapes, factor = CASES[name]
    torch.manual_seed(5)
    model = kind()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                module.weight.mul_(factor)
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 2.0)
    rng = np.random.default_rng(6)
    x = {key: (rng.random((TIME, BATCH, *shape)) < 0.35).astype(float) for key, shape in shapes.items()}
    return model.double().eval(), x


def run_torch(name: str, model: nn.Module, x: dict[str, np.ndarray]) -> np.ndarray:
    """snnTorch's own output spikes, (time, batch, neurons), in float64: its surrogates return float32 spikes, which a hook casts back."""
    for module in model.modules():
        if isinstance(module, snntorch.SpikingNeuron):
            module.register_forward_hook(lambda _, inputs, out: tuple(o.double() for o in out) if isinstance(out, tuple) else out.double())
    tensors = [torch.from_numpy(array) for array in x.values()]
    with torch.no_grad():
        if name == "tutorial":
            return model(*tensors)[0].numpy().astype(bool)
        utils.reset(model)
        return np.array([model(*(t[step] for t in tensors)).numpy() for step in range(TIME)]).astype(bool)


def graph_of(name: str, model: nn.Module, x: dict[str, np.ndarray]) -> nir.NIRGraph:
    steps = [torch.from_numpy(array) for array in x.values()]
    return to_nir(model, tuple(t[:3] if name == "tutorial" else t[0] for t in steps))


@pytest.mark.parametrize("name", CASES)
def test_the_float_network_is_snntorch(name: str) -> None:
    model, x = make(name)
    network = lower(graph_of(name, model, x))
    (node,) = {*network.outputs.values()}
    expected = run_torch(name, model, x)
    np.testing.assert_array_equal(simulate(network, x).spikes[node], expected)
    assert 0.02 < expected.mean() < 0.9


@pytest.mark.parametrize("name", CASES)
def test_lava_is_the_emulator(name: str) -> None:
    model, x = make(name)
    program = quantize(graph_of(name, model, x), x)
    events = program.encode(x)
    result = compare(emulate(program, events, "all", states=True), simulate_on_lava(program, events, "all", states=True))
    assert (result.mismatches, result.first) == (0, None)
    assert {"spikes", "u", "v"} == set(result.by_variable)


@pytest.mark.parametrize("name", CASES)
def test_integers_stay_close_to_the_float_network(name: str) -> None:
    model, x = make(name)
    graph = graph_of(name, model, x)
    layers = measure_agreement(lower(graph), quantize(graph, x), x)
    assert sum(layer.mismatches for layer in layers) <= 0.1 * sum(layer.float_spikes for layer in layers)


def test_stock_neurons_refuse_subtraction_and_take_its_conversion() -> None:
    model, x = make("tutorial")
    graph = graph_of("tutorial", model, x)
    with pytest.raises(UnsupportedError, match="reset=.zero."):
        check_chip(quantize(graph, x), tiers=("A",))
    converted = quantize(graph, x, reset="zero")
    assert check_chip(converted, tiers=("A",)).cores >= 1 and check_chip(quantize(graph, x)).layers[0].tier == "B"
    entries = [entry for entry in converted.ledger if "becomes zero" in entry.change]
    assert [entry.change for entry in entries] == ["reset subtract_delayed becomes zero"] * 2
    assert all("spikes differ where the float network has" in entry.effect for entry in entries)


def test_the_ledger_travels_with_the_graph() -> None:
    graph = to_nir(nn.Sequential(nn.Linear(4, 4), leaky(0.5, graded_spikes_factor=2.0)), torch.zeros(1, 4))
    noted = json.loads(graph.metadata["snnfuse"])["ledger"]
    assert [entry["node"] for entry in noted] == ["1"]
    assert [entry.node for entry in lower(graph).ledger] == [entry["node"] for entry in noted]
