"""`snnfuse verify` and `snnfuse simulate`: what they say of a bundle, and what they write where."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_calls import Cli, Result, assert_error

from snnfuse.export.bundle.content import write_manifest
from snnfuse.hardware.backends.registry import BACKENDS
from snnfuse.hardware.errors import EnvironmentProblem


def test_lava_and_emulator_give_the_same_arrays(snn: Cli, graph: Path, calib: Path) -> None:
    snn("export", graph, "--target", "lava", "--calib", calib, "-o", "b")
    for backend in BACKENDS:
        result = snn("simulate", "b", "--backend", backend, "--input", calib, "-o", f"{backend}.npz")
        assert result.code == 0, result.err
    with np.load("emulator.npz") as a, np.load("lava.npz") as b:
        np.testing.assert_array_equal(a["output.spikes"], b["output.spikes"])


def test_a_changed_bundle_fails_verification(snn: Cli, graph: Path, calib: Path) -> None:
    snn("export", graph, "--target", "loihi2", "--calib", calib, "-o", "b")
    with Path("b/program.safetensors").open("ab") as file:
        file.write(b"\0")
    result = snn("verify", "b")
    assert result.code == 1 and result.out.endswith(
        "program.safetensors: changed after the export: its sha256 is not the manifest's\nFAILED\n"
    )


def test_wrong_golden_spikes_fail_verification(snn: Cli, graph: Path, calib: Path) -> None:
    """Someone changes what is expected, and the hashes with it."""
    from safetensors.numpy import load_file, save_file

    from snnfuse.hardware.files import sha256

    snn("export", graph, "--target", "loihi2", "--calib", calib, "-o", "b")
    arrays = load_file("b/golden/expected.safetensors")
    (name,) = arrays
    arrays[name][3, 2, 1] ^= True
    save_file(arrays, "b/golden/expected.safetensors")
    manifest = json.loads(Path("b/manifest.json").read_text())
    manifest["files"]["golden/expected.safetensors"] = sha256(Path("b/golden/expected.safetensors"))
    write_manifest(Path("b"), manifest)
    result = snn("verify", "b")
    assert result.code == 1 and result.out.endswith("FAILED\n")
    assert "emulator: 1 of 360 spikes differ" in result.out and "neuron 1, time step 3, sample 2" in result.out


def test_verify_without_lava_never_passes(snn: Cli, graph: Path, calib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise EnvironmentProblem("Lava is not installed")

    snn("export", graph, "--target", "loihi2", "--calib", calib, "-o", "b")
    monkeypatch.setattr("snnfuse.hardware.backends.lava.simulate.require_lava", missing)
    result = snn("verify", "b")
    assert result.code == 6 and "PASSED" not in result.out
    assert result.err == "error: Lava is not installed\n"


def test_lava_past_its_time_limit(snn: Cli, graph: Path, calib: Path) -> None:
    snn("export", graph, "--target", "loihi2", "--calib", calib, "-o", "b")
    assert_error(snn("simulate", "b", "--backend", "lava", "--input", calib, "--timeout", "0.01"), 6)


def in_shell(command: str) -> Result:
    """`snnfuse ...` as a shell runs it, with pipes and redirections."""
    script = command.replace("snnfuse", str(Path(sys.executable).with_name("snnfuse")))
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {script}"], capture_output=True, text=True)
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "arguments, streams, code, err",
    [
        ("verify b", "| true", 141, ""),
        ("--help", "| true", 141, ""),
        ("verify b --json -", "| true", 141, None),
        ("verify b", "> /dev/full", 2, "error: cannot write: No space left on device\n"),
        ("--help", "> /dev/full", 2, "error: cannot write: No space left on device\n"),
        ("verify b --json -", "> /dev/full", 2, None),
        ("verify b --json /dev/full", "", 2, "error: /dev/full: cannot be written (No space left on device)\n"),
        ("verify b", ">&-", 0, ""),
        ("verify b", "2>&-", 0, ""),
        ("verify b", "<&- >&- 2>&-", 0, ""),
        ("verify nothing", "2>&-", 2, ""),
        ("verify nothing", "2> /dev/full", 2, ""),
    ],
)
def test_an_output_that_cannot_be_written_is_no_failed_verification(
    snn: Cli, graph: Path, arguments: str, streams: str, code: int, err: str | None
) -> None:
    assert snn("export", graph, "--target", "nir", "-o", "b").code == 0
    late = "sleep 0.3; " if streams.startswith("|") else ""  # until the reader is gone
    result = in_shell(f"({late}snnfuse {arguments}) {streams}")
    assert result.code == code and "Traceback" not in result.err
    assert err is None or result.err == err


def test_a_file_that_the_manifest_does_not_list_fails_verification(snn: Cli, graph: Path) -> None:
    snn("export", graph, "--target", "nir", "-o", "b")
    assert snn("verify", "b", "--json", "b/result.json").code == 2  # it would be such a file
    Path("b/extra").write_text("")
    result = snn("verify", "b")
    assert result.code == 1 and result.out.endswith("does not list: extra\nFAILED\n")


def test_verify_and_simulate_from_inside_the_bundle(snn: Cli, graph: Path, calib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snn("export", graph, "--target", "lava", "--calib", calib, "-o", "b")
    monkeypatch.chdir("b")
    assert snn("simulate", ".", "--input", calib, "-o", "../out.npz").code == 0
    assert_error(snn("simulate", ".", "--input", calib, "-o", "out.npz"), 2, "into a bundle")
    assert snn("verify", ".").code == 0


def test_simulate_writes_nothing_over_its_input(snn: Cli, graph: Path, calib: Path) -> None:
    snn("export", graph, "--target", "lava", "--calib", calib, "-o", "b")
    before = calib.read_bytes()
    for options in (("-o", calib), ("--json", calib), ("-o", "x", "--json", "x"), ("-o", "no/x"), ("-o", "b"), ("-o", 300 * "x")):
        assert_error(snn("simulate", "b", "--input", calib, *options), 2, "written")
    assert calib.read_bytes() == before and sorted(os.listdir()) == ["b", "calib.npz", "net.nir"]
