"""`snnfuse board` and a bundle's run_on_board.py, where no board is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_calls import FOR, Cli, assert_error
from safetensors.numpy import load_file, save_file

from snnfuse.export.bundle.board_script import SCRIPT
from snnfuse.export.bundle.content import write_manifest
from snnfuse.hardware.backends import board
from snnfuse.hardware.files import sha256

STAND_IN = Path(__file__).parents[2] / "helpers" / "lava_loihi_stand_in"


@pytest.fixture
def bundle(snn: Cli, graph: Path, calib: Path) -> Path:
    assert snn("export", graph, *FOR, "-o", "b").code == 0
    return Path("b").resolve()


@pytest.fixture
def no_lava(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator is quicker than Lava."""

    def missing() -> None:
        raise board.EnvironmentProblem("Lava is not installed")

    monkeypatch.setattr(board, "require_lava", missing)


def edit(bundle: Path, name: str) -> None:
    """Make the manifest agree with a file that was changed."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = sha256(bundle / name)
    write_manifest(bundle, manifest)


def run_script(bundle: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([path, *sys.path])}
    script = [sys.executable, str(bundle / "run_on_board.py"), *arguments]
    return subprocess.run(script, capture_output=True, text=True, cwd=bundle.parent.parent, env=environment)


def test_the_script_runs_the_cpu_and_says_so(bundle: Path, lava: None) -> None:
    done = run_script(bundle, "--json", "-")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["equal"] and not figures["on_board"] and figures["backend"] == "lava" and figures["compared"] == 12 * 10 * 3
    assert "no board was used: lava-loihi" in figures["about"] and done.stderr.splitlines()[-1] == "EQUAL"


def test_the_script_takes_the_board_where_the_package_is(bundle: Path, lava: None) -> None:
    """A stand-in for the package: no chip is involved."""
    done = run_script(bundle, "--json", "-", path=str(STAND_IN))
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["equal"] and figures["on_board"] and figures["backend"] == "loihi2"
    (run,) = figures["measured"]
    assert run["profilers"].startswith("STAND-IN") and (run["step_us"], run["total_w"], run["static_w"]) == (8.0, 0.4, 0.2)
    assert run["syn_ops"] == {"all": 400 / run["steps"], "busiest": 300 / run["steps"], "cores": 2} and "vddm_w" not in run
    row = json.loads((bundle.parent.parent / "b-row.json").read_text())
    (stage,) = row["stages"]
    assert stage["measured"] == figures["measured"] and stage["predicted"] == figures["predicted"] and stage["steps"] == 12
    low, high = stage["predicted"]["free-running"]["step_us_interval"]
    assert low < stage["predicted"]["free-running"]["step_us"] < high and "b-row.json" in done.stderr and "8" in done.stderr


def test_the_script_without_snnfuse_says_what_is_missing(bundle: Path) -> None:
    done = subprocess.run([sys.executable, "-I", "-S", str(bundle / "run_on_board.py")], capture_output=True, text=True)
    assert done.returncode == 6 and done.stderr.startswith("error: snnfuse cannot be imported by")


def test_spikes_that_differ_end_with_1(snn: Cli, bundle: Path, no_lava: None) -> None:
    assert snn("board", "b").out.splitlines()[-1] == "EQUAL"
    arrays = load_file(bundle / "golden/expected.safetensors")
    (name,) = arrays
    arrays[name][3, 2, 1] ^= True
    save_file(arrays, bundle / "golden/expected.safetensors")
    edit(bundle, "golden/expected.safetensors")
    result = snn("board", "b", "--json", "-")
    assert result.code == 1 and json.loads(result.out)["mismatches"] == 1
    assert "time step 3, sample 2" in result.err and result.err.splitlines()[-1] == "DIFFERENT"


def test_verify_knows_the_script(snn: Cli, bundle: Path, no_lava: None) -> None:
    assert "run_on_board.py" in json.loads((bundle / "manifest.json").read_text())["files"]
    (bundle / "run_on_board.py").write_text(SCRIPT + "print('more')\n")
    for command in ("verify", "board"):
        assert "run_on_board.py: changed after the export" in "".join(snn(command, "b")[1:])
    edit(bundle, "run_on_board.py")
    for command in ("verify", "board"):
        result = snn(command, "b")
        assert result.code == 1 and "run_on_board.py is 'another script'" in result.out + result.err


def test_bundles_of_other_targets_have_no_script(snn: Cli, graph: Path, calib: Path, no_lava: None) -> None:
    assert snn("export", graph, "--target", "lava", "--calib", "calib.npz", "-o", "l").code == 0
    assert not Path("l/run_on_board.py").exists() and snn("board", "l").code == 0


def test_places_that_contradict_each_other(snn: Cli, bundle: Path) -> None:
    assert_error(snn("board", "b", "--partition", "p", "--ethernet", "a"), 2, "partition and ethernet name different places")
    assert_error(snn("board", "nowhere"), 2, "nowhere: no such folder")
