"""Networks in chip arithmetic whose neurons have units of their own: the same integers, trained, saved and loaded."""

import json
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from quantization_graphs import binary, chain, cuba, lif

import snnfuse
from snnfuse.export.quantization.assembly import assemble
from snnfuse.export.quantization.population_fits import calibrate, fit_all
from snnfuse.export.quantization.quantize_network import prepare
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.hardware import Program, emulate
from snnfuse.hardware.errors import InputError
from snnfuse.nn import FixedPointNetwork, quantization_aware

STEPS, BATCH, INPUTS = 30, 12, 20


def uneven() -> tuple[nir.NIRGraph, np.ndarray]:
    """A neuron of each layer 300 times as large as the others; one layer's bias in the voltage, one's in the current; and binary data."""
    rng, cells = np.random.default_rng(0), (lif(16, 0.9), cuba(6, 0.5, 0.8))
    layers = []
    for cell, sources in zip(cells, (INPUTS, 16)):
        large = np.where(np.arange(cell.r.size) == 3, 300.0, 1.0)
        cell.v_threshold = large
        layers += [nir.Affine(rng.normal(0.1, 0.4, (large.size, sources)) * large[:, None], rng.normal(0, 0.1, large.size) * large), cell]
    return chain(*layers, size=INPUTS), binary(STEPS, BATCH, INPUTS)


def contents(program: Program) -> list[np.ndarray]:
    """Every register and weight."""
    registers = [np.asarray(value) for node in program.nodes.values() for key, value in vars(node).items() if key not in ("shape", "reset")]
    synapses = [(c.synapse.exponent, c.synapse.bits, c.synapse.values) for c in program.connections]
    return registers + [np.asarray(part) for synapse in synapses for part in synapse]


def assert_same(a: Program, b: Program) -> None:
    ours, theirs = contents(a), contents(b)
    assert len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


@pytest.fixture
def net() -> FixedPointNetwork:
    graph, x = uneven()
    return quantization_aware(graph, x, max_groups=1)


def test_they_start_from_the_integers_of_weights_rounded_to_the_nearest(net: FixedPointNetwork) -> None:
    graph, x = uneven()
    settings = QuantizationSettings(max_groups=1)
    network, arrays, inputs = prepare(graph, x, settings)
    program = assemble(network, fit_all(calibrate(network, arrays, inputs), settings, feedback=False), inputs)
    assert all(layer.fitted.units is not None for layer in net.layers)
    assert_same(net.program(), program)
    with torch.no_grad():
        spikes = net.run(torch.from_numpy(x)).spikes
    expected = emulate(program, program.encode(x), "all")
    assert all(np.array_equal(spikes[name].numpy() > 0, expected.spikes[name]) and expected.spikes[name].any() for name in ("n1", "n3"))


def test_a_checkpoint_of_trained_ones_brings_every_integer_back(net: FixedPointNetwork, tmp_path: Path) -> None:
    _, x = uneven()
    start, optimiser = net.program(), torch.optim.Adam(net.parameter_groups(0.05))
    for _ in range(3):
        optimiser.zero_grad()
        net(torch.from_numpy(x)).mean((0, 1)).sum().backward()
        optimiser.step()
    trained = net.program()
    assert any(not np.array_equal(a.synapse.values, b.synapse.values) for a, b in zip(start.connections, trained.connections))
    snnfuse.save_checkpoint(net, tmp_path / "q.pt")
    loaded = snnfuse.load_checkpoint(tmp_path / "q.pt")
    assert_same(loaded.program(), trained)
    assert all(np.array_equal(a.fitted.units, b.fitted.units) for a, b in zip(loaded.layers, net.layers))
    events = trained.encode(x)
    with torch.no_grad():
        assert np.array_equal(loaded(torch.from_numpy(x)).numpy() > 0, emulate(trained, events, "all").spikes["n3"])


@pytest.mark.parametrize("units", [[1.0], [3.0] * 6, [0.5] * 6, [float("nan")] * 6, [float("inf")] * 6])
def test_units_that_are_none_are_refused(units: list[float], net: FixedPointNetwork, tmp_path: Path) -> None:
    snnfuse.save_checkpoint(net, tmp_path / "q.pt")
    content = torch.load(tmp_path / "q.pt", weights_only=True)
    config = json.loads(content["config"])
    config["layers"]["n3"]["units"] = units
    torch.save({**content, "config": json.dumps(config)}, tmp_path / "q.pt")
    with pytest.raises(InputError, match="the units of 'n3' are not one power of two per neuron"):
        snnfuse.load_checkpoint(tmp_path / "q.pt")


def test_a_checkpoint_of_before_there_were_units_still_loads(tmp_path: Path) -> None:
    graph = chain(nir.Linear(np.random.default_rng(5).uniform(-0.9, 0.9, (8, 10))), lif(8, 0.5), size=10)
    net = quantization_aware(graph, binary(STEPS, BATCH, 10))
    snnfuse.save_checkpoint(net, tmp_path / "q.pt")
    content = torch.load(tmp_path / "q.pt", weights_only=True)
    config = json.loads(content["config"])
    assert config["layers"]["n1"].pop("units") is None
    torch.save({**content, "config": json.dumps(config)}, tmp_path / "q.pt")
    assert_same(snnfuse.load_checkpoint(tmp_path / "q.pt").program(), net.program())
