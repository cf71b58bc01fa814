"""snnfuse-export: bit widths searched, layers and overflow reported, bad calibration data named."""

import json

import nir
import numpy as np
import pytest
from quantization_graphs import binary, chain, lif

from snnfuse.commands.export_options import parse_bits
from snnfuse.export import lower, read_bundle, simulate
from snnfuse.hardware import emulate
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.overflow import witness_events
from snnfuse.hardware.overflow.raw_states import excess


@pytest.fixture
def files(tmp_path):
    """A graph of two layers, and samples with its own classes as labels."""
    rng = np.random.default_rng(0)
    layers = (nir.Linear(rng.normal(0, 0.25, (16, 12))), lif(16, 0.9), nir.Linear(rng.normal(0, 0.6, (4, 16))), lif(4, 0.9))
    graph, x = chain(*layers, size=12), binary(20, 24, 12)
    nir.write(tmp_path / "net.nir", graph)
    labels = simulate(lower(graph), {"input": x}).spikes["n3"].sum(0).argmax(1)
    np.savez(tmp_path / "x.npz", input=x, labels=labels)
    return tmp_path


@pytest.fixture
def export(files, snn):
    fixed = ("export", "-v", str(files / "net.nir"), "--target", "loihi2", "--calib", str(files / "x.npz"))
    return lambda *more: snn(*fixed, "-o", str(files / "b"), *more)


def test_a_search_is_in_the_bundle(files, export) -> None:
    code, out, _ = export("--search", "--max-drop", "10", "--max-groups", "1")
    assert code == 0
    assert "at most 10 points less; fitted on 12 samples" in " ".join(out.split())
    bundle = read_bundle(files / "b")
    found = bundle.report["search"]
    assert found["taken"] in found["front"]
    assert found["taken"]["accuracy"] >= found["float"] - 0.1
    assert found["taken"]["bytes"] == sum(layer["memory"] for layer in bundle.manifest["resources"]["layers"])
    assert (files / "b" / "pareto.svg").read_bytes().startswith(b"<svg")


@pytest.mark.parametrize(
    "options, message",
    [
        (("--max-drop", "1"), "--max-drop is for --search"),
        (("--cluster", "local"), "--cluster is for --search"),
        (("--search", "--weight-bits", "4"), "leave --weight-bits out"),
    ],
)
def test_options_without_effect_are_refused(export, options, message: str) -> None:
    code, _, err = export(*options)
    assert code == 2
    assert message in err


def test_a_witness_is_shown_and_runs_again(files, export) -> None:
    code, out, _ = export("--prove", "full")
    assert code == 0
    assert "layers, on the calibration data" in out
    bundle = read_bundle(files / "b")
    assert [row["node"] for row in bundle.report["layers"]] == ["n1", "n3"]
    rows = [row for row in bundle.report["overflow"] if row["status"] == "witnessed"]
    for row in rows:
        recording = emulate(bundle.program, witness_events(bundle.program, row), "all", states=True)
        assert (excess(bundle.program, recording, row["node"], row["neuron"], row["event"])[-1] > 0).all()
    assert rows and out.count("witnessed") >= len(rows)
    assert "overflow" not in json.loads(export("--prove", "off", "--force", "--json", "-")[1])


def test_data_that_leave_a_layer_silent_are_warned_of(files, export) -> None:
    np.savez(files / "x.npz", input=binary(20, 24, 12, rate=0.002))
    code, out, _ = export()
    assert code == 0
    assert "warning: 'n1' spikes only 1 times on the calibration data" in " ".join(out.split())


@pytest.mark.parametrize(
    ("given", "expected"), [("4", 4), ("fc1=4,fc2=8", {"fc1": 4, "fc2": 8}), ("a=b=2", {"a=b": 2}), ("lif1=4:2", {"lif1": (4, 2)})]
)
def test_bits_of_all_layers_or_of_some(given: str, expected: object) -> None:
    assert parse_bits(given) == expected


@pytest.mark.parametrize("given", ["", "9", "0", "fc1", "fc1=", "fc1=9", "fc1=4,", "=4", "fc1=4:2:1", "4.0", "-1", "fc1=four"])
def test_what_are_no_bits_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(InputError, match=r"--weight-bits .*: write a number 1 to 8 .*, as fc1=4,fc2=8"):
        parse_bits(given)
