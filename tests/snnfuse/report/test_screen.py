"""The first lines of a report: what a user wants to know first, within 80 columns."""

import html
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_calls import Cli

from snnfuse.export import read_bundle
from snnfuse.report import gather, verdict


def words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_an_export_prints_the_verdict_the_bundle_and_what_to_do_next(snn: Cli, graph: Path, calib: Path) -> None:
    done = snn("export", graph, "--target", "loihi2", "--calib", calib)
    content = gather(read_bundle("net-loihi2"))
    assert done.out == "\n".join([*verdict(content), "bundle: net-loihi2", "next: snnfuse verify net-loihi2", ""])
    assert max(len(line) for line in done.out.splitlines()) <= 80 and len(done.out.splitlines()) <= 12
    said, measured = words(verdict(content)), content["calibration_accuracy"]
    assert said.startswith(f"accuracy on 10 calibration samples: float {measured['float']:.2%}, deployed {measured['program']:.2%}")
    assert f"{len(content['ledger'])} changes in all: -v)" in said and "fits: 1 of the 120 cores of oheo-gulch" in said


def test_without_labels_the_outputs_spikes_are_counted(snn: Cli, graph: Path) -> None:
    np.savez("spikes.npz", x=np.random.default_rng(1).integers(0, 2, (12, 10, 4)).astype(np.float32))
    assert snn("export", graph, "--target", "lava", "--calib", "spikes.npz", "--weight-bits", "1").code == 0
    content = gather(read_bundle("net-lava"))
    (row,) = content["layers"]
    assert f"output layer lif: {row['agreement']:.2%} of its spikes are the float network's" in words(verdict(content))
    assert f"changed most: lif, {row['alone']:.2%} of its spikes" in words(verdict(content)) and row["agreement"] < 1
    assert "neurons: stock neurons only (tier A)" in words(verdict(content))


def test_the_layer_that_changed_most_of_all_stages_is_named() -> None:
    layer = {"deviation": None, "agreement": 0.99}
    stage = {
        "ledger": [{}],
        "layers": [{**layer, "node": "a"}],
        "tiers": {"a": "A"},
        "resources": {"cores": 2, "board": {"cores": 9, "name": "b"}},
    }
    other = {**stage, "layers": [{**layer, "node": "c", "agreement": 0.9}], "tiers": {"c": "B"}, "tier_status": {"c": "assumed"}}
    said = words(verdict({"stages": [stage, other], "outputs": {}}))
    assert "changed most: c, 10.00% of its spikes (2 changes in all: -v)" in said
    assert "fits: 4 of the 9 cores of b; tier B, neuron microcode (assumed): c" in said


def test_two_outputs_of_one_layer_are_one_line() -> None:
    row = {"node": "lif", "deviation": None, "agreement": 0.75}
    outputs = {"output": {"node": "lif"}, "membrane": {"node": "lif"}}
    said = verdict({"ledger": [], "layers": [row], "outputs": outputs, "calibration": {"samples": 4}})
    assert words(said).count("of its spikes") == 1 and "output layer lif: 75.00% of its spikes" in words(said)


@pytest.mark.parametrize("content", [{"ledger": [], "target": "nir", "outputs": {}}])
def test_a_graph_alone_has_no_more_to_say(content: dict) -> None:
    assert verdict(content) == ["changed: nothing"]


def test_what_the_command_line_warned_of_is_on_the_page(snn: Cli, graph: Path) -> None:
    """A file of weights that holds more than the model: a warning of reading, which calibration knows nothing of."""
    Path("tiny.py").write_text(
        "import torch, snntorch\n"
        "def net():\n    return torch.nn.Sequential(torch.nn.Linear(4, 3), snntorch.Leaky(beta=0.5, init_hidden=True, reset_delay=False))\n"
    )
    torch.manual_seed(0)
    sys.modules.pop("tiny", None)
    sys.path.insert(0, ".")
    state = importlib.import_module("tiny").net().state_dict()
    torch.save({**{f"net.{name}": value for name, value in state.items()}, "loss.weight": torch.zeros(1)}, "w.pt")
    np.savez("c.npz", input=np.ones((6, 4, 4), np.float32))
    done = snn("export", "w.pt", "--model", "tiny:net", "--target", "lava", "--calib", "c.npz", "--prove", "off", "-o", "b")
    assert done.code == 0, done.err
    shown = [line.removeprefix("warning: ") for line in done.err.splitlines() if line.startswith("warning: ")]
    assert shown and json.loads(Path("b/report.json").read_text())["warned"]
    page = html.unescape(" ".join(Path("b/report.html").read_text().split()))
    for line in shown:
        assert line[:40] in page
