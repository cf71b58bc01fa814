"""The first lines of a report: what a user wants to know first, within 80 columns."""

from pathlib import Path

import numpy as np
import pytest
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
    assert f"output output: {row['agreement']:.2%} of its spikes are the float network's" in words(verdict(content))
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
    assert words(said).count("of its spikes") == 1 and "output output, membrane: 75.00% of its spikes" in words(said)


@pytest.mark.parametrize("content", [{"ledger": [], "target": "nir", "outputs": {}}])
def test_a_graph_alone_has_no_more_to_say(content: dict) -> None:
    assert verdict(content) == ["changed: nothing"]
