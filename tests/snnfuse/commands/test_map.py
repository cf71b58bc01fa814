"""`snnfuse map`: tables, JSON, what-if and refusals, and the page of the documentation."""

import json
from pathlib import Path

import nir
import numpy as np
import pytest
from cli_calls import GOOD, Cli, assert_error

from benchmarks.pilotnet import MEASURED, PROGRAMS, compare_cores, pilotnet
from snnfuse.commands.chip_page import page
from snnfuse.export.bundle.bundle import read_bundle
from snnfuse.export.bundle.consistency import check_consistency
from snnfuse.hardware import Connection, Dense, Lif, Output, Program, SpikeInput
from snnfuse.hardware.chip import LIMITS, check_chip, find_board
from snnfuse.hardware.ir.storage import save_program

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PilotNet on disk."""
    folder = tmp_path_factory.mktemp("pilotnet")
    save_program(pilotnet(), folder)
    return folder


@pytest.mark.parametrize("name", ["pilotnet-snn", "pilotnet-sdnn", "yolo-kp"])
def test_published_cores_are_predicted_layer_by_layer(name: str) -> None:
    found = compare_cores(name)
    assert tuple(row["predicted"] for row in found["layers"]) == MEASURED[name]
    assert (found["predicted"], found["error"]) == (sum(MEASURED[name]), 0)


def test_a_network_that_set_no_limit_is_predicted_within_one_core() -> None:
    found = compare_cores("oxford")
    assert (found["predicted"], found["measured"]) == (4, 5)


def test_the_page_quotes_the_benchmark_and_the_data() -> None:
    text = (ROOT / "docs/chip.md").read_text(encoding="utf-8")
    assert text == page(find_board("oheo-gulch")), "run: snnfuse map --limits > docs/chip.md"
    for name in PROGRAMS:
        found = compare_cores(name)
        assert f"| {found['predicted']} | {found['measured']} | {found['tight']} | {found['least']} |" in text
    assert all(f"| {name} | " in text for name in LIMITS)


def test_a_bundle_is_mapped(snn: Cli, graph: Path, calib: Path) -> None:
    assert snn(*GOOD).code == 0
    done = snn("map", "net-loihi2", "--input", calib)
    assert done.code == 0, done.err
    for part in ("tier", "bound by", "modelled: no board was available", "memory x0.5", "measured on the given inputs", "from the host"):
        assert part in done.out, part
    figures = json.loads(snn("map", "net-loihi2", "--input", calib, "--json", "-").out)
    assert figures["traffic"]["measured"] and figures["traffic"]["messages_per_step"]["between_cores"] == 0  # one layer
    with np.load(calib) as arrays:
        assert figures["traffic"]["messages_per_step"]["from_host"] == pytest.approx(arrays["x"].sum() / 120)
    assert figures["layers"][0]["tier"] == "A" and figures["cores"] == 1


def test_what_if(snn: Cli, stored: Path) -> None:
    def mapped(*options: object) -> dict:
        done = snn("map", stored, "--json", "-", *options)
        assert done.code == 0, done.err
        return json.loads(done.out)

    assert mapped()["cores"] == 74 and mapped("--split", "tight")["cores"] == 52
    fewer = mapped("--weight-bits", 4, "--board", "kapoho-point")
    assert (fewer["cores"], fewer["weight_bits"], fewer["board"]["cores"]) == (72, 4, 960)
    assert mapped()["sensitivity"]["neurons x2"] < 74 < mapped()["sensitivity"]["neurons x0.5"]
    assert len(mapped()["traffic"]["chip_of"]) == 74


def test_balance_says_the_gain(snn: Cli, stored: Path) -> None:
    done = snn("map", stored, "--balance", "--board", "kapoho-point", "--json", "-")
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    found, step = figures["balanced"], figures["step"]
    assert found["before"] == step and found["gain"] == pytest.approx(step["us"] / found["after"]["us"]) and found["gain"] > 1
    assert figures["cores"] > 74 and found["after"]["core_us"] < step["core_us"] and "times as fast" in done.err
    plain = json.loads(snn("map", stored, "--board", "kapoho-point", "--json", "-").out)
    assert plain["step"] == step and "balanced" not in plain and plain["cores"] == 74
    assert plain["step"]["layer"] == "conv5" and plain["sensitivity"]["memory 16000 words"] == 67


def test_a_board_file_decides(snn: Cli, stored: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"name": "mine", "chips": 1, "cores": 60}')
    assert snn("map", stored, "--board", "mine.json", "--split", "tight").code == 0
    refused = snn("map", stored, "--board", "mine.json")
    assert_error(refused, 4, "'conv1' takes 25 cores", "14 more than the 60 of mine", "--board kapoho-point", "--split tight fits with 52")
    (tmp_path / "mine.json").write_text('{"name": "mine", "chips": 1, "cores": 0}')
    assert_error(snn("map", stored, "--board", "mine.json"), 2, "mine.json", "cores: impossible")


def test_an_export_for_a_board_file_verifies(snn: Cli, graph: Path, calib: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"name": "mine", "chips": 1, "neurons": 2}')
    exported = snn(*GOOD, "--board", "mine.json")
    assert exported.code == 0 and "2 of the 120 cores of mine" in exported.out, exported.err
    assert snn("verify", "net-loihi2").code == 0


@pytest.mark.parametrize(
    "arguments, parts",
    [
        (("map", "nothing"), ("nothing", "neither a bundle nor a folder")),
        (("map", "."), ("neither a bundle nor",)),
        (("map",), ("BUNDLE_OR_PROGRAM",)),
    ],
)
def test_a_path_without_a_program_is_refused(snn: Cli, arguments: tuple, parts: tuple) -> None:
    done = snn(*arguments)
    assert done.code == 2 and all(part in done.err for part in parts), done.err


def test_fan_in_beyond_a_core_exits_with_4(snn: Cli, tmp_path: Path) -> None:
    nodes = {"x": SpikeInput((9000,)), "wide": Lif((2,), 4095, 0, 1)}
    weights = np.random.default_rng(0).integers(1, 250, (2, 9000), np.int32)
    save_program(Program(nodes, (Connection("x", "wide", Dense(weights)),), {"output": Output("wide")}), tmp_path / "wide")
    assert_error(snn("map", "wide"), 4, "layer 'wide' takes 9000, 808 more than 8192 input axons per core (assumed)", "fewer sources")


def test_a_layer_larger_than_a_chip_is_named(snn: Cli, tmp_path: Path) -> None:
    nodes = {"x": SpikeInput((1,)), "big": Lif((600_000,), 4095, 0, 1)}
    program = Program(nodes, (Connection("x", "big", Dense(np.ones((600_000, 1), np.int32))),), {"output": Output("big")})
    save_program(program, tmp_path / "big")
    assert_error(snn("map", "big"), 4, "'big' takes 147 cores for 600000 neurons", "27 more than the 120", "--board kapoho-point")
    assert check_chip(program, "kapoho-point").chips == 2


def test_an_export_takes_the_boards_axons_before_it_chooses_integers(snn: Cli, tmp_path: Path) -> None:
    """Two groups of 6,000 sources take more input axons than a core has; as a program that was made for no board they are refused."""
    rng = np.random.default_rng(0)
    weights, ones = rng.standard_t(2, (10, 6000)) * 0.6 / np.sqrt(6000), np.ones(10)
    lif = nir.LIF(tau=1e-3 * ones, r=10 * ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    nir.write(tmp_path / "wide.nir", nir.NIRGraph.from_list(nir.Linear(weights), lif))
    np.savez(tmp_path / "x.npz", input=(rng.random((20, 8, 6000)) < 0.05).astype(np.float32))
    (tmp_path / "mine.json").write_text(json.dumps({"name": "mine", "chips": 1, "axons_in": 4096}))
    common = ("export", "-v", "wide.nir", "--calib", "x.npz", "--prove", "off")
    assert snn(*common, "--target", "lava", "-o", "lava").code == 0
    assert_error(snn("map", "lava", "--quiet"), 4, "more than 8192 input axons per core")
    for board in ("oheo-gulch", "mine.json"):
        done = snn(*common, "--target", "loihi2", "--board", board, "--force", "-o", "placed")
        assert done.code == 0 and "relays sum its" in done.out, done.out + done.err
        bundle = read_bundle("placed")
        check_consistency(bundle)
        assert max(layer["axons_in"] for layer in bundle.manifest["resources"]["layers"]) <= 4096
        plain = read_bundle("lava").golden.spikes["output"]
        assert plain.any() and (bundle.golden.spikes["output"] == plain).all()
