"""Every exported neuron, all the way: snnTorch in single precision, its surrogate gradients as they are, integers, emulator and Lava."""

import numpy as np
import snntorch as snn
import torch
from torch import nn

from snnfuse.export import lower, quantize, simulate, to_nir
from snnfuse.export.tracing.forms import ONE_STEP
from snnfuse.export.tracing.measured import run_recorded
from snnfuse.hardware import compare, emulate, simulate_on_lava


class Chain(nn.Module):
    """All of them in a row; the last never resets."""

    def __init__(self) -> None:
        super().__init__()
        held = {"init_hidden": True}
        self.fc1, self.rleaky = nn.Linear(8, 16), snn.RLeaky(0.75, linear_features=16, **held)
        self.fc2, self.rsynaptic = nn.Linear(16, 12), snn.RSynaptic(0.5, 0.75, V=-0.25, all_to_all=False, **held)
        self.fc3, self.lapicque = nn.Linear(12, 10), snn.Lapicque(R=4.0, C=1.0, **held)
        self.fc4, self.graded = nn.Linear(10, 10), snn.Leaky(0.5, graded_spikes_factor=0.5, reset_mechanism="zero", **held)
        self.fc5, self.lasting = nn.Linear(10, 6), snn.Leaky(0.5, reset_mechanism="none", **held)

    def forward(self, x):
        x = self.rsynaptic(self.fc2(self.rleaky(self.fc1(x))))
        return self.lasting(self.fc5(self.graded(self.fc4(self.lapicque(self.fc3(x))))))


NEURONS = ("rleaky", "rsynaptic", "lapicque", "graded", "lasting")


def test_all_neurons_from_snntorch_to_lava() -> None:
    torch.manual_seed(2)
    model = Chain()
    for layer in (m for m in model.modules() if isinstance(m, nn.Linear)):
        layer.weight.data = (layer.weight.data * 4 * 16).round() / 16
        layer.bias.data.zero_()
    model.fc5.weight.data *= 2
    x = (np.random.default_rng(2).random((40, 16, 8)) < 0.4).astype(np.float32)
    graph = to_nir(model, torch.from_numpy(x[0]))
    run = simulate(lower(graph), {"x": x})
    _, spikes = run_recorded(model, {"x": x}, ONE_STEP, NEURONS)
    for name in NEURONS:
        assert (run.spikes[name] != spikes[name].astype(bool)).sum() == 0, name
        assert 0.01 < run.spikes[name].mean() < 0.9, name
    program = quantize(graph, x)
    events = program.encode(x)
    on_emulator, on_lava = emulate(program, events, record="all"), simulate_on_lava(program, events, record="all")
    assert compare(on_emulator, on_lava).mismatches == 0
