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

from snnfuse.export import lower, read_bundle, simulate, to_nir
from snnfuse.export.lowering.notes import without_notes

MODEL = """
import snntorch
from torch import nn

def net():
    neuron = snntorch.Synaptic(alpha=0.5, beta=0.75, reset_mechanism="zero", init_hidden=True)
    return nn.Sequential(nn.Linear(4, 6), neuron, nn.Linear(6, 3), snntorch.Leaky(beta=0.5, reset_mechanism="zero", init_hidden=True))
"""
ARGUMENTS = ("export", "net.pt", "--model", "delayed_models:net", "--target", "nir", "--calib", "calib.npz", "-o", "bundle")


def build() -> nn.Module:
    """The network of MODEL, whose first neurons drop input after a spike, for which NIR has no words; weights in quarters."""
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


def differing(x: np.ndarray) -> tuple[int, int]:
    """How many spikes of the first neurons differ between snnTorch and the graph for a reader that does not know its notes, and how many
    there are; with its notes none differs."""
    model = build()
    graph = to_nir(model, torch.from_numpy(x[0]))
    read, foreign = (simulate(lower(each), {"input": x}).spikes["1"] for each in (graph, without_notes(graph)))
    with torch.no_grad():
        hidden = torch.stack([model[1](model[0](now)) for now in torch.from_numpy(x)]).numpy().astype(bool)
    np.testing.assert_array_equal(read, hidden)
    return int((foreign != hidden).sum()), int(hidden.sum())


def test_the_report_states_the_effect_that_is_measured(snn: Cli, spikes: np.ndarray) -> None:
    done = snn(*ARGUMENTS)
    assert done.code == 0, done.err
    wrong, fired = differing(spikes)
    assert wrong > 0
    (entry,) = json.loads(Path("bundle/report.json").read_text())["ledger"]
    assert entry["node"] == "1" and entry["change"].startswith("other readers reset to zero at once")
    assert entry["effect"] == f"with all notes unread, {wrong} spikes differ where there are {fired}, on 16 samples"


def test_integers_keep_the_rule_and_need_no_entry_for_it(snn: Cli, spikes: np.ndarray) -> None:
    done = snn(*ARGUMENTS[:5], "lava", *ARGUMENTS[6:], "--strict")
    assert done.code == 0, done.err
    assert read_bundle("bundle").program.nodes["1"].reset == "zero_delayed"


def test_the_ledger_is_printed_as_a_table(snn: Cli, spikes: np.ndarray) -> None:
    out = snn(*ARGUMENTS, "-v").out
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
    assert_error(snn(*ARGUMENTS, "--strict", "--quiet"), 3, "--strict: ", "1: other readers reset to zero at once")
    assert not Path("bundle").exists()
    shown = snn(*ARGUMENTS, "--strict")
    assert shown.code == 3 and "measured effect" in shown.err


def test_what_was_not_measured_says_so(snn: Cli, spikes: np.ndarray) -> None:
    out = snn("export", "-v", "net.pt", "--model", "delayed_models:net", "--target", "nir", "--sample", "4", "-o", "bundle").out
    assert "not measured" in out and "ledger: 1 change of meaning" in out
