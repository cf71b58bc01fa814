"""`snnfuse train --from` on a network and arrays of a user's own: what a refusal of another reset advises, followed literally."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_calls import Cli, assert_error

from snnfuse import load_checkpoint
from snnfuse.export import read_bundle
from snnfuse.hardware import emulate
from snnfuse.nn import FixedPointNetwork

NET = """
import snntorch
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc = torch.nn.Linear(8, 3, bias=False)
        self.fc.weight.data *= 4
        self.lif = snntorch.Leaky(beta=0.5, init_hidden=True)

    def forward(self, x):
        return self.lif(self.fc(x))
"""
OWN = ("train", "--from", "own.pt", "--model", "own_net:Net", "--data", "own.npz")


@pytest.fixture
def own(snn: Cli, tmp_path: Path) -> Cli:
    """An untrained network and 120 samples of three classes, each with firing rates of its own."""
    Path("own_net.py").write_text(NET)
    sys.modules.pop("own_net", None)
    module: dict = {}
    exec(NET, module)
    torch.save(module["Net"]().state_dict(), "own.pt")
    rng = np.random.default_rng(0)
    labels, rates = rng.integers(0, 3, 120), np.kron(np.eye(3), np.ones(3))[:, :8] * 0.6 + 0.1
    np.savez("own.npz", x=(rng.random((12, 120, 8)) < rates[labels]).astype(np.float32), labels=labels)
    return snn


def test_the_advice_of_the_strict_tier_works_when_followed(own: Cli) -> None:
    refused = own("export", "own.pt", "--model", "own_net:Net", "--target", "loihi2", "--tier", "A", "--calib", "own.npz")
    assert_error(refused, 3, "snnfuse train --from")
    trained = own(*OWN, "--reset", "zero", "--qat-epochs", 10, "--qat-lr", 0.3, "--json", "figures.json")
    assert trained.code == 0, trained.err
    figures = json.loads(Path("figures.json").read_text())
    assert figures["weight_bits"] == 8 and figures["test_accuracy"] > max(0.8, figures["float"]["test_accuracy"])
    net = load_checkpoint("own-int8.pt")
    assert isinstance(net, FixedPointNetwork)
    exported = own("export", "own-int8.pt", "--target", "loihi2", "--tier", "A", "--calib", "own.npz")
    assert exported.code == 0 and "stock neurons only (tier A)" in exported.out, exported.err
    program, x = read_bundle("own-int8-loihi2").program, np.load("own.npz")["x"]
    (name,) = program.outputs
    deployed = emulate(program, program.encode(x)).spikes[name]
    assert (deployed == net(torch.from_numpy(x)).detach().numpy()).all() and deployed.any()


def test_threshold_scales_are_trained_where_asked_for(own: Cli) -> None:
    for bits, more, learns in ((2, (), True), (2, ("--no-qat-scales",), False), (3, ("--qat-scales",), True)):
        assert own(*OWN, "--qat", bits, "--qat-epochs", 1, "--qat-lr", 0.3, "--log-dir", "logs", *more).code == 0
        net = load_checkpoint(f"own-int{bits}.pt")
        assert any(layer.scale != layer.scale_found for layer in net.layers) == learns
    assert {folder.name for folder in Path("logs").iterdir()} == {"qat-2", "qat-2-no-scales", "qat-3-scales"}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda arrays: arrays.pop("labels"), "labels"),
        (lambda arrays: arrays.update(labels=arrays["labels"] + 5), "labels"),
        (lambda arrays: arrays.update(x=arrays["x"][..., :5]), "5"),
    ],
    ids=["no labels", "no such class", "another shape"],
)
def test_data_that_cannot_train_it_are_one_line(own: Cli, change, part: str) -> None:
    arrays = dict(np.load("own.npz"))
    change(arrays)
    np.savez("own.npz", **arrays)
    done = own(*OWN, "--reset", "zero")
    assert done.code in (2, 3) and part in done.err.splitlines()[-1] and not Path("own-int8.pt").exists(), done.err
