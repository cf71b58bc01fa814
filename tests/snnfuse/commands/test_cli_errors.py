"""What a user gets wrong at the command line: an exit code, and one line that says what to change."""

import json
import os
import sys
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from cli_calls import FOR, GOOD, Cli, assert_error

from snnfuse import cli


def test_a_pickled_module_is_not_opened(snn: Cli, calib: Path) -> None:
    torch.save(torch.nn.Linear(4, 3), "pickled.pt")
    assert_error(snn("export", "pickled.pt", "--target", "loihi2", "--calib", calib), 5, "pickled.pt", "state_dict", "--allow-pickle")


BAD_USAGE = [
    (("export", "net.nir", "--target", "loihi3", "--calib", "calib.npz"), "'loihi3' is not one of"),
    (("export", "net.nir", "--calib", "calib.npz"), "Missing option '--target'"),
    ((*GOOD, "--board", "pohoiki"), "unknown board 'pohoiki'; there are oheo-gulch"),
    (("export", "nothing.nir", *FOR), "nothing.nir: no such file"),
    (("export", "nothing.pt", *FOR), "nothing.pt"),
    (("export", "calib.npz", *FOR), "calib.npz: a model is a checkpoint"),
    (("export", "net.nir", "--target", "loihi2"), "needs samples to calibrate on"),
    ((*GOOD, "--data", "av-digits"), "--calib or --data, not both"),
    (("export", "net.nir", "--target", "loihi2", "--data", "nonsense"), "unknown data set 'nonsense'"),
    (("export", "net.nir", "--target", "loihi2", "--calib", "nothing.npz"), "nothing.npz: no such file"),
    ((*GOOD, "-o", "."), "is the current folder or holds it"),
    ((*GOOD, "-o", ""), "an empty path"),
    ((*GOOD, "-o", "/"), "is the current folder or holds it"),
    ((*GOOD, "--force", "-o", "calib.npz"), "so --force does not replace it"),
    ((*GOOD, "-o", "a" * 300), "File name too long"),
    ((*GOOD, "-o", "calib.npz", "--dry-run"), "exists; use --force"),
    ((*GOOD, "--sample", "4"), "--sample is for checkpoints"),
    ((*GOOD[:2], "--target", "nir", "--reset", "zero"), "--reset changes the integer program"),
    ((*GOOD, "-o", "net.nir/b"), "net.nir is no folder"),
    ((*GOOD, "-o", "/proc/b"), "/proc/b cannot be written"),
    (
        (*GOOD, "--json", "no/where.json"),
        "no/where.json: cannot be written",
    ),
    ((*GOOD, "--json", "net.nir"), "net.nir: would be written over an input"),
    ((*GOOD, "--json", "calib.npz"), "calib.npz: would be written over an input"),
    ((*GOOD, "--json", "net-loihi2"), "net-loihi2: would be written over an input"),
    (("verify", ""), "an empty path"),
    (("verify", "/"), "/: no bundle"),
    (("verify", "."), ".: no bundle"),
    (("verify", "a" * 300), "no such folder"),
    (("verify", "calib.npz"), "calib.npz is a file"),
    (("simulate", ".", "--input", "calib.npz"), ".: no bundle"),
    (("simulate", "nothing", "--input", "calib.npz"), "nothing: no such folder"),
    (("verify", "nothing"), "nothing: no such folder"),
    (("prove",), "No such command 'prove'"),
]


@pytest.mark.parametrize("arguments, part", BAD_USAGE, ids=[part for _, part in BAD_USAGE])
def test_bad_usage_is_one_line_and_exit_2(snn: Cli, graph: Path, calib: Path, arguments: tuple, part: str) -> None:
    assert_error(snn(*arguments, *(("--quiet",) if arguments[0] == "export" else ())), 2, part)


@pytest.mark.parametrize("lost", ["Input", "Output"])
def test_a_graph_without_ends_is_told_so_before_samples_are_held_to_it(snn: Cli, graph: Path, calib: Path, lost: str) -> None:
    whole = nir.read(graph)
    end = next(name for name, node in whole.nodes.items() if type(node).__name__ == lost)
    nodes = {name: node for name, node in whole.nodes.items() if name != end}
    edges = [edge for edge in whole.edges if end not in edge]
    nir.write(graph, nir.NIRGraph(nodes, edges, type_check=False))
    assert_error(snn(*GOOD, "--quiet"), 2, f"the graph has no {lost} node")


BAD_ARRAYS = [
    ({}, "holds no array"),
    ({"x": np.zeros((12, 0, 4))}, "is empty"),
    ({"x": np.full((2, 2, 4), np.nan)}, "NaN or infinite"),
    ({"x": np.full((2, 2, 4), -1e308)}, "values beyond 3.4e+38, the largest that float32 holds; scale it"),
    ({"x\x1b[31m": np.zeros((2, 2, 4), "U1")}, "bad.npz: x?[31m.npy: is <U1 (2, 2, 4)"),
    ({"x": np.zeros((2, 2, 5))}, "must have shape (time, batch, 4)"),
    ({"x": np.zeros(4)}, "not numbers (time, batch, *shape)"),
    ({"x": np.array([["a"]])}, "not numbers (time, batch, *shape)"),
    ({"x": np.array([[{}]], dtype=object)}, "no .npz file of numbers"),
    ({"x": np.zeros((2, 2, 4)), "y": np.zeros((2, 3, 4))}, "differ in time or batch"),
    ({"x": np.zeros((2, 2, 4)), "labels": np.zeros(3, int)}, "labels are int64 (3,)"),
    ({"x": np.zeros((2, 2, 4)), "y": np.zeros((2, 2, 4))}, "no array 'input'"),
]


@pytest.mark.parametrize("arrays, part", BAD_ARRAYS, ids=[part for _, part in BAD_ARRAYS])
def test_bad_calibration_is_one_line(snn: Cli, graph: Path, arrays: dict, part: str) -> None:
    np.savez("bad.npz", **arrays)
    assert_error(snn("export", graph, "--target", "loihi2", "--calib", "bad.npz"), 2, part)
    assert sorted(os.listdir()) == ["bad.npz", "net.nir"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"\x80\x04N.", b"1 2 3\n", b"\x93NUMPY"])
def test_a_file_that_is_no_npz_is_one_line(snn: Cli, graph: Path, content: bytes) -> None:
    Path("bad.npz").write_bytes(content)
    result = snn("export", graph, "--target", "loihi2", "--calib", "bad.npz")
    assert_error(result, 2, "bad.npz")
    assert "allow_pickle" not in result.err


def test_a_single_array_serves_a_single_input(snn: Cli, graph: Path, calib: Path) -> None:
    with np.load(calib) as arrays:
        np.save("x.npy", arrays["x"])
    assert snn("export", graph, "--target", "lava", "--calib", "x.npy").code == 0


@pytest.mark.parametrize("content, part", [(b"", "it is empty"), (b"\x89HDF\r\n\x1a\nbroken", "no readable NIR graph")])
def test_a_file_that_is_no_graph_is_one_line(snn: Cli, calib: Path, content: bytes, part: str) -> None:
    Path("bad.nir").write_bytes(content)
    assert_error(snn("export", "bad.nir", "--target", "loihi2", "--calib", calib), 2, f"bad.nir: {part}")


def test_an_unexpected_error_keeps_its_trace(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    assert cli.run(fail, "snnfuse", ["--json", "-"]) == 70
    out, err = capfd.readouterr()
    assert err.startswith("Traceback") and err.endswith("RuntimeError: a bug\n")
    assert json.loads(out) == {"error": "RuntimeError: a bug", "exit_code": 70}


def test_an_error_is_json_too(snn: Cli, graph: Path, calib: Path) -> None:
    result = snn(*GOOD, "--json", "-", "-o", "/proc/b")
    content = json.loads(result.out)
    assert content["exit_code"] == result.code == 2 and result.err.endswith(f"\nerror: {content['error']}\n")
    assert json.loads(snn("verify", "b", "--timeout", "x", "--json=-").out)["exit_code"] == 2


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_that_are_no_class_are_named(snn: Cli, graph: Path, calib: Path, label: int) -> None:
    snn("export", graph, "--target", "lava", "--calib", calib, "-o", "b")
    with np.load(calib) as arrays:
        np.savez("wrong.npz", x=arrays["x"], labels=np.full(10, label))
    for command in (("export", graph, "--target", "lava", "--calib"), ("simulate", "b", "--input")):
        assert_error(snn(*command, "wrong.npz"), 2, f"wrong.npz: labels hold {label}, but the network's classes are 0..2")


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "import sys\ndef make(): sys.exit(0)"])
def test_a_factory_that_exits_is_an_error(snn: Cli, models: None, calib: Path, code: str) -> None:
    Path("exiting.py").write_text(code)
    sys.modules.pop("exiting", None)
    assert_error(snn("export", "zero.pt", "--model", "exiting:make", "--target", "nir", "--sample", "4"), 2, "SystemExit")


SHAPES = [
    ("foo=784", "name one of the network's inputs, x"),
    ("x=4x", "write a shape as"),
    ("9" * 5000, "write a shape as"),
    ("99999999999999", "too large for this machine's memory"),
]


@pytest.mark.parametrize("shape, part", SHAPES, ids=[part for _, part in SHAPES])
def test_a_shape_that_is_none_is_one_line(snn: Cli, models: None, shape: str, part: str) -> None:
    assert_error(snn("export", "zero.pt", "--model", "users_models:zero", "--target", "nir", "--sample", shape), 2, part)


def test_images_of_another_size_than_the_networks_are_refused(snn: Cli) -> None:
    from snnfuse import networks, save_checkpoint

    save_checkpoint(networks.build("fd-fusion", {"image": (1, 8, 8), "audio": 5}), "ours.pt")
    np.savez("small.npz", image=np.zeros((3, 2, 1, 8, 7)), audio=np.zeros((3, 2, 5)))
    assert_error(snn("export", "ours.pt", "--target", "lava", "--calib", "small.npz"), 2, "'image'", "(1, 8, 7)", "(1, 8, 8)")


def test_names_in_a_file_do_not_steer_the_terminal(snn: Cli, graph: Path) -> None:
    np.savez("bad.npz", **{"\x1b[31mx": np.zeros((2, 2, 4)), "y\u202e": np.zeros((2, 2, 4))})
    result = snn("export", graph, "--target", "lava", "--calib", "bad.npz", "--data", "\x1b]0;title\x07")
    assert result.code == 2 and "\x1b" not in result.err + result.out and "\x07" not in result.err
    result = snn("simulate", "\x1b[2Jnothing", "--input", "bad.npz")
    assert result.code == 2 and result.err.endswith("?[2Jnothing: no such folder\n")


@pytest.mark.parametrize(
    ("name", "words", "found"), [("snnfuse", "snnfuse exp", "export"), ("snnfuse-export", "snnfuse-export --tar", "--target")]
)
def test_completion_prints_what_could_follow_and_no_error(
    name: str, words: str, found: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for variable, value in {f"_{name.upper().replace('-', '_')}_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(variable, value)
    command = cli.load_command("export") if name == "snnfuse-export" else cli.snnfuse
    assert cli.run(lambda: command, name, []) == 0
    assert capfd.readouterr() == (f"plain,{found}\n", "")


def test_a_command_that_is_nearly_one_is_named(snn: Cli) -> None:
    assert_error(snn("exprt"), 2, "No such command 'exprt'; did you mean export or report?")
    assert_error(snn("zzzz"), 2, "No such command 'zzzz'")
