"""ReLU networks on sigma-delta neurons: the integers on every backend, and how near they stay to the float network."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from snnfuse.compile import compile, source_of
from snnfuse.export.targets import find_target
from snnfuse.hardware import Program, compare, emulate, simulate_on_lava
from snnfuse.hardware.backends.reference import emulate as reference
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.nn import sigma_delta


class Viewed(nn.Module):
    """Convolutions, pools and a view, with functions in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6)
        self.second, self.last = nn.Conv2d(6, 8, 3, groups=2), nn.Linear(8, 5)
        self.pool, self.all = nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)
        self.norm.running_mean.uniform_(-0.2, 0.2)
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = self.all(self.second(self.pool(x)).relu())
        return self.last(x.view(x.size(0), -1))


def frames(steps: int = 12, batch: int = 3, pixels: int = 16) -> np.ndarray:
    return np.cumsum(np.random.default_rng(0).normal(0, 0.05, (steps, batch, 1, pixels, pixels)), 0).astype(np.float32)


def outputs(program: Program, x: np.ndarray) -> np.ndarray:
    """In the float network's units, (time, batch, classes)."""
    output = program.outputs["output"]
    assert output.unit is not None
    return emulate(program, program.encode(x), "all", states=True).states[output.node]["act"] * output.unit


@pytest.mark.usefixtures("lava")
def test_lava_and_the_reference_compute_the_same() -> None:
    x = frames()
    program = sigma_delta(Viewed(), threshold=0.01).program(x)
    events = program.encode(x)
    found = emulate(program, events, "all", states=True)
    assert not compare(found, reference(program, events, "all", states=True)).mismatches
    assert not compare(found, simulate_on_lava(program, events, "all", states=True)).mismatches
    assert all(0.02 < np.count_nonzero(found.spikes[name]) / found.spikes[name].size < 0.98 for name in ("first", "second"))


def test_without_a_threshold_the_float_network_is_followed_frame_by_frame() -> None:
    torch.manual_seed(3)
    model, x = Viewed().eval(), frames()
    with torch.no_grad():
        expected = model(torch.from_numpy(x.reshape(-1, 1, 16, 16))).numpy().reshape(12, 3, 5)
    errors = []
    for threshold in (0.0, 0.3):
        found = outputs(sigma_delta(model, threshold=threshold, input_bits=12).program(x), x)
        errors.append(np.abs(found - expected).max() / np.abs(expected).max())
    assert errors[0] < 0.02 < errors[1]


def test_what_stays_as_it_is_costs_nothing() -> None:
    x = np.repeat(frames(1), 8, 0)
    run = emulate(*(lambda p: (p, p.encode(x)))(sigma_delta(Viewed()).program(x)), "all")
    assert all(spikes[0].any() and not spikes[1:].any() for name, spikes in run.spikes.items() if name != "last")


def test_it_is_compiled_as_any_model(tmp_path: Path) -> None:
    x = frames()
    compiled = compile(source_of(sigma_delta(Viewed())), x, target=find_target("loihi2", "oheo-gulch"))
    (stage,) = compiled.stages
    assert [type(node).__name__ for node in stage.program.neurons.values()] == ["Delta", "SigmaDelta", "SigmaDelta", "SigmaDelta"]
    assert "of the neurons send something" in str(stage.program.ledger[-1].effect)
    with pytest.raises(InputError, match="give samples"):
        compile(source_of(sigma_delta(Viewed())), None)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.relu(self.fc(x))


@pytest.mark.parametrize(
    "model, message",
    [
        (nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.MaxPool1d(2)), "MaxPool1d cannot be kept; a maximum is no sum"),
        (nn.Sequential(nn.Linear(4, 4), nn.Sigmoid()), "Sigmoid cannot be kept"),
        (nn.Sequential(nn.ReLU(), nn.Linear(4, 4)), "a ReLU without weights before it"),
        (Branches(), "without branches"),
        (nn.Sequential(nn.Flatten()), "no layer with weights"),
    ],
)
def test_what_is_no_chain_is_refused_by_name(model: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        sigma_delta(model).program(np.ones((3, 2, 4), np.float32))
    with pytest.raises(InputError, match="threshold=2"):
        sigma_delta(model, threshold=2)
    with pytest.raises(InputError, match="not all 0"):
        sigma_delta(model).program(np.zeros((3, 2, 4), np.float32))


@pytest.mark.slow
def test_digits_that_move_slowly(shared_data: Path) -> None:
    """A network trained on MNIST's test images but the last thousand, on those as they move by a pixel every fourth step."""
    images, labels = (
        gzip.decompress((shared_data / f"mnist/t10k-{name}-ubyte.gz").read_bytes()) for name in ("images-idx3", "labels-idx1")
    )
    x = torch.from_numpy(np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28).astype(np.float32) / 255)
    y = torch.from_numpy(np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(400, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(4):
        for batch in torch.randperm(9000).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    moving = np.stack([np.roll(x[9000:].numpy(), t // 4 - 1, -1) for t in range(12)])
    program = sigma_delta(model, threshold=0.05).program(moving[:, :200])
    run = emulate(program, program.encode(moving), "all")
    with torch.no_grad():
        expected = model(torch.from_numpy(moving[-1])).argmax(1).numpy()
    ours, sent = program.decode(run), sum(np.count_nonzero(s) for s in run.spikes.values())
    of = sum(s.size for s in run.spikes.values())
    accuracies = [float((found == y[9000:].numpy()).mean()) for found in (expected, ours)]
    print(f"float {accuracies[0]:.2%}, deployed {accuracies[1]:.2%}, {sent / of:.2%} of the neurons send on a step")
    assert accuracies[0] > 0.85 and accuracies[0] - accuracies[1] < 0.005 and sent < 0.2 * of
