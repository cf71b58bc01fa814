"""Maxima in graphs and networks: notes, what other readers see, damage, what is moved out of them, and what becomes of them elsewhere."""

from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from snntorch_models import grid, leaky, run_steps
from torch import nn

from snnfuse.export import lower, quantize, simulate, to_nir
from snnfuse.export.lowering.legalize import legalize
from snnfuse.export.lowering.maximum_patterns import KEY, noted, places_of
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.export.lowering.notes import MAXIMUM, note_entries, without_notes
from snnfuse.export.quantization.quantize_network import quantize_measured
from snnfuse.export.targets import find_target
from snnfuse.export.to_snntorch.to_snntorch import from_nir
from snnfuse.hardware import Maximum
from snnfuse.hardware.chip import tier
from snnfuse.hardware.errors import InputError, UnsupportedError

IMAGE = (2, 7, 6)


def model(*behind: nn.Module, pool: nn.Module | None = None, seed: int = 0) -> nn.Module:
    """Conv, pool, what is given, neurons; weights on a grid."""
    generator = torch.Generator().manual_seed(seed)
    made = nn.Sequential(nn.Conv2d(2, 3, 3), pool or nn.MaxPool2d(2), *behind, leaky(beta=0.75)).double()
    for parameter in made[0].parameters():
        parameter.data = torch.randint(-8, 10, parameter.shape, generator=generator) / 16.0
        parameter.data = parameter.data.double()
    return made


def graph(*behind: nn.Module, pool: nn.Module | None = None) -> nir.NIRGraph:
    return to_nir(model(*behind, pool=pool), grid(*IMAGE)[0])


def norm() -> nn.Module:
    made = nn.BatchNorm2d(3)
    made.weight.data, made.bias.data = torch.tensor([-0.7, 1.3, 0.0]), torch.tensor([0.3, -0.1, 0.2])
    made.running_mean, made.running_var = torch.tensor([0.1, -0.2, 0.3]), torch.tensor([0.5, 1.5, 0.9])
    return made


def test_other_readers_see_a_mean_and_the_ledger_of_a_graph_says_so(tmp_path: Path) -> None:
    made, x = graph(), {"input": grid(*IMAGE).numpy()}
    nir.write(tmp_path / "graph.nir", made)
    read = read_graph(tmp_path / "graph.nir")
    assert isinstance(nir.read(tmp_path / "graph.nir").nodes["1"], nir.AvgPool2d)
    assert lower(read).populations["1"].kind == "maximum"
    plain = lower(without_notes(read))
    assert [*plain.populations] == ["2"]
    ours, theirs = simulate(lower(read), x).spikes["2"], simulate(plain, x).spikes["2"]
    (entry,) = note_entries(read, x)
    assert (entry.node, entry.change) == ("1", MAXIMUM)
    wrong, spikes = np.count_nonzero(ours != theirs), np.count_nonzero(ours)
    assert (
        wrong
        and entry.effect == f"with all notes unread, {wrong} spikes of the whole network differ where there are {spikes}, on 4 samples"
    )


def changed(said: object = "max", **parts: object) -> nir.NIRGraph:
    made = graph()
    for key, value in parts.items():
        setattr(made.nodes["1"], key, value)
    made.nodes["1"].metadata = {KEY: said}
    return made


def biased() -> nir.NIRGraph:
    made = graph()
    made.nodes["0"] = noted(made.nodes["0"])
    return made


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: changed("min"), "node '1': its metadata says the pool 'min', and it is a AvgPool2d; export the model again, or delete"),
        (biased, "node '0': its metadata says the pool 'max', and it is a Conv2d with a bias"),
        (lambda: changed(kernel_size=np.array([0, 2])), "node '1' is noted as a maximum, and its windows hold nothing"),
        (lambda: changed(padding=np.array([3, 3])), "node '1' is noted as a maximum, and 48 of its windows hold nothing"),
    ],
)
def test_damage_is_named(make: Callable[[], nir.NIRGraph], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lower(make())


def test_a_window_of_more_places_than_ports_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="'pool' is a maximum over 4225 numbers, and a neuron has 4096 ports at most; pool in two"):
        places_of("pool", nir.AvgPool2d(np.array([65, 65]), np.array([1, 1]), np.array([0, 0])))


def test_a_padded_pool_of_a_large_convolution_is_refused_before_it_is_written_out() -> None:
    stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3), nn.MaxPool2d(3, 2, 1), leaky(beta=0.9))
    with pytest.raises(UnsupportedError, match="29503488 synapses for each place, above 16777216; pool without padding and ceil_mode, or"):
        lower(to_nir(stem, torch.zeros(1, 3, 224, 224)))


def test_a_gain_and_a_shared_bias_leave_the_maximum() -> None:
    """All that is left behind it are signs, and no bias before it."""
    network, x = lower(graph(norm())), {"input": grid(*IMAGE).numpy()}
    plain = legalize(network)
    assert not plain.populations["1"].bias.any() and network.populations["1"].bias.any()
    (behind,) = [p for p in plain.projections if p.source == "1"]
    assert {*np.unique(behind.weights.matrix.data)} <= {-1.0, 0.0, 1.0} and behind.is_fixed
    np.testing.assert_array_equal(simulate(network, x).spikes["3"], simulate(plain, x).spikes["3"])
    assert legalize(plain).projections == plain.projections


def test_a_bias_that_differs_between_ports_stays_with_each() -> None:
    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(6, 8), leaky(beta=0.5)

        def forward(self, x):
            return self.lif(nn.functional.max_pool1d(self.fc(x), 2))

    torch.manual_seed(0)
    made = Features().double()
    x = grid(6)
    network = legalize(lower(to_nir(made, x[0])))
    bias = network.populations["max_pool1d"].bias
    np.testing.assert_allclose(bias, made.fc.bias.detach().numpy().reshape(4, 2).T)
    program = quantize(to_nir(made, x[0]), x.numpy())
    assert {c.port for c in program.into("max_pool1d") if c.source == "constant"} == {0, 1}


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AdaptiveMaxPool2d((3, 2))])
def test_the_way_back_to_snntorch_keeps_the_maximum(pool: nn.Module) -> None:
    made, x = model(norm(), pool=pool), grid(*IMAGE)
    back = from_nir(to_nir(made, x[0]), dtype=torch.float64)
    with torch.no_grad():
        found = torch.stack([back(now) for now in x]).numpy()
    expected = run_steps(made, x)[0]
    assert expected.any() and np.count_nonzero(found.reshape(expected.shape) != expected) == 0


def test_it_is_neuron_microcode_and_its_payload_is_in_the_ledger() -> None:
    x = grid(*IMAGE).numpy()
    program = quantize(graph(norm()), x)
    maximum = program.nodes["1"]
    assert isinstance(maximum, Maximum) and maximum.ports == 4 and tier(maximum) == "B"
    (entry,) = [e for e in program.ledger if e.node == "1" and "weights" in e.change]
    assert f"payload scale {1 / maximum.scale:.6g}" in entry.change and "the numbers that it sends differ by 0.0" in entry.effect
    with pytest.raises(UnsupportedError, match=r"1 \(maximum\), .*; or pool spikes, behind the neuron, and train again, and give"):
        quantize_measured(graph(), x, target=find_target("netx"))
