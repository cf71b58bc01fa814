"""Static images in the bias registers of a snnTorch network's first layer, which the host computes once per sample."""

from pathlib import Path

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

from snnfuse.compile import compile, source_of
from snnfuse.compile.settings import Settings
from snnfuse.export import quantize, to_nir
from snnfuse.export.targets import find_target
from snnfuse.hardware import ProjectedInput, compare, emulate, simulate_on_lava
from snnfuse.hardware.backends.reference import emulate as reference
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.storage import load_program, save_program


class Net(nn.Module):
    def __init__(self, first: type[nn.Module] = snn.Leaky, **settings: object) -> None:
        super().__init__()
        self.conv, self.first = nn.Conv2d(1, 6, 3, stride=2), first(beta=0.9, init_hidden=True, **settings)
        self.fc, self.last = nn.Linear(294, 10), snn.Leaky(beta=0.9, init_hidden=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.fc(self.first(2 * self.conv(x)).flatten(1)))


def images(steps: int = 15, batch: int = 8) -> np.ndarray:
    return np.repeat(np.random.default_rng(0).random((1, batch, 1, 16, 16)), steps, 0).astype(np.float32)


def graph_of(model: nn.Module, x: np.ndarray):
    torch.manual_seed(0)
    return to_nir(model.eval(), torch.from_numpy(x[0]))


@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("reset", [{}, {"reset_mechanism": "zero", "reset_delay": False}])
def test_the_first_layer_has_no_synapses_and_every_backend_agrees(reset: dict) -> None:
    torch.manual_seed(0)
    x = images()
    graph = graph_of(Net(**reset), x)
    sent, written = quantize(graph, x), quantize(graph, x, encode="bias")
    (name,) = written.inputs
    assert isinstance(written.inputs[name], ProjectedInput) and written.inputs[name].given_shape == (1, 16, 16)
    events = written.encode(x)
    assert events[name].shape == (15, 8, 6, 7, 7) and abs(events[name]).max() == 4095
    found = emulate(written, events, "all", states=True)
    assert not compare(found, reference(written, events, "all", states=True)).mismatches
    assert not compare(found, simulate_on_lava(written, events, "all", states=True)).mismatches
    before = emulate(sent, sent.encode(x), "all")
    layer = next(iter(written.neurons))
    assert 0.05 < found.spikes[layer].mean() and (found.spikes[layer] != before.spikes[layer]).mean() < 0.01
    loihi2 = find_target("loihi2", "oheo-gulch")
    synapses = [next(row for row in loihi2.place(program).layers if row.name == layer).synapses for program in (sent, written)]
    assert synapses[0] > 0 == synapses[1]


def test_the_ledger_says_so_and_files_keep_it(tmp_path: Path) -> None:
    x = images()
    program = quantize(graph_of(Net(), x), x, encode="bias")
    entry = next(entry for entry in program.ledger if entry.node in program.inputs)
    assert "computed by the host once per sample, written as 13-bit biases" in entry.change
    save_program(program, tmp_path)
    back = load_program(tmp_path)
    for name, events in program.encode(x).items():
        assert (back.encode(x)[name] == events).all()
    with pytest.raises(InputError, match="change from step to step"):
        emulate(program, {name: np.arange(a.size).reshape(a.shape) % 9 for name, a in program.encode(x).items()})
    with pytest.raises(InputError, match=r"must have shape \(time, batch, 1, 16, 16\)"):
        program.encode(np.zeros((15, 8, 6, 7, 7)))


def test_it_is_compiled_with_samples() -> None:
    x = images()
    compiled = compile(source_of(Net()), x, Settings(encode="bias"), find_target("loihi2", "oheo-gulch"))
    (stage,) = compiled.stages
    assert isinstance(next(iter(stage.program.inputs.values())), ProjectedInput)
    with pytest.raises(InputError, match="without a search"):
        compile(source_of(Net()), x, Settings(encode="bias", max_drop=1.0))


@pytest.mark.parametrize(
    "first, settings, message",
    [
        (snn.Synaptic, {"alpha": 0.5}, "has a synaptic current that fades"),
        (snn.RLeaky, {"all_to_all": False, "V": 0.5}, "is fed by itself as well"),
        (snn.Alpha, {"alpha": 0.95}, "is neurons of another kind"),
    ],
)
def test_a_layer_whose_bias_is_not_its_input_is_refused_by_name(first: type, settings: dict, message: str) -> None:
    x = images()
    with pytest.raises(UnsupportedError, match=message):
        quantize(graph_of(Net(first, **settings), x), x, encode="bias")


def test_an_input_that_changes_is_refused() -> None:
    x = images()
    moving = x * np.linspace(0, 1, len(x), dtype=np.float32)[:, None, None, None, None]
    with pytest.raises(UnsupportedError, match="changes from step to step, and a host writes biases once per sample"):
        quantize(graph_of(Net(), x), moving, encode="bias")
