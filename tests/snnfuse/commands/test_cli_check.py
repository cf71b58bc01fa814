"""`snnfuse check`: what would become of a network, without calibration and without a bundle."""

import json
from pathlib import Path

import numpy as np
import pytest
from cli_calls import Cli


def test_every_layer_of_a_graph_and_whether_it_fits(snn: Cli, graph: Path) -> None:
    result = snn("check", graph)
    assert result.code == 0, result.err
    head, row, *rest = result.out.splitlines()
    assert head.split() == ["layer", "neurons", "meaning", "tier", "status", "cores"]
    assert row.split()[:4] == ["lif", "3", "exact", "A"] and row.split()[-1] == "1"
    assert "fits: 1 of the 120 cores of oheo-gulch" in rest and any("on random spikes" in line for line in rest)
    assert list(graph.parent.iterdir()) == [graph]


@pytest.mark.parametrize("model", [("subtract.pt", "--model", "users_models:subtract"), ("users_models:subtract",)])
def test_a_network_of_ones_own_in_json(snn: Cli, models: None, model: tuple[str, ...]) -> None:
    result = snn("check", *model, "--sample", "4", "--json", "-")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert [(row["name"], row["neurons"], row["tier"], row["cores"]) for row in found["layers"]] == [("lif", 3, "B", 1)]
    assert (found["board"], found["cores"], found["of"], found["samples"]) == ("oheo-gulch", 1, 120, "random spikes")


def test_what_is_approximate_says_why(snn: Cli, graph: Path, calib: Path) -> None:
    result = snn("check", graph, "--calib", calib)
    assert result.code == 0 and "4 samples of" in result.out
    assert "time step" in result.out  # of a foreign graph without a dt, which belongs to no layer


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("subtract.pt", "--model", "users_models:subtract", "--sample", "4", "--tier", "A"), 3, "only stock neurons"),
        (("users_models:subtract",), 2, "give samples, or their shapes (--calib FILE.npz, --data NAME or --sample SHAPE)"),
        (("users_models:nothing", "--sample", "4"), 2, "users_models has no nothing"),
        (("missing.nir",), 2, "missing.nir"),
    ],
)
def test_what_cannot_be_exported_ends_as_an_export_does(snn: Cli, models: None, arguments: tuple[str, ...], code: int, part: str) -> None:
    result = snn("check", *arguments)
    assert result.code == code and part in result.err and len(result.err.splitlines()) == 1


def test_a_board_that_is_too_small(snn: Cli, graph: Path, tmp_path: Path) -> None:
    (tmp_path / "small.json").write_text(json.dumps({"name": "small", "chips": 1, "neurons": 2, "cores": 1}))
    result = snn("check", graph, "--board", "small.json")
    assert result.code == 4 and "small" in result.err, (result.out, result.err)


def test_the_number_of_samples_does_not_matter_to_what_is_said(snn: Cli, graph: Path, calib: Path) -> None:
    loaded = np.load(calib)
    np.savez("few.npz", x=loaded["x"][:, :4])
    first, second = (json.loads(snn("check", graph, "--calib", name, "--json", "-").out) for name in (calib, "few.npz"))
    assert first["layers"] == second["layers"]
