"""How outputs are read: population codes, first spikes, membranes of neurons that fire, and values in the float network's units."""

import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch.functional.acc import _population_code, accuracy_temporal
from torch import nn

from snnfuse.export import find_target, lower, quantize, simulate, to_nir
from snnfuse.export.lowering.outputs import output_values
from snnfuse.export.quantization.quantize_network import quantize_measured
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.hardware import emulate
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.storage import load_program, save_program

RULES = (
    {"reset_mechanism": "subtract"},
    {"reset_mechanism": "subtract", "reset_delay": False},
    {"reset_mechanism": "zero"},
    {"reset_mechanism": "zero", "reset_delay": False},
    {"reset_mechanism": "none"},
)


class Both(nn.Module):
    """Returns spikes and membranes of its last neurons, of weights on a grid and decays that float32 holds."""

    def __init__(self, outputs: int = 6, **rule: object) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.lif1 = nn.Linear(12, 20), snn.Leaky(beta=0.5)
        self.fc2, self.lif2 = nn.Linear(20, outputs), snn.Leaky(beta=0.75, threshold=0.5, **rule)
        with torch.no_grad():
            for parameter in (*self.fc1.parameters(), *self.fc2.parameters()):
                parameter.copy_(torch.round(parameter * 48) / 16)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first, second = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for step in x:
            hidden, first = self.lif1(self.fc1(step), first)
            spike, second = self.lif2(self.fc2(hidden), second)
            spikes.append(spike)
            membranes.append(second)
        return torch.stack(spikes), torch.stack(membranes)


def data() -> np.ndarray:
    return (np.random.default_rng(0).random((16, 24, 12)) < 0.4).astype(np.float32)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_membrane_is_the_one_that_snntorch_returns(rule: dict) -> None:
    model, x = Both(**rule), data()
    spikes, membranes = (value.detach().numpy() for value in model(torch.from_numpy(x)))
    graph = to_nir(model, (torch.from_numpy(x[:, :1]),))
    network = lower(graph)
    run = simulate(network, {"x": x})
    np.testing.assert_array_equal(output_values(network, run, "output"), spikes.astype(bool))
    np.testing.assert_allclose(output_values(network, run, "membrane"), membranes, atol=2e-6)  # snnTorch has float32
    assert spikes.any() and list(network.outputs) == ["output", "membrane"]
    program = quantize(graph, x)
    recording = emulate(program, program.encode(x))
    assert program.decides == "output" and program.outputs["membrane"].unit is not None
    found = program.values(recording)
    assert found.shape == membranes.shape and np.mean((found - membranes) ** 2) < 1e-3 * membranes.var()
    np.testing.assert_array_equal(program.values(recording, "output"), recording.spikes["lif2"])


def test_stock_neurons_are_read_after_their_reset_with_an_entry() -> None:
    model, x = Both(reset_mechanism="zero"), data()
    model.lif1 = snn.Leaky(beta=0.5, reset_mechanism="zero")
    graph = to_nir(model, (torch.from_numpy(x[:, :1]),))
    strict = quantize_measured(graph, x, target=find_target("loihi2").stock_only).program
    assert [e.node for e in strict.ledger if e.change == "its membrane is read after its reset"] == ["lif2"]
    assert strict.nodes["lif2"].reset == "zero" and quantize(graph, x).nodes["lif2"].reset == "zero_stored"


def test_a_population_code_is_snntorchs_and_travels(tmp_path) -> None:
    model, x = Both(outputs=6), data()
    graph = to_nir(model, (torch.from_numpy(x[:, :1]),))
    program = quantize(graph, x, num_classes=3)
    save_program(program, tmp_path)
    program = load_program(tmp_path)
    recording = emulate(program, program.encode(x))
    counts = _population_code(torch.from_numpy(recording.spikes["output"].astype(np.float32)), 3, 6).numpy()
    np.testing.assert_array_equal(program.decode(recording), counts.argmax(1))
    assert program.decides == "output" and program.outputs["output"].num_classes == 3
    with pytest.raises(InputError, match="output 'output' has 6 neurons, no 4 equal groups of them; give another num_classes"):
        quantize(graph, x, num_classes=4)


def test_first_spikes_are_read_as_snntorch_reads_them() -> None:
    model, x = Both(outputs=6), data()
    program = quantize(to_nir(model, (torch.from_numpy(x[:, :1]),)), x, decoder="first_spike")
    recording = emulate(program, program.encode(x))
    spikes = torch.from_numpy(recording.spikes["output"].astype(np.float32))
    for wanted in range(6):
        same = accuracy_temporal(spikes, torch.full((24,), wanted))
        assert same == (program.decode(recording) == wanted).mean()


def test_the_output_that_decides_can_be_named() -> None:
    graph, x = to_nir(Both(), (torch.from_numpy(data()[:, :1]),)), data()
    assert quantize(graph, x, decoder="membrane_last").decides == "membrane"
    assert quantize(graph, x, output="membrane").decides == "membrane"
    with pytest.raises(InputError, match="no output 'out'; this network has output, membrane"):
        quantize(graph, x, output="out")


def test_a_threshold_that_nothing_reaches_takes_no_digits() -> None:
    """A membrane with a threshold of 20,000, read as a value."""
    x, model = data(), Both()
    model.lif2 = snn.Leaky(beta=0.75, threshold=20000.0)
    program = quantize(to_nir(model, (torch.from_numpy(x[:, :1]),)), x)
    found, expected = program.values(emulate(program, program.encode(x))), model(torch.from_numpy(x))[1].detach().numpy()
    assert np.mean((found - expected) ** 2) < 1e-4 * expected.var()


def test_values_count_from_where_the_voltage_does() -> None:
    """A graph whose neurons reset to 0.5: the membrane that a decoder reads is in the graph's own units."""
    ones = np.ones(4)
    lif = nir.LIF(tau=4e-4 * ones, r=2.0 * ones, v_leak=0 * ones, v_threshold=ones, v_reset=0.5 * ones)
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        "fc": nir.Linear(np.eye(4)),
        "lif": lif,
        "output": nir.Output({"output": np.array([4])}),
    }
    graph = nir.NIRGraph(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")])
    x = (np.random.default_rng(0).random((20, 16, 4)) < 0.5).astype(np.float32)
    program = quantize(graph, x, decoder="membrane_last", dt=1e-4)
    found = program.values(emulate(program, program.encode(x)))
    v, expected = np.full((16, 4), 0.5), []
    for step in x:
        v = v + 0.25 * (2.0 * step - v)
        v = np.where(v > 1, 0.5, v)
        expected.append(v)
    assert np.abs(found - np.array(expected)).mean() < 0.01


def test_a_decoder_that_is_none_is_refused_before_anything_is_done() -> None:
    with pytest.raises(InputError, match="decoder 'mean' is none of spike_count, first_spike"):
        QuantizationSettings(decoder="mean")
