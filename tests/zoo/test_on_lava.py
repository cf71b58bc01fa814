"""Networks of every form as integers: Lava and the emulator give the same spikes and states, and a pool before a neuron keeps them."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import snntorch as snn
import torch
from forms import STEPS, Net, Restarting, Static, made, spikes_over_time
from snntorch_models import leaky
from torch import nn

from snnfuse.compile import Settings, compile, source_of
from snnfuse.export.targets import find_target
from snnfuse.hardware import Program, compare, emulate, simulate_on_lava
from snnfuse.hardware.ir.encoding import output_values, values


class Summed(Net):
    def forward(self, x: Any) -> Any:
        self.begin()
        return torch.stack([self.step(x[:, t])[0] for t in range(x.size(1))], dim=1).sum(dim=1)


class Pooled(nn.Module):
    """Convolution, pool, neuron, as in snnTorch's convolutional tutorials, over a static image; returns the last spikes and membrane."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool, self.lif1 = nn.Conv2d(1, 3, 3), nn.MaxPool2d(2), leaky(beta=0.5, threshold=0.5, init_hidden=False)
        self.fc, self.lif2 = nn.Linear(12, 3), leaky(beta=0.75, threshold=0.5, init_hidden=False)

    def forward(self, x: Any) -> Any:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        for _ in range(STEPS):
            spikes, mem1 = self.lif1(self.pool(self.conv(x)), mem1)
            spikes, mem2 = self.lif2(self.fc(spikes.flatten(1)), mem2)
        return spikes, mem2


FORMS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], bool]] = {
    "static": (Static, (6,), True), "summed": (Summed, (6,), False), "restarting": (Restarting, (6,), False),
    "pooled": (Pooled, (1, 6, 6), True),
}  # fmt: skip


def deployed(name: str) -> tuple[Any, Program, np.ndarray]:
    build, shape, static = FORMS[name]
    model, x = made(build).float(), spikes_over_time(shape, static).float().numpy()
    compiled = compile(source_of(model), x, Settings(), find_target("loihi2"))
    (stage,) = compiled.stages
    assert stage.program is not None
    return compiled, stage.program, x


@pytest.mark.parametrize("name", FORMS)
def test_the_integers_keep_the_spikes(name: str) -> None:
    compiled, program, _ = deployed(name)
    rows = [row for row in compiled.to_json()["layers"] if row["agreement"] is not None]
    assert rows and all(row["float_spikes"] > 0 and row["agreement"] > 0.95 for row in rows)
    if name == "pooled":  # forward returns the last spikes and the last membrane: a decoder reads the second
        assert program.decides == "membrane" and program.outputs["membrane"].decoder == "membrane_last"


@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("name", ["static", *(pytest.param(name, marks=pytest.mark.slow) for name in FORMS if name != "static")])
def test_lava_equals_the_emulator(name: str) -> None:
    _, program, x = deployed(name)
    events = program.encode(x[:, :2])
    wanted = emulate(program, events, "all", states=True)
    assert compare(wanted, simulate_on_lava(program, events, "all", states=True)).mismatches == 0
    assert any(spikes.any() for spikes in wanted.spikes.values())


class Membranes(nn.Module):
    """Spikes and membranes of a last layer of any kind and reset."""

    def __init__(self, neuron: Callable[[], Any]) -> None:
        super().__init__()
        self.fc, self.neuron = nn.Linear(6, 8), neuron()

    def forward(self, x: Any) -> Any:
        states = self.neuron.reset_mem()
        states, both = states if isinstance(states, tuple) else (states,), []
        for now in x:
            spikes, *states = self.neuron(self.fc(now), *states)
            both.append((spikes, states[-1]))
        return tuple(map(torch.stack, zip(*both, strict=True)))


READ: dict[str, Callable[[], Any]] = {
    "Leaky subtract": lambda: snn.Leaky(beta=0.75, threshold=0.5),
    "Leaky subtract at once": lambda: snn.Leaky(beta=0.75, threshold=0.5, reset_delay=False),
    "Leaky zero": lambda: snn.Leaky(beta=0.75, threshold=0.5, reset_mechanism="zero"),
    "Leaky never": lambda: snn.Leaky(beta=0.75, threshold=20000),
    "Synaptic zero": lambda: snn.Synaptic(alpha=0.5, beta=0.75, threshold=0.5, reset_mechanism="zero"),
    "Synaptic subtract": lambda: snn.Synaptic(alpha=0.5, beta=0.75, threshold=0.5),
    "Lapicque zero": lambda: cast(Any, snn.Lapicque)(beta=0.75, threshold=0.5, reset_mechanism="zero"),
    "Alpha": lambda: snn.Alpha(alpha=0.75, beta=0.5, threshold=0.05),
}


@pytest.mark.slow
@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("name", READ)
def test_lava_gives_the_membranes_that_outputs_read(name: str) -> None:
    torch.manual_seed(5)
    x = spikes_over_time((6,)).float().numpy()
    (stage,) = compile(source_of(Membranes(READ[name]).eval()), x, Settings(), find_target("loihi2")).stages
    program = stage.program
    assert program is not None
    events = program.encode(x)
    ours, theirs = emulate(program, events, "all", states=True), simulate_on_lava(program, events, "all", states=True)
    read = [output for output, rule in program.outputs.items() if rule.reads_membrane]
    assert read
    for output in read:
        np.testing.assert_array_equal(output_values(program, ours, output), output_values(program, theirs, output))
        np.testing.assert_array_equal(values(program, ours, output), values(program, theirs, output))
        assert np.unique(output_values(program, theirs, output)).size > 20
    assert compare(ours, theirs).mismatches == 0
