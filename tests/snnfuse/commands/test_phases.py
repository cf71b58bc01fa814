"""A command is not silent for long, on a terminal and off one."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snnfuse.commands import phases
from snnfuse.commands.console import Console

LONGEST_S = 2.0


def test_a_phase_that_takes_its_time_is_one_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "SILENCE_S", 0.05)
    console = Console()
    with console.step("short"):
        pass
    phases.about_to_write()
    with console.step("choosing\nintegers"):
        time.sleep(0.4)
        console.say("half")
        time.sleep(0.2)
    out, err = capfd.readouterr()
    assert out == "half\n"
    first, second = err.splitlines()
    assert first.startswith("choosing integers ..") and first.endswith(". 0 s") and second.startswith("choosing integers .")
    assert [spent.step for spent in console.spent] == ["short", "choosing\nintegers"]


def test_quiet_is_quiet(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "SILENCE_S", 0.01)
    with Console(quiet=True).step("long"), Console(quiet=True).progress("longer") as told:
        time.sleep(0.1)
    assert told is None and capfd.readouterr() == ("", "")


def test_only_the_innermost_phase_writes_on_a_line_of_its_own(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "SILENCE_S", 0.05)
    with Console().step("outer"):
        time.sleep(0.2)
        with Console().progress("inner"):
            time.sleep(0.2)
    first, second = capfd.readouterr().err.splitlines()
    assert first.startswith("outer .") and second.startswith("inner .") and second.endswith(" 0 s")


def test_a_phase_is_said_before_torch_is_loaded() -> None:
    code = (
        "import sys\n"
        "from snnfuse.commands import phases\n"
        "phases.SILENCE_S = 1000\n"
        "with phases.Dots('reading'), phases.said_before_imports():\n"
        "    import json, colorsys\n"
        "    assert not phases._running[-1]._open\n"
        "    try: import lightning_that_is_not_there\n"
        "    except ImportError: assert not phases._running[-1]._open\n"
        "    sys.modules['torch._C'] = None\n"
        "    try: import torch\n"
        "    except ImportError: pass\n"
        "    assert phases._running[-1]._open\n"
        "assert not sys.meta_path[0].__class__.__name__.startswith('_Before')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.startswith("reading ."), done.stderr


def longest_gap(command: list[str], terminal: bool) -> tuple[float, str]:
    """Return the longest silence of a command after its first `LONGEST_S` seconds, in seconds, and all that it wrote."""
    read, write = pty.openpty() if terminal else os.pipe()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=write, stderr=write, close_fds=True)
    os.close(write)
    start = last = time.monotonic()
    longest, text = 0.0, b""
    while chunk := _read(read):
        now = time.monotonic()
        longest, last, text = max(longest, now - max(last, start + LONGEST_S)), now, text + chunk
    longest = max(longest, time.monotonic() - max(last, start + LONGEST_S))
    os.close(read)
    assert child.wait() == 0, text.decode()
    return longest, text.decode()


def _read(file: int) -> bytes:
    try:
        return os.read(file, 1 << 16)
    except OSError:  # what a terminal says at its end, on Linux
        return b""


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
def test_no_command_is_silent_for_two_seconds(
    tmp_path: Path, terminal: bool, lava: None, record_property: Callable[[str, object], None]
) -> None:
    snnfuse = [sys.executable, "-c", "from snnfuse.cli import main; main()"]
    checkpoint, bundle = str(tmp_path / "model.pt"), str(tmp_path / "bundle")
    commands = [
        ["train", "fd-fusion", "--data", "av-digits", "--epochs", "2", "-o", checkpoint],
        ["export", checkpoint, "--target", "loihi2", "-o", bundle],
        ["verify", bundle],
        ["diagnose", bundle],
        ["report", bundle, "--data", "av-digits", "-o", str(tmp_path / "report.html")],
        ["simulate", bundle, "--input", str(tmp_path / "calib.npz")],
        ["doctor"],
        ["demo", "--output", str(tmp_path / "demo")],
    ]
    _write_samples(tmp_path / "calib.npz")
    gaps = {words[0]: longest_gap([*snnfuse, *words], terminal)[0] for words in commands}
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # loading torch holds Python's lock, as long as others leave it waiting
    print(gaps, busy)
    assert max(gaps.values()) <= LONGEST_S * busy, gaps


def _write_samples(path: Path) -> None:
    import numpy as np

    from snnfuse.data.samples import draw_samples

    samples = draw_samples("av-digits", 64, part="test")
    np.savez(path, **samples.inputs)
