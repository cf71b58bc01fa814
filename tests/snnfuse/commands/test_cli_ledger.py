"""What changed on the way, as a user of the command line reads it: a table, the report, and --strict."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_calls import Cli, assert_error
from torch import nn

from snnfuse.export import lower, simulate, to_nir

MODEL = """
import snntorch
from torch import nn

def net():
    neuron = snntorch.Synaptic(alpha=0.5, beta=0.75, reset_mechanism="zero", init_hidden=True)
    return nn.Sequential(nn.Linear(4, 6), neuron, nn.Linear(6, 3), snntorch.Leaky(beta=0.5, reset_mechanism="zero", init_hidden=True))
"""
ARGUMENTS = ("export", "net.pt", "--model", "delayed_models:net", "--target", "lava", "--calib", "calib.npz", "-o", "bundle")


def build() -> nn.Module:
    """The network of MODEL, whose first neurons drop input after a spike, which the graph keeps; weights in quarters."""
    made: dict = {}
    exec(MODEL, made)
    model = made["net"]()
    generator = torch.Generator().manual_seed(3)
    for layer in (model[0], model[2]):
        layer.weight.data = torch.randint(-2, 5, layer.weight.shape, generator=generator) / 4
        layer.bias.data.zero_()
    return model


@pytest.fixture
def spikes(tmp_path: Path) -> np.ndarray:
    """A checkpoint, the module that it needs, and calibration data."""
    (tmp_path / "delayed_models.py").write_text(MODEL)
    sys.modules.pop("delayed_models", None)
    torch.save(build().state_dict(), tmp_path / "net.pt")
    x = (np.random.default_rng(4).random((20, 16, 4)) < 0.5).astype(np.float32)
    np.savez(tmp_path / "calib.npz", input=x)
    return x


def differing(x: np.ndarray) -> tuple[int, int, int]:
    """How many spikes of the first and of the last neurons differ between snnTorch and the graph, and what the first ones of the
    graph are."""
    model = build()
    run = simulate(lower(to_nir(model, torch.from_numpy(x[0]))), {"input": x})
    hidden, last = [], []
    with torch.no_grad():
        for now in torch.from_numpy(x):
            hidden.append(model[1](model[0](now)))
            last.append(model[3](model[2](hidden[-1])))
    pairs = ((run.spikes["1"], hidden), (run.spikes["3"], last))
    first, second = (int((ours != torch.stack(theirs).numpy().astype(bool)).sum()) for ours, theirs in pairs)
    return first, second, int(run.spikes["1"].sum())


def test_the_report_states_the_effect_that_is_measured(snn: Cli, spikes: np.ndarray) -> None:
    done = snn(*ARGUMENTS)
    assert done.code == 0, done.err
    first, last, fired = differing(spikes)
    assert first > 0
    ledger = json.loads(Path("bundle/report.json").read_text())["ledger"]
    (entry,) = [e for e in ledger if "the reset to zero is immediate" in e["change"]]
    size = 20 * 16 * 6
    assert entry["node"] == "1"
    assert f"{first} of its {size} outputs differ ({first / size:.2%}) where the graph has {fired} spikes" in entry["effect"]
    assert f"{last} output spikes differ" in entry["effect"] and "on 16 samples" in entry["effect"]


def test_the_ledger_is_printed_as_a_table(snn: Cli, spikes: np.ndarray) -> None:
    out = snn(*ARGUMENTS).out
    (entry,) = json.loads(Path("bundle/report.json").read_text())["ledger"]
    lines = out.splitlines()
    head = next(line for line in lines if "measured effect" in line)
    assert lines[0] == "ledger: 1 change of meaning"
    assert " ".join(head.split()) == "node what changed because measured effect"
    columns = [head.index(name) for name in ("node", "what changed", "because", "measured effect")]
    rows = list(itertools.takewhile(str.strip, lines[lines.index(head) + 2 :]))
    rows = [line for line in rows if line.startswith(" ")]
    for start, end, said in zip(columns, [*columns[1:], None], entry.values(), strict=True):
        assert "".join("".join(line[start:end].split()) for line in rows) == "".join(said.split())


def test_strict_refuses_it(snn: Cli, spikes: np.ndarray) -> None:
    assert_error(snn(*ARGUMENTS, "--strict", "--quiet"), 3, "--strict: ", "1: the reset to zero is immediate")
    assert not Path("bundle").exists()
    shown = snn(*ARGUMENTS, "--strict")
    assert shown.code == 3 and "measured effect" in shown.err


def test_what_was_not_measured_says_so(snn: Cli, spikes: np.ndarray) -> None:
    out = snn("export", "net.pt", "--model", "delayed_models:net", "--target", "nir", "--sample", "4", "-o", "bundle").out
    assert "not measured" in out and "ledger: 1 change of meaning" in out
