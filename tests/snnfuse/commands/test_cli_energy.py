"""`snnfuse energy`, and what an export says of it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_calls import FOR, Cli, assert_error

from snnfuse.export import read_bundle
from snnfuse.hardware.energy import estimate_energy

SAID = "modelled, not measured; no board was available"


@pytest.fixture
def bundle(snn: Cli, graph: Path, calib: Path) -> Path:
    assert snn("export", graph, *FOR, "-o", "b").code == 0
    return Path("b")


def test_ranges_of_given_inputs(snn: Cli, bundle: Path) -> None:
    result = snn("energy", "b", "--input", "calib.npz", "--json", "-")
    assert result.code == 0, result.err
    figures, program = json.loads(result.out), read_bundle(bundle).program
    with np.load("calib.npz") as given:
        expected = estimate_energy(program, program.encode(given["x"]))
    assert figures.pop("input") == "calib.npz" and figures.pop("measured_here")["us"] > 0
    assert figures == json.loads(json.dumps(expected.to_json()))
    assert figures["note"] == SAID and SAID in result.err
    assert result.err.count(" to ") > 10  # every figure is a range


def test_golden_inputs_are_the_default_and_stand_in_the_report(snn: Cli, bundle: Path) -> None:
    result = snn("energy", "b", "--json", "-")
    figures, report = json.loads(result.out), json.loads((bundle / "report.json").read_text())
    assert figures.pop("input") == "golden" and figures.pop("measured_here")["threads"] == 1 and figures == report["energy"]
    assert report["energy"]["note"] == SAID


def test_every_output_says_that_it_is_modelled(snn: Cli, bundle: Path) -> None:
    assert SAID in snn("energy", "b").out and SAID in snn("energy", "--help").out.replace("\n ", "")
    assert SAID in snn("export", "-v", "net.nir", *FOR, "-o", "again").out


def test_a_sentence_to_quote_is_printed_in_the_report_and_in_json(snn: Cli, bundle: Path) -> None:
    report = json.loads((bundle / "report.json").read_text())["energy"]
    said = " ".join(snn("energy", "b").out.split())
    page = " ".join((bundle / "report.html").read_text().split())
    for sentence in report["quote"].values():
        assert sentence in said and sentence in page
    assert "@software{snnfuse" in said and "busiest core: of layer" in said and "what decides the time of a step" in said


def test_every_constant_has_a_status_and_a_source(snn: Cli) -> None:
    result = snn("energy", "--constants", "--json", "-")
    found = json.loads(result.out)["constants"]
    assert result.code == 0 and found["time"]["barrier_us"]["status"] == "fitted"
    assert {constant["status"] for group in found.values() for constant in group.values()} == {
        "fitted", "scaled", "inherited", "documented", "assumed"
    }  # fmt: skip
    for group in found.values():
        assert all(name in result.err for name in group)
    assert_error(snn("energy"), 2, "Missing argument 'BUNDLE'")


def test_lava_bundles_have_no_board_but_an_estimate(snn: Cli, graph: Path, calib: Path) -> None:
    assert snn("export", graph, "--target", "lava", "--calib", "calib.npz", "-o", "l").code == 0
    assert "energy" not in json.loads(Path("l/report.json").read_text())
    assert SAID in snn("energy", "l", "--board", "kapoho-point").out


@pytest.mark.parametrize(
    "options, code, part",
    [
        (("--board", "no-board"), 2, "no-board"),
        (("--input", "nothing.npz"), 2, "nothing.npz: no such file"),
    ],
)
def test_options_that_cannot_be_meant(snn: Cli, bundle: Path, options: tuple[str, ...], code: int, part: str) -> None:
    assert_error(snn("energy", "b", *options), code, part)


def test_the_package_is_asked_for_by_name(snn: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("neurobench", "neurobench.metrics.static"):
        monkeypatch.setitem(sys.modules, name, None)
    result = snn("energy", "b", "--neurobench")
    assert result.code == 6 and "pip install 'snnfuse[neurobench]'" in result.err.splitlines()[-1]


def test_the_package_beside_ours(snn: Cli, bundle: Path) -> None:
    pytest.importorskip("neurobench", reason="the extra `neurobench` is not installed")
    figures = json.loads(snn("energy", "b", "--neurobench", "--json", "-").out)
    package = figures["neurobench_package"]
    assert package["effective_acs"] == figures["neurobench"]["effective_acs"] > 0


def test_a_bundle_without_a_program_is_refused(snn: Cli, graph: Path) -> None:
    assert snn("export", graph, "--target", "nir", "-o", "n").code == 0
    assert_error(snn("energy", "n"), 2, "holds no")
