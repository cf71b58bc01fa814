"""The command line as a user meets it: help, what an export writes where, doctor and demo."""

import json
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import get_args

import click
import nir
import numpy as np
import pytest
import torch
from cli_calls import GOOD, Cli, assert_error

from snnfuse import cli
from snnfuse.commands import export
from snnfuse.commands import map as place
from snnfuse.export.bundle.bundle import read_bundle
from snnfuse.export.quantization import quantize_network
from snnfuse.export.targets import TARGETS
from snnfuse.hardware import chip
from snnfuse.hardware.backends.registry import BACKENDS
from snnfuse.hardware.chip.splitting import Rule
from snnfuse.hardware.errors import DataWarning
from snnfuse.hardware.ir.lif import Reset
from snnfuse.testing import settings


def test_help_needs_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from snnfuse.cli import load_command, run\n"
        "assert run(lambda: load_command('export'), 'snnfuse-export', ['--help']) == 0\n"
        "heavy = {'numpy', 'torch', 'scipy', 'nir', 'h5py', 'lava', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--target [loihi2|lava|nir|netx]" in done.stdout


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "snnfuse", "ops", "nonsense-op"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("error: no row is called"), done.stderr


def test_warnings_of_ours_are_said_once_in_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def command() -> None:
        for number in (1, 1, 2):
            warnings.simplefilter("always")  # as libraries do
            warnings.warn(f"files: {number} of\n2 are odd", DataWarning, stacklevel=2)
        warnings.warn("of a library", UserWarning, stacklevel=2)

    with pytest.warns(UserWarning, match="of a library") as others:
        assert cli.run(lambda: command, "x", []) == 0
    assert capfd.readouterr().err.splitlines() == ["warning: files: 1 of 2 are odd", "warning: files: 2 of 2 are odd"]
    assert len(others) == 1


def test_help_answers_in_150_ms() -> None:
    command = Path(sys.executable).with_name("snnfuse-export")
    seconds = []
    for _ in range(5):
        before = os.times()
        subprocess.run([command, "--help"], check=True, capture_output=True)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(seconds) < 0.15  # of the processor


def test_importing_snnfuse_imports_nothing_heavy() -> None:
    script = "import sys, snnfuse; assert not {'numpy', 'torch', 'nir', 'lava', 'click'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_choices_are_those_of_the_library() -> None:
    assert (export.TARGETS, export.RESETS) == (tuple(TARGETS), get_args(Reset))
    assert (place.BOARDS, place.RULES) == (tuple(chip.BOARDS), get_args(Rule))
    assert settings.BACKENDS == tuple(BACKENDS)


def test_every_command_is_there(snn: Cli) -> None:
    assert snn("--help").code == 0
    for name in cli.COMMANDS:
        result = snn(name, "--help")
        assert result.code == 0 and f"Usage: snnfuse {name}" in result.out


@pytest.mark.parametrize("target", ["loihi2", "lava"])
def test_export_simulate_verify(snn: Cli, graph: Path, calib: Path, target: str) -> None:
    exported = snn("export", "-v", graph, "--target", target, "--calib", calib)
    assert exported.code == 0, exported.err
    assert f"bundle: net-{target}" in exported.out and "ledger: " in exported.out and "accuracy on these 10 samples" in exported.out
    assert ("cores of oheo-gulch" in exported.out) == (target == "loihi2")
    assert ("resources" in read_bundle(f"net-{target}").manifest) == (target == "loihi2")

    simulated = snn("simulate", f"net-{target}", "--input", calib, "-o", "out.npz", "--json", "-")
    assert simulated.code == 0, simulated.err
    figures = json.loads(simulated.out)
    with np.load("out.npz") as arrays, np.load(calib) as given:
        assert arrays["output.spikes"].shape == (12, 10, 3) and arrays["output.spikes"].any()
        np.testing.assert_array_equal(arrays["output.classes"], arrays["output.spikes"].sum(0).argmax(1))
        assert figures["accuracy"] == (arrays["output.classes"] == given["labels"]).mean()

    verified = snn("verify", f"net-{target}")
    assert verified.code == 0, verified.err
    assert verified.out.endswith("PASSED\n")
    assert "emulator: 0 of 360 spikes differ" in verified.out and "lava: 0 of 360 spikes differ" in verified.out


def test_json_is_alone_on_stdout(snn: Cli, graph: Path, calib: Path) -> None:
    result = snn("export", graph, "--target", "loihi2", "--calib", calib, "--json", "-")
    content = json.loads(result.out)
    assert content["target"] == "loihi2" and content["bundle"] == "net-loihi2"
    assert content["resources"]["cores"] >= 1 and content["calibration_accuracy"]["samples"] == 10
    assert content["ledger"] == read_bundle("net-loihi2").report["ledger"]
    assert "bundle: net-loihi2" in result.err
    assert snn("verify", "net-loihi2", "--quiet", "--json", "result.json") == (0, "", "")
    assert json.loads(Path("result.json").read_text())["passed"] is True


def test_target_nir_holds_a_plain_graph(snn: Cli, models: None) -> None:
    result = snn("export", "zero.pt", "--model", "users_models:zero", "--target", "nir", "--sample", "4")
    assert result.code == 0, result.err
    assert sorted(p.name for p in Path("zero-nir").iterdir()) == ["graph.nir", "manifest.json", "report.html", "report.json"]
    weight = torch.load("zero.pt", weights_only=True)["fc.weight"]
    np.testing.assert_array_equal(nir.read("zero-nir/graph.nir").nodes["fc"].weight, weight.double().numpy())
    verified = snn("verify", "zero-nir")
    assert verified.code == 0 and "holds a graph only" in verified.out


def test_reset_by_subtraction_stays_and_is_tier_b_assumed(snn: Cli, models: None, calib: Path) -> None:
    arguments = ("export", "-v", "subtract.pt", "--model", "users_models:subtract", "--calib", calib)
    done = snn(*arguments, "--target", "loihi2")
    assert done.code == 0 and re.search(r"lif .* B +assumed", done.out), done.out + done.err
    bundle = read_bundle("subtract-loihi2")
    assert bundle.program.nodes["lif"].reset == "subtract_undelayed" and not [
        e for e in bundle.report["ledger"] if "becomes" in e["change"]
    ]
    assert (bundle.report["tiers"]["lif"], bundle.report["tier_status"]["lif"]) == ("B", "assumed")
    assert ">B</td><td>assumed<" in Path("subtract-loihi2/report.html").read_text()
    assert snn(*arguments, "--target", "lava").code == 0


def test_stock_neurons_only_need_a_decision_before_anything_is_calibrated(
    snn: Cli, models: None, calib: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("export", "subtract.pt", "--model", "users_models:subtract", "--calib", calib, "--target", "loihi2", "--tier", "A")
    with monkeypatch.context() as without:
        without.setattr(quantize_network, "search_all", lambda *_: pytest.fail("calibration started"))
        assert_error(
            snn(*arguments, "--quiet"),
            3,
            "lif (subtract_undelayed)",
            "Ways out: take microcode too, with --tier B on --target loihi2",
            "fine-tuning",
            "--reset zero",
        )
    assert not Path("subtract-loihi2").exists()
    assert_error(snn(*arguments, "--reset", "subtract_delayed", "--quiet"), 3, "lif (subtract_delayed)", "--reset zero")
    converted = snn(*arguments, "--reset", "zero")
    assert converted.code == 0, converted.err
    assert re.search(r"\d+ of 10\s+decided\s+classes\s+change", converted.out)  # measured and printed, without labels too
    assert read_bundle("subtract-loihi2").report["tiers"]["lif"] == "A"
    (entry,) = (e for e in read_bundle("subtract-loihi2").report["ledger"] if e["change"].endswith("becomes zero"))
    assert entry["node"] == "lif" and re.fullmatch(r"[1-9]\d* spikes differ where .* has [1-9].*", entry["effect"])


def test_strict_refuses_any_change_and_shows_it(snn: Cli, graph: Path, calib: Path) -> None:
    result = snn("export", graph, "--target", "loihi2", "--calib", calib, "--strict")
    assert result.code == 3 and "changes of meaning" in result.err and "time step dt" in result.err
    assert not Path("net-loihi2").exists()


def test_dry_run_writes_nothing(snn: Cli, graph: Path, calib: Path) -> None:
    before = sorted(os.listdir())
    result = snn("export", graph, "--target", "loihi2", "--calib", calib, "--dry-run")
    assert result.code == 0 and "nothing was written" in result.out
    assert sorted(os.listdir()) == before


def test_too_large_for_the_board(snn: Cli, graph: Path, calib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(chip.BOARDS, "oheo-gulch", chip.Board("oheo-gulch", 1, {"cores": 1, "neurons": 2}))
    refused = snn("export", graph, "--target", "loihi2", "--calib", calib)
    assert_error(refused, 4, "layer", "2 cores for 3 neurons (2 neurons per core", "1 more than the 1")
    assert not Path("net-loihi2").exists()


def test_a_terminated_export_leaves_nothing(snn: Cli, graph: Path, calib: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from snnfuse import cli\n"
        "from snnfuse.export.bundle import content as bundle_content\n"
        "bundle_content.save_program = lambda *args: os.kill(os.getpid(), signal.SIGTERM)\n"
        f"sys.argv = ['snnfuse', 'export', {str(graph)!r}, '--target', 'lava', '--calib', {str(calib)!r}]\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert sorted(os.listdir()) == ["calib.npz", "net.nir"]


def test_a_graph_needs_no_sample_for_target_nir(snn: Cli, graph: Path) -> None:
    assert snn("export", graph, "--target", "nir").code == 0
    verified = snn("verify", "net-nir")
    assert (
        verified.code == 0
        and verified.out.splitlines()[-1].startswith("NOT RUN: only manifest and hashes were checked")
        and "PASSED" not in verified.out
    )


def test_strict_and_quiet_say_the_first_changes(snn: Cli, graph: Path, calib: Path) -> None:
    result = snn(*GOOD, "--strict", "--quiet")
    assert_error(result, 3, "--strict: ", "changes of meaning (")
    assert len(result.err.splitlines()) == 1


STATIC = """
class Static(Net):
    def forward(self, x):
        mem, out = self.lif.init_leaky(), []
        for _ in range(5):
            spikes, mem = self.lif(self.fc(x), mem)
            out.append(spikes)
        return torch.stack(out)


def static():
    return Static("zero")
"""


def test_a_static_input_needs_no_time_steps_and_the_error_says_so(snn: Cli, models: None, calib: Path) -> None:
    with Path("users_models.py").open("a") as file:
        file.write(STATIC)
    sys.modules.pop("users_models", None)
    arguments = ("export", "zero.pt", "--model", "users_models:static", "--target", "lava", "--calib", calib)
    said = "forward loops over 5 time steps of its own, and --time-steps 12 says otherwise; leave --time-steps out"
    assert_error(snn(*arguments, "--time-steps", "12"), 2, said)
    assert snn(*arguments).code == 0


def test_doctor_names_what_is_installed(snn: Cli) -> None:
    result = snn("doctor", "--json", "-")
    content = json.loads(result.out)  # one document, with Lava or without
    assert content["numpy"] == np.__version__ and content["python"] == ".".join(map(str, sys.version_info[:3]))
    assert result.code == (0 if content["lava-nc"] else 6)


def test_the_demo_ends_with_equal_backends(snn: Cli) -> None:
    result = snn("demo", "--epochs", 1, "--lava-samples", 2, "-o", "new/demo", "--json", "-")
    assert result.code == 0, result.err
    figures = json.loads(result.out)
    assert figures["mismatches"] == 0 and all(c["values"] > 0 for c in figures["compared"].values())
    assert set(figures["compared"]) == {"spikes", "u", "v"}
    assert figures["test"]["samples"] == 360 and figures["lava_samples"]["samples"] == 2
    assert figures["lava_samples"]["lava"] == figures["lava_samples"]["emulator"]
    assert list(figures["seconds"]) == ["train", "export", "emulator", "lava"]
    assert read_bundle("new/demo/bundle").manifest["target"] == "loihi2"
    assert_error(snn("demo", "-o", "new/demo", "--quiet"), 2, "exists; use --force")
    exported = snn("export", "-v", "new/demo/model.pt", "--target", "lava", "--calib-samples", 8)  # the checkpoint names its data set
    assert exported.code == 0 and "calibrated on av-digits, train part: 8 samples" in exported.out
