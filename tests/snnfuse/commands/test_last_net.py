"""What nobody foresaw: a file's fault is one line and exit 2, with the stack trace in a log; a fault of ours is a trace and exit 70."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nir
import numpy as np
import pytest
from cli_calls import FOR, GOOD, Cli, assert_error, told

EXTENSION = """
from snnfuse.compile import register_file

def fails_reading(path, opening):
    raise IndexError("row 7\\x1b[31m of " + path.read_text())

register_file(".odd", fails_reading)
"""


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    """The command line as a user has it, in a process of its own."""
    command = [sys.executable, "-c", "from snnfuse.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, **options)  # type: ignore[call-overload]


def test_a_file_that_its_reader_never_foresaw_is_one_line_with_a_log(snn: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("odd_files.py").write_text(EXTENSION)
    Path("net.odd").write_text("a stranger")
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        result = snn("--import", "odd_files", "export", "net.odd", "--target", "nir")
    assert_error(result, 2, "net.odd: cannot be used as it is (IndexError: row 7?[31m of a stranger)", "if the file is sound")
    (log,) = tmp_path.glob("snnfuse-*.log")
    assert str(log) in result.err and "\x1b" not in result.err
    assert 'raise IndexError("row 7' in log.read_text() and "Traceback" in log.read_text()


def test_without_a_place_for_the_log_there_is_a_line_all_the_same(snn: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("odd_files.py").write_text(EXTENSION)
    Path("net.odd").write_text("a stranger")
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
        result = snn("--import", "odd_files", "export", "net.odd", "--target", "nir")
    assert_error(result, 2, "the stack trace could not be kept (No such file or directory)")


def test_a_fault_of_ours_keeps_its_trace_and_exit_70(snn: Cli) -> None:
    Path("own_fault.py").write_text(
        "import click\nfrom snnfuse import cli\n\n"
        "@click.command()\ndef doctor():\n    raise IndexError('ours\\x1b[31m')\n\n"
        "cli.load_command = lambda name: doctor\n"
    )
    code = "import own_fault\nfrom snnfuse.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code, "doctor"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 70 and "Traceback" in done.stderr and "IndexError: ours?[31m" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_folder_that_was_deleted(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code = "import os; os.rmdir(os.getcwd()); from snnfuse.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "verify", "b"], cwd=tmp_path / "gone", capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "does not exist any more" in done.stderr and len(done.stderr.splitlines()) == 1


def test_an_output_of_few_letters(snn: Cli, graph: Path, calib: Path) -> None:
    """cp1252 has no Greek; a stream of JSON is ASCII anyway."""
    assert snn(*GOOD, "-o", "b").code == 0
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = run("report", "b", "-o", "δέμα.html", env=environment)
    assert done.returncode == 0 and b"report: \\u03b4" in done.stdout, done.stderr
    done = run("report", "δέμα", env=environment)
    assert (
        done.returncode == 2
        and told(done.stderr.decode()).startswith("error: \\u03b4")
        and len(told(done.stderr.decode()).splitlines()) == 1
    )


def test_names_of_a_program_do_not_steer_the_terminal(snn: Cli, calib: Path) -> None:
    ones = np.ones(3)
    lif = nir.LIF(tau=2e-4 * ones, r=2 * ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    nodes = {"input": nir.Input({"input": np.array([4])}), "\x1b[31mfc": nir.Linear(np.eye(3, 4)), "\x1b]0;lif\x07": lif}
    nodes["output"] = nir.Output({"output": np.array([3])})
    names = list(nodes)
    nir.write("net.nir", nir.NIRGraph(nodes, list(zip(names, names[1:]))))
    result = snn(*GOOD, "-o", "b")
    assert_error(result, 2, r"the name '\x1b[31mfc' of a node holds a character that is not printed; rename it")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", result.err) and not Path("b").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize(
    "pipe, command",
    [
        ("p.nir", ("export", "p.nir", *FOR)),
        ("p.pt", ("export", "p.pt", *FOR)),
        ("p.net", ("export", "p.net", *FOR)),
        ("p.npz", (*GOOD[:4], "--calib", "p.npz")),
        ("p.npz", ("simulate", "b", "--input", "p.npz")),
        ("p.npz", ("simulate", "b", "--stream", "p.npz")),
        ("p.npy", ("simulate", "b", "--stream", "p.npy")),
        ("p.wav", ("simulate", "b", "--stream", "p.wav")),
        ("p.json", ("map", "b", "--board", "p.json")),
        ("b/manifest.json", ("verify", "b")),
        ("b/manifest.json", ("map", "b")),
        ("b/program.json", ("verify", "b")),
        ("b/program.safetensors", ("map", "b")),
        ("case.json", ("replay", ".")),
        ("frames/p.npy", ("simulate", "b", "--stream", "frames")),
        ("frames/p.png", ("simulate", "b", "--stream", "frames")),
    ],
)
def test_a_named_pipe_is_refused_at_once(snn: Cli, graph: Path, calib: Path, pipe: str, command: tuple[str, ...]) -> None:
    assert snn(*GOOD, "-o", "b").code == 0
    Path(pipe).parent.mkdir(exist_ok=True)
    Path(pipe).unlink(missing_ok=True)
    os.mkfifo(pipe)
    result = snn(*command)
    assert result.code == (5 if pipe.startswith("b/") else 2), result.err
    assert pipe in result.err + result.out


def test_errors_are_json_too(snn: Cli) -> None:
    result = snn("verify", "none\x1b[31m", "--json", "-")
    assert result.code == 2 and json.loads(result.out)["exit_code"] == 2 and "\x1b" not in result.err
