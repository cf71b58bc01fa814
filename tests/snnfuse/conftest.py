"""What the tests of the command line share: a way to call it, and a user's files."""

import sys
from pathlib import Path

import nir
import numpy as np
import pytest
import torch

MODELS = """
import snntorch
import torch


class Net(torch.nn.Module):
    def __init__(self, reset):
        super().__init__()
        torch.manual_seed(0)
        self.fc = torch.nn.Linear(4, 3, bias=False)
        self.fc.weight.data *= 6
        self.lif = snntorch.Leaky(beta=0.5, reset_mechanism=reset, reset_delay=False)
        self.mem = None

    def forward(self, x):
        spikes, self.mem = self.lif(self.fc(x), self.mem)
        return spikes


def zero():
    return Net("zero")


def subtract():
    return Net("subtract")
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A small foreign graph, its weights on the grid of what the chip holds."""
    ones = np.ones(3)
    rng = np.random.default_rng(0)
    weights = rng.integers(-3, 4, (3, 4)).astype(float)
    lif = nir.LIF(tau=2e-4 * ones, r=2 * ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    nir.write(tmp_path / "net.nir", nir.NIRGraph.from_list(nir.Linear(weights), lif))
    return tmp_path / "net.nir"


@pytest.fixture
def calib(tmp_path: Path) -> Path:
    """Binary inputs, ten samples of twelve steps."""
    rng = np.random.default_rng(1)
    path = tmp_path / "calib.npz"
    np.savez(path, x=rng.integers(0, 2, (12, 10, 4)).astype(np.float32), labels=rng.integers(0, 3, 10))
    return path


@pytest.fixture
def models(tmp_path: Path) -> None:
    """A user's own module, and state_dicts for it."""
    (tmp_path / "users_models.py").write_text(MODELS)
    sys.modules.pop("users_models", None)
    module: dict = {}
    exec(MODELS, module)
    for name in ("zero", "subtract"):
        torch.save(module[name]().state_dict(), tmp_path / f"{name}.pt")
