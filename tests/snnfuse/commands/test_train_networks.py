"""`snnfuse train --model` and registered names: networks of a user's own on samples of a user's own, from training to report and back."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_calls import Cli, assert_error
from torch import Tensor, nn

from snnfuse import load_checkpoint, networks
from snnfuse.data import load
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.networks import registry
from snnfuse.training import objective

NET = """
from math import prod

import snntorch
import torch

from snnfuse.networks import register


class Net(torch.nn.Module):
    inputs = ("image", "audio", "touch")

    def __init__(self, shapes, classes, width):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(sum(map(prod, shapes)))
        self.first = torch.nn.Linear(sum(map(prod, shapes)), width)
        self.hidden = snntorch.Leaky(beta=0.9, reset_mechanism="zero", reset_delay=False, init_hidden=True)
        self.out = torch.nn.Linear(width, classes)
        self.count = snntorch.Leaky(beta=0.9, reset_mechanism="zero", reset_delay=False, init_hidden=True)

    def forward(self, image, audio, touch):
        x = torch.cat((image.flatten(1), audio.flatten(1), touch.flatten(1)), dim=1)
        return self.count(self.out(self.hidden(self.first(self.norm(x)))))


class Alone(Net):
    inputs = ("sensor",)

    def forward(self, sensor):
        return self.count(self.out(self.hidden(self.first(self.norm(sensor.flatten(1))))))


def three(*, image, audio, touch, classes, width=16):
    assert all(isinstance(shape, tuple) for shape in (image, audio, touch))
    return Net((image, audio, touch), classes, width)


def alone(*, sensor, classes, width=16):
    return Alone((sensor,), classes, width)


def broken(*, classes):
    raise RuntimeError("no such thing")


register("of-mine", alone)
"""


@pytest.fixture
def own(snn: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A module of a user's own in the current folder; what it registers is forgotten afterwards."""
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    Path("mine.py").write_text(NET)
    sys.modules.pop("mine", None)
    return snn


def sensor(path: str, offset: float, scale: float, steps: int | None = 5) -> None:
    """Four classes that anybody could tell apart, of numbers far outside [-1, 1]."""
    rng, labels = np.random.default_rng(0), np.arange(120) % 4
    values = offset + scale * (np.eye(4)[labels] + 0.15 * rng.standard_normal((*([] if steps is None else [steps]), 120, 4)))
    np.savez(path, sensor=values.astype(np.float32), labels=labels)


QUICK = ("--epochs", 10, "--batch-size", 16, "--recipe", "held=0.1", "--lr", "0.02", "--quiet")


@pytest.mark.parametrize(
    "offset, scale, steps, said",
    [
        (300, 100, 5, ()),
        (300, 100, 5, ("--input", "sensor=spectrogram,200..600")),
        (-2000, 500, None, ("--static", "sensor", "--time-steps", "5")),
    ],
)
def test_a_sensor_of_any_range_trains_and_its_values_are_left_whole(
    own: Cli, offset: int, scale: int, steps: int | None, said: tuple
) -> None:
    sensor("s.npz", offset, scale, steps)
    trained = own("train", "--model", "mine:alone", "--data", "s.npz", *said, *QUICK, "-o", "s.pt", "--json", "f.json")
    assert trained.code == 0, trained.err
    assert json.loads(Path("f.json").read_text())["test_accuracy"] > 0.9, "chance is 0.25"


def three_senses() -> None:
    rng, labels = np.random.default_rng(0), np.arange(80) % 4
    np.savez(
        "three.npz",
        image=np.clip(np.kron(np.eye(4), np.ones((1, 4)))[labels] + 0.1 * rng.standard_normal((80, 16)), 0, 1).reshape(80, 1, 4, 4),
        audio=rng.standard_normal((5, 80, 6)), touch=900 + rng.standard_normal((80, 3)), labels=labels, groups=np.arange(80) // 4,
    )  # fmt: skip


READ = ("--static", "image", "--static", "touch", "--input", "image=image,0..1", "--input", "audio=spectrogram,-8..8,3 bands")


@pytest.mark.slow
def test_three_inputs_go_from_training_to_export_report_and_integers(own: Cli) -> None:
    three_senses()
    trained = own("train", "--model", "mine:three", "--data", "three.npz", *READ, *QUICK[:-1], "--set", "width=24", "-o", "t.pt")
    assert trained.code == 0 and "training: epoch 10 of 10: loss" in trained.err, trained.err
    Path("moved.npz").write_bytes(Path("three.npz").read_bytes())
    exported = own("export", "t.pt", "--model", "mine:three", "--target", "loihi2", "--data", "moved.npz", "-o", "b")
    assert exported.code == 0, exported.err
    told = own("report", "b", "--data", "three.npz", "--samples", 8, "-o", "r.html", "--json", "r.json")
    assert told.code == 0, told.err
    rows = json.loads(Path("r.json").read_text())["modality"]["rows"]
    assert {row["input"] for row in rows if row["kind"] == "missing"} == {"image", "audio", "touch"}
    tuned = own("train", "--from", "t.pt", "--model", "mine:three", "--qat-epochs", 1, "--batch-size", 16, "--quiet", "--json", "q.json")
    assert tuned.code == 0, tuned.err
    figures = json.loads(Path("q.json").read_text())
    assert figures["data"] == "three.npz" and set(figures["data_settings"]["inputs"]) == {"image", "audio"}
    assert own("export", "t-int8.pt", "--target", "loihi2", "-o", "c").code == 0


def test_a_checkpoint_names_the_network_and_its_arguments_and_imports_nothing(own: Cli) -> None:
    three_senses()
    one = ("train", "--model", "mine:three", "--data", "three.npz", *READ, *QUICK, "--epochs", 2, "--set", "width=7", "--log-dir", "log")
    assert own(*one, "-o", "a.pt").code == 0
    assert own(*one, "--resume", "-o", "b.pt").code == 0, "the same run, whole already"
    assert_error(own(*one, "--resume", "--set", "width=8", "-o", "b.pt"), 2, "width 7")
    for name in ("mine:three", "of-mine"):
        registry._FACTORIES.pop(name)
    sys.modules.pop("mine")
    assert_error(own("export", "a.pt", "--target", "loihi2"), 2, "unknown architecture 'mine:three'", "--model mine:three")
    assert "mine" not in sys.modules
    first, second = (load_checkpoint(path, model="mine:three") for path in ("a.pt", "b.pt"))
    weights = second.state_dict()
    assert first.first.weight.shape == (7, 25) and all(torch.equal(value, weights[name]) for name, value in first.state_dict().items())


def test_a_registered_name_is_a_network_like_ours(own: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    sensor("s.npz", 0, 1)
    assert_error(own("train", "of-mine", "--data", "s.npz", "-o", "s.pt"), 2, "'of-mine' is not one of 'fd-fusion', 's-cmrl'")
    assert own("--import", "mine", "train", "of-mine", "--data", "s.npz", *QUICK, "--epochs", 1, "-o", "s.pt").code == 0
    assert networks.describe(load_checkpoint("s.pt")) == ("of-mine", {"sensor": [4], "classes": 4})
    assert own("train", "--model", "mine:alone", "--data", "s.npz", *QUICK, "--epochs", 1, "-o", "other.pt").code == 0


@pytest.mark.parametrize(
    "arguments, part",
    [
        (("--model", "mine:nothing"), "mine has no nothing"),
        (("--model", "mine:broken"), "calling it with classes=4 failed (RuntimeError: no such thing)"),
        (("--model", "mine:alone", "--set", "depth=3"), "does not take this configuration"),
        (("--model", "mine:alone", "--l2", "none"), "--l2 is for fd-fusion"),
        (("fd-fusion", "--model", "mine:alone"), "not both"),
        ((), "not both"),
        (("--model", "mine:alone", "--input", "sensor=sound"), "must be one of image, photograph"),
        (("--model", "mine:alone", "--input", "nose=other"), "no array 'nose'"),
        (("--model", "mine:alone", "--input", "sensor=spectrogram,0-1"), "neither LOW..HIGH nor N bands"),
        (("--model", "mine:three"), "argument: 'image'"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_line(own: Cli, arguments: tuple, part: str) -> None:
    sensor("s.npz", 0, 1)
    assert_error(own("train", *arguments, "--data", "s.npz", "-o", "s.pt"), 2, part)


class Echo(nn.Module):
    """Feeds back what it put out a step ago, which no layer of snnTorch's knows."""

    inputs = ("sensor",)

    def __init__(self, feeds_back: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        import snntorch

        self.fc, self.lif = nn.Linear(4, 4), snntorch.Leaky(beta=0.5, init_hidden=True)
        self.last: Tensor | None = None
        self.feeds_back = feeds_back

    def forward(self, sensor: Tensor) -> Tensor:
        before = self.last if self.feeds_back and self.last is not None and self.last.shape == sensor.shape else torch.zeros_like(sensor)
        self.last = self.lif(2 * self.fc(sensor) + 3 * before.flip(1))
        return self.last


def test_layer_by_layer_only_where_it_is_seen_to_be_the_same(own: Cli) -> None:
    sensor("s.npz", 0, 3)
    batch = {name: torch.from_numpy(value) for name, value in load("s.npz").train.steps(slice(8)).items()}
    assert objective.through_time_of(Echo(False), batch) is networks.run_folded
    silent = Echo(False)
    nn.init.zeros_(silent.fc.weight)
    nn.init.zeros_(silent.fc.bias)
    assert objective.through_time_of(silent, batch) is networks.run
    with pytest.raises(UnsupportedError, match="Echo: it keeps last from call to call.*let neurons hold it"):
        objective.through_time_of(Echo(True), batch)


LOOP = """
import snntorch, torch


class Loop(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.first, self.out = torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 16), torch.nn.Linear(16, 4)
        self.hidden, self.last = snntorch.Leaky(beta=0.9), snntorch.Leaky(beta=0.9)

    def forward(self, sensor):
        mem, out, spikes, membranes = self.hidden.init_leaky(), self.last.init_leaky(), [], []
        for t in range(sensor.size(0)):
            spike, mem = self.hidden(self.first(self.norm(sensor[t])), mem)
            spike, out = self.last(self.out(spike), out)
            spikes.append(spike)
            membranes.append(out)
        return torch.stack(spikes), torch.stack(membranes)
"""


def test_a_forward_with_a_loop_of_its_own_goes_from_training_to_integers(own: Cli) -> None:
    Path("loops.py").write_text(LOOP)
    sys.modules.pop("loops", None)
    sensor("s.npz", 300, 100)
    trained = own("train", "--model", "loops:Loop", "--data", "s.npz", *QUICK, "-o", "s.pt", "--json", "f.json")
    assert trained.code == 0, trained.err
    floats = json.loads(Path("f.json").read_text())["test_accuracy"]
    assert floats > 0.9, "chance is 0.25"
    tuned = own("train", "--from", "s.pt", "--model", "loops:Loop", "--qat-epochs", 1, "--batch-size", 16, "--quiet", "--json", "q.json")
    assert tuned.code == 0, tuned.err
    assert json.loads(Path("q.json").read_text())["test_accuracy"] > 0.9
    exported = own("export", "s.pt", "--model", "loops:Loop", "--target", "loihi2", "--data", "s.npz", "--quiet", "-o", "b")
    assert exported.code == 0, exported.err
