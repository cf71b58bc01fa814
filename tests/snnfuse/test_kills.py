"""A command that is killed at any point loses nothing: what was there is there, what is new is whole, and the next run clears up."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_calls import GOOD, Cli

from snnfuse.export.bundle.bundle import read_bundle

POINTS = int(os.environ.get("SNNFUSE_KILLS", "50"))
COMMANDS = {
    "export": (*GOOD, "-o", "b", "--force"),
    "simulate": ("simulate", "b", "--input", "calib.npz", "-o", "out.npz", "--record", "all"),
    "verify": ("verify", "b", "--json", "result.json"),
    "train": ("train", "fd-fusion", "--data", "av-digits", "--preset", "small", "--epochs", "1", "-o", "m.pt"),
}
RUN = "from snnfuse.cli import main; main()"


def start(command: tuple[str, ...], temporary: Path) -> subprocess.Popen:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-c", RUN, *command], env={**os.environ, "TMPDIR": str(temporary)}, **quiet)


def is_whole(name: str) -> bool:
    """Whether the command's result is one that opens; none at all is as good where there was none."""
    if name in ("export", "verify"):
        read_bundle("b")
    if name == "simulate" and Path("out.npz").exists():
        with np.load("out.npz") as arrays:
            return all(arrays[key].size for key in arrays.files)
    if name == "train" and Path("m.pt").exists():
        from snnfuse.checkpoints.checkpoint import load_checkpoint

        load_checkpoint("m.pt")
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_kill_at_any_point_loses_nothing(name: str, snn: Cli, graph: Path, calib: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    assert snn(*GOOD, "-o", "b").code == 0
    began = time.monotonic()
    whole = start(COMMANDS[name], temporary)
    assert whole.wait(300) == 0
    took, points = time.monotonic() - began, random.Random(0)
    for _ in range(POINTS):
        process = start(COMMANDS[name], temporary)
        time.sleep(points.uniform(0, took))
        process.send_signal(points.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        process.wait(60)
        assert is_whole(name)
    assert start(COMMANDS[name], temporary).wait(300) == 0
    expected = {"b", "net.nir", "calib.npz", "t", *{"simulate": ["out.npz"], "verify": ["result.json"], "train": ["m.pt"]}.get(name, ())}
    left = {path.name for path in tmp_path.iterdir()} - expected
    assert not {name for name in left if not name.startswith("lightning")}, left
    wait_until = time.monotonic() + 10
    while time.monotonic() < wait_until and [path for path in temporary.iterdir() if path.name.startswith("snnfuse-lava-")]:
        time.sleep(0.1)
    assert not [path.name for path in temporary.iterdir() if path.name.startswith("snnfuse-lava-")]
