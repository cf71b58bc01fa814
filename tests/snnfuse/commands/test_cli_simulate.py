"""`snnfuse simulate`: backends, what is written, options that do not go together, the bar, and inputs that cannot be run."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_calls import FOR, Cli, assert_error
from s_cmrl_networks import T, lively, pictures

from snnfuse.commands.console import Console
from snnfuse.export import quantize, read_bundle, to_nir, write_bundle
from snnfuse.hardware.backends.registry import BACKENDS, run_on
from snnfuse.hardware.errors import InputError

RUN = ("simulate", "b", "--input", "calib.npz")


@pytest.fixture
def bundle(snn: Cli, graph: Path, calib: Path) -> Path:
    assert snn("export", graph, *FOR, "-o", "b").code == 0
    return Path("b")


def test_longer_windows_than_a_sum_over_time_was_made_for_are_warned_of(snn: Cli, tmp_path: Path) -> None:
    """S-CMRL in torch refuses them: its products are exact for sums over T steps."""
    model = lively(fusion="temporal")
    x = dict(zip(model.inputs, pictures(model, batch=2), strict=True))
    graph = to_nir(model, tuple(array[0] for array in x.values()))
    program = quantize(graph, {name: array.numpy() for name, array in x.items()})
    write_bundle("b", graph=graph, program=program, target="lava", report={"calibration": {"time_steps": T}})
    for name, time in (("same", T), ("longer", T + 1)):
        np.savez(f"{name}.npz", **dict(zip(model.inputs, (array.numpy() for array in pictures(model, time=time, batch=2)), strict=True)))
    same, longer = (snn("simulate", "b", "--input", f"{name}.npz") for name in ("same", "longer"))
    assert same.code == longer.code == 0 and "windows" not in same.err
    assert f"warning: b: the network sums over time and was calibrated on windows of {T} steps; in {T + 1} its sums may" in longer.err


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "lava"])
def test_every_layer_and_state_is_written(snn: Cli, bundle: Path, backend: str) -> None:
    result = snn(*RUN, "--backend", backend, "-o", "out.npz", "--record", "all", "--json", "-")
    assert result.code == 0, result.err
    figures = json.loads(result.out)
    assert figures["backend"] == backend and figures["samples"] == 10 and figures["output"] == "out.npz"
    program = read_bundle(bundle).program
    with np.load("calib.npz") as given:
        expected = run_on("reference", program, program.encode(given["x"]), "all", states=True).recording
    (layer,) = program.neurons
    with np.load("out.npz") as arrays:
        wanted = {f"{layer}.spikes", "output.spikes", "output.classes", "output.v", f"{layer}.u", f"{layer}.v"}
        assert set(arrays) == wanted
        np.testing.assert_array_equal(arrays[f"{layer}.spikes"], expected.spikes[layer])
        for variable in ("u", "v"):
            np.testing.assert_array_equal(arrays[f"{layer}.{variable}"], expected.states[layer][variable])


def test_torch_writes_what_the_emulator_does(snn: Cli, bundle: Path) -> None:
    for name in ("emulator", "torch"):
        result = snn(*RUN, "--backend", name, "-o", f"{name}.npz", "--memory", "1")
        assert result.code == 0, result.err
    with np.load("emulator.npz") as a, np.load("torch.npz") as b:
        assert set(a) == set(b) == {"output.spikes", "output.classes"}
        assert a["output.spikes"].any()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize(
    "options, part",
    [
        (("--backend", "emulator", "--device", "cuda"), "--device goes with --backend torch, not with emulator"),
        (("--backend", "lava", "--memory", "1"), "--memory goes with --backend emulator or torch, not with lava"),
        (("--backend", "torch", "--cluster=auto"), "--cluster goes with --backend emulator, not with torch"),
        (("--timeout", "3"), "--timeout goes with --backend lava, not with emulator"),
        (("--record", "all"), "written with -o"),
        (("--backend", "torch", "--device", "nowhere"), "no device 'nowhere'"),
        (("--memory", "0"), "--memory"),
        (("--input", "nothing.npz"), "nothing.npz: no such file"),
    ],
)
def test_options_that_cannot_be_meant(snn: Cli, bundle: Path, options: tuple[str, ...], part: str) -> None:
    assert_error(snn(*RUN, *options), 2, part)


def test_a_gpu_that_is_not_there_is_the_environments_fault(snn: Cli, bundle: Path) -> None:
    assert_error(snn(*RUN, "--backend", "torch", "--device", "cuda:99"), 6, "'cuda:99'", "--device cpu")


@pytest.mark.parametrize(
    "arrays, part",
    [
        ({"x": np.full((12, 10, 4), np.nan)}, "NaN"),
        ({"x": np.full((12, 10, 4), 0.5)}, "binary spikes, 0 or 1, but holds 0.5"),
        ({"x": np.full((12, 10, 4), -1)}, "binary spikes, 0 or 1, but holds -1"),
        ({"x": np.zeros((12, 4))}, "is float64 (12, 4), not numbers (time, batch, *shape)"),
        ({"x": np.zeros((12, 10, 5))}, "must have shape (time, batch, 4), not (12, 10, 5)"),
        ({"x": np.zeros((12, 0, 4))}, "empty"),
        ({"x": np.array(["a"])}, "not numbers"),
        ({"a": np.zeros((3, 1, 4)), "b": np.zeros((3, 1, 4))}, "no array 'input'"),
        ({"x": np.zeros((3, 2, 4)), "labels": np.array([0, 9])}, "labels hold 9"),
        ({"x": np.zeros((3, 2, 4)), "labels": np.array([0])}, "labels are int64 (1,)"),
    ],
)
def test_inputs_that_cannot_be_run(snn: Cli, bundle: Path, arrays: dict[str, np.ndarray], part: str) -> None:
    np.savez("bad.npz", **arrays)
    assert_error(snn("simulate", "b", "--input", "bad.npz"), 2, part)


def test_the_bar_moves_with_the_run_and_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with Console().progress("running") as progress:
        assert progress is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Console(quiet=True).progress("running") as progress:
        assert progress is None
    with Console().progress("running 3 samples") as progress:
        progress(1, 4)
        progress(4, 4)
    seen = capsys.readouterr()
    assert "running 3 samples" in seen.err and "100%" in seen.err and seen.out == ""


@pytest.mark.parametrize("backend", ["emulator", "torch"])
def test_the_bar_reaches_its_end(snn: Cli, bundle: Path, backend: str) -> None:
    program, calls = read_bundle(bundle).program, []
    run_on(backend, program, {"input": np.ones((9, 5, 4), np.int32)}, progress=lambda *call: calls.append(call))
    assert calls[-1] == (9, 9) and calls == sorted(calls)


def test_other_backends_have_no_device(snn: Cli, bundle: Path) -> None:
    with pytest.raises(InputError, match="emulator runs on the CPU only"):
        run_on("emulator", read_bundle(bundle).program, {}, device="cuda")


@pytest.mark.slow
def test_over_a_cluster(snn: Cli, bundle: Path) -> None:
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    assert snn(*RUN, "-o", "here.npz").code == 0
    result = snn(*RUN, "-o", "there.npz", "--cluster", "--json", "-")
    assert result.code == 0, result.err
    assert json.loads(result.out)["cluster"] == "local"
    with np.load("here.npz") as a, np.load("there.npz") as b:
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
