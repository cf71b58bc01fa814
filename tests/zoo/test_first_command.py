"""The first command of a new user: a model in a file of their own, its weights, their data; and what is said of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_calls import Cli, assert_error

from snnfuse.export.bundle.bundle import read_bundle

NETWORKS = """
from .layers import hidden
import torch, torch.nn as nn, snntorch as snn


class Net(nn.Module):
    def __init__(self, steps):
        super().__init__()
        self.steps = steps
        self.fc1, self.lif1 = hidden()
        self.fc2, self.lif2 = nn.Linear(10, 3), snn.Leaky(beta=0.9)

    def record(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for step in range(self.steps):
            spk, mem1 = self.lif1(self.fc1(x(step)), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            spikes.append(spk)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class Static(Net):
    def forward(self, x):
        return self.record(lambda step: x)


class BatchFirst(Net):
    def forward(self, x):
        return self.record(lambda step: x[:, step])[0].sum(0)


def static():
    return Static(12)


def batch_first():
    return BatchFirst(12)
"""
LAYERS = """
import torch.nn as nn, snntorch as snn


def hidden():
    return nn.Linear(6, 10), snn.Leaky(beta=0.9)
"""


@pytest.fixture
def folder(tmp_path: Path, snn: Cli) -> Path:
    """models/nets.py, which imports its neighbour, weights, and data (time, batch, features) with labels."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "nets.py").write_text(NETWORKS)
    (tmp_path / "models" / "layers.py").write_text(LAYERS)
    torch.manual_seed(0)
    weights = {"fc1.weight": torch.randn(10, 6), "fc1.bias": torch.zeros(10), "fc2.weight": torch.randn(3, 10), "fc2.bias": torch.zeros(3)}
    torch.save(weights, tmp_path / "net.pt")
    rng = np.random.default_rng(0)
    x = np.broadcast_to(rng.random((1, 8, 6)), (12, 8, 6)).astype(np.float32)
    np.savez(tmp_path / "calib.npz", x=x, labels=rng.integers(3, size=8))
    np.savez(tmp_path / "turned.npz", x=x.swapaxes(0, 1), labels=rng.integers(3, size=8))
    np.savez(tmp_path / "unlabelled.npz", x=x.swapaxes(0, 1))
    np.save(tmp_path / "calib.npy", x)
    torch.save((torch.from_numpy(x.copy()), torch.from_numpy(rng.integers(3, size=8))), tmp_path / "calib.pt")
    return tmp_path


EXPORT = ("export", "net.pt", "--target", "lava", "--prove", "off", "--force")


def test_a_file_and_its_factory_with_data_of_any_kind(snn: Cli, folder: Path) -> None:
    for data in ("calib.npz", "calib.npy", "calib.pt"):
        result = snn(*EXPORT, "--model", "models/nets.py:static", "--calib", data, "-o", "bundle", "--json", "-")
        assert result.code == 0, result.err
        found = json.loads(result.out)
        assert found["forward"] == "one input for all of its 12 time steps" and found["calibration"]["time_steps"] == 12
        assert ("calibration_accuracy" in found) == (data != "calib.npy")
    result = snn("export", "models/nets.py:batch_first", *EXPORT[2:], "--calib", "turned.npz", "--batch-first", "-o", "own", "--json", "-")
    assert result.code == 0 and json.loads(result.out)["forward"] == "(batch, time, ...), all time steps in one call"


def test_axes_that_contradict_the_time_steps_are_refused_and_the_advice_works(snn: Cli, folder: Path) -> None:
    call = (*EXPORT, "--model", "models/nets.py:batch_first")
    said = "unlabelled.npz: 'x' has 8 time steps, being (time, batch, ...) (8, 12, 6), and --time-steps says 12; its second axis has 12"
    assert_error(snn(*call, "--calib", "unlabelled.npz", "--time-steps", 12), 2, said, "say --batch-first")
    turned = "turned.npz: labels are int64 (8,), not integers (12,); if the batch is the first axis, say --batch-first"
    assert_error(snn(*call, "--calib", "turned.npz"), 2, turned)
    assert snn(*call, "--calib", "turned.npz", "--time-steps", 12, "--batch-first", "-o", "a").code == 0
    assert_error(snn(*call, "--calib", "calib.npz", "--time-steps", 5), 2, "--time-steps says 5; leave --time-steps out")
    assert snn(*call, "--calib", "calib.npz", "-o", "b").code == 0
    assert_error(snn(*call, "--calib", "calib.npz", "--layout", "time-first"), 2, "tried as time-first only, as --layout time-first says")


def test_a_membrane_and_spikes_that_are_returned_are_read_from_the_bundle(snn: Cli, folder: Path) -> None:
    assert snn(*EXPORT, "--model", "models/nets.py:static", "--calib", "calib.npz", "-o", "bundle").code == 0
    assert len(read_bundle("bundle").program.outputs) == 2
