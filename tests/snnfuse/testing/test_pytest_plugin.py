"""The pytest plugin as a user meets it: small test suites, run by pytest with the plugin loaded from the installed package."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import faulty_emulator
import pytest
import snntorch  # noqa: F401  what a suite loads must be loaded already: NumPy and torch cannot be loaded twice
from cli_calls import Cli, assert_error

from snnfuse.export import lower, quantize, simulate, to_nir  # noqa: F401
from snnfuse.export.tracing import measured  # noqa: F401
from snnfuse.hardware import Program, emulate
from snnfuse.hardware.backends import registry as backends
from snnfuse.hardware.backends.lava import INSTALL
from snnfuse.testing import assertions, read_case, settings  # noqa: F401
from snnfuse.testing.cases import Accuracy, BitExact, Fits

pytest_plugins = ["pytester"]
HELPERS = Path(faulty_emulator.__file__).parent

SUITE = """
import numpy as np
import pytest

from snnfuse.hardware import Connection, Dense, Lif, Output, Program, SpikeInput
from snnfuse.testing import assert_accuracy_drop, assert_bit_exact, assert_fits

WEIGHTS = np.array([[2, 4, 6], [-2, 8, 10]], np.int32)
PROGRAM = Program(
    {"in": SpikeInput((3,)), "a": Lif((2,), 4095, 100, 3), "b": Lif((2,), 4095, 0, 9), "aside": Lif((2,), 4095, 0, 9)},
    (
        Connection("in", "a", Dense(WEIGHTS)),
        Connection("a", "b", Dense(WEIGHTS[:, :2].copy())),
        Connection("a", "aside", Dense(WEIGHTS[:, 1:].copy())),
    ),
    {"out": Output("b")},
)
EVENTS = np.random.default_rng(0).integers(0, 2, (20, 8, 3)).astype(np.int32)
EVENTS[3, :, 0] = 0
EVENTS[3, 6, 0] = 1
"""
FAULT = """
import faulty_emulator
import pytest

from snnfuse.hardware.backends import verify


@pytest.fixture(autouse=True)
def fault(monkeypatch):
    monkeypatch.setattr(verify, "run_on", faulty_emulator.run_with_fault)
"""
EXACT = """
@pytest.mark.loihi2
def test_exact():
    assert_bit_exact(PROGRAM, EVENTS)
"""
LARGE = """
LARGE = Program({"in": SpikeInput((1,)), "wide": Lif((4095 * 130,), 1, 1, 1)}, (), {"out": Output("wide")})


def test_fits():
    assert_fits(PROGRAM)
    assert_fits(LARGE, "kapoho-point")
    assert_fits(LARGE, board="oheo-gulch")
"""
NETWORK = """
import snntorch
import torch

from snnfuse.export import quantize, to_nir

torch.manual_seed(0)
CHIP = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}
FLOAT = torch.nn.Sequential(torch.nn.Linear(3, 4), snntorch.Leaky(beta=0.9, **CHIP)).eval()
OTHER = torch.nn.Sequential(torch.nn.Linear(3, 4), snntorch.Leaky(beta=0.9, **CHIP)).eval()
for net, order in ((FLOAT, [0, 1, 2, 3]), (OTHER, [1, 0, 2, 3])):
    net[0].weight.data = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [0, 0, 0]])[order]
    net[0].bias.data[:] = 0
LABELS = np.arange(40) % 4 % 3
X = np.zeros((6, 40, 3), np.float32)
X[:, np.arange(40), LABELS] = 1


def deployed(net):
    return quantize(to_nir(net, torch.from_numpy(X[0])), X)
"""


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """What a backend loads on its first run is loaded here, for pytester forgets modules that a suite was the first to load."""
    scope: dict = {}
    exec(SUITE, scope)
    for name in ("emulator", "torch"):
        if name in backends.BACKENDS:
            backends.run_on(name, scope["PROGRAM"], {"in": scope["EVENTS"]}, "all", states=True)


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder whose tests run with this plugin and none that takes its time (five garbage collections with torch loaded, 0.5 s)."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:unraisableexception -p no:hypothesispytest -p no:xdist -p no:timeout")
    return pytester


def path_with(*folders: Path) -> str:
    """PYTHONPATH of a process of its own that finds modules in these folders too."""
    return os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])])


def case_of(result: pytest.RunResult) -> Path:
    """The case that the only failure saved."""
    (folder,) = re.findall(r"^E +case: (.*)$", result.stdout.str(), re.MULTILINE)
    return Path(folder)


def replay_of(result: pytest.RunResult) -> list[str]:
    """The command that the only failure printed."""
    (command,) = re.findall(r"^E +replay: (.*)$", result.stdout.str(), re.MULTILINE)
    return shlex.split(command)


def test_the_plugin_is_light() -> None:
    script = (
        "import sys, snnfuse.testing.pytest_plugin, snnfuse.testing\n"
        "heavy = {'numpy', 'torch', 'scipy', 'nir', 'lava', 'numba', 'click', 'snnfuse.hardware'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_its_backends_are_those_of_the_library() -> None:
    assert settings.BACKENDS == tuple(backends.BACKENDS)


def test_marker_selects_and_is_known(suite: pytest.Pytester) -> None:
    suite.makepyfile(SUITE + EXACT + "\n\ndef test_plain():\n    pass\n")
    result = suite.runpytest("-m", "loihi2", "--strict-markers", "-v")
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(["snnfuse: backends emulator", "*::test_exact PASSED*"])
    suite.runpytest("--markers").stdout.fnmatch_lines(["@pytest.mark.loihi2: *"])


@pytest.mark.parametrize("names", [("emulator",), ("reference",), ("reference", "emulator")])
def test_what_is_exact_passes_and_leaves_nothing(suite: pytest.Pytester, names: tuple[str, ...]) -> None:
    suite.makepyfile(SUITE + EXACT + "\n\ndef test_floats():\n    assert_bit_exact(PROGRAM, {'in': EVENTS.astype(float)})\n")
    result = suite.runpytest(*(f"--snnfuse-backend={name}" for name in names), "--snnfuse-cases", "cases")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"snnfuse: backends {', '.join(names)}"])
    assert not (suite.path / "cases").exists()


def test_what_is_exact_passes_on_lava(suite: pytest.Pytester, lava: None) -> None:
    suite.makepyfile(SUITE + EXACT.replace("EVENTS", "EVENTS[:6, :2]"))
    suite.runpytest("--snnfuse-backend", "lava").assert_outcomes(passed=1)


@pytest.mark.parametrize("backend", ["emulator", "reference"])
def test_a_faulty_backend_fails_with_the_smallest_case(suite: pytest.Pytester, backend: str) -> None:
    suite.makeconftest(FAULT)
    suite.makepyfile(SUITE + EXACT)
    result = suite.runpytest("--snnfuse-backend", backend, "--snnfuse-cases", "cases")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * the emulator differs from the reference in 1 of 960 spikes, 0 of 960 u, 0 of 960 v",
            "E * first (reference against emulator): spikes of b neuron 1, time step 5, sample 6: * against *",
            "E * shrunk from 8 samples of 20 steps to 1 of 6",
            "E * diagnosis: b (Lif) differs by itself, * at step 5, sample 0, neuron 1 spikes is *; look at the threshold*",
        ]
    )
    folder = case_of(result)
    assert folder.parent == suite.path / "cases"
    files = {"README.txt", "case.json", "events.safetensors", "program.json", "program.safetensors"}
    assert {file.name for file in folder.iterdir()} == files
    case = read_case(folder)
    assert isinstance(case, BitExact) and case.backend == backend
    scope: dict = {}
    exec(SUITE, scope)
    assert (case.events["in"] == scope["EVENTS"][:6, 6:7]).all() and case.events["in"].shape == (6, 1, 3)
    assert set(case.program.nodes) == {"in", "a", "b"}  # the layer aside has no part in it
    before, after = (emulate(program, case.events, "all", states=True) for program in (scope["PROGRAM"], case.program))
    assert all((before.spikes[name] == values).all() for name, values in after.spikes.items())


def test_the_printed_command_replays(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.makeconftest(FAULT)
    suite.makepyfile(SUITE + EXACT)
    command = replay_of(suite.runpytest())
    assert command[:2] == ["snnfuse", "replay"] and command[3:] == ["--backend", "emulator"]
    command[0] = str(Path(sys.executable).with_name("snnfuse"))

    def replayed(**environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)

    (suite.path / "sitecustomize.py").write_text("import faulty_emulator\n\nfaulty_emulator.install()\n")
    failing = replayed(PYTHONPATH=path_with(suite.path, HELPERS))
    assert failing.returncode == 1, failing.stderr
    assert "spikes of b neuron 1, time step 5, sample 0" in failing.stdout and failing.stdout.endswith("FAILED\n")
    mended = replayed()
    assert (mended.returncode, mended.stdout) == (0, "PASSED\n"), mended.stderr


def test_cases_lie_in_the_cache_by_default_and_each_failure_once(suite: pytest.Pytester) -> None:
    suite.makeconftest(FAULT)
    suite.makepyfile(SUITE + EXACT + EXACT.replace("test_exact", "test_again"))
    for _ in range(2):
        suite.runpytest().assert_outcomes(failed=2)
    saved = list((suite.path / ".pytest_cache" / "d" / settings.FOLDER).iterdir())
    assert sorted(folder.name.rpartition("-")[0][-10:] for folder in saved) == ["test_again", "test_exact"]


def test_settings_from_the_ini_file(suite: pytest.Pytester) -> None:
    suite.makeconftest(FAULT)
    suite.makepyfile(SUITE + EXACT)
    suite.makeini("[pytest]\nsnnfuse_backend = reference emulator\nsnnfuse_cases = kept\n")
    result = suite.runpytest()
    result.stdout.fnmatch_lines(["snnfuse: backends reference, emulator"])
    assert case_of(result).parent == suite.path / "kept"


def test_without_the_plugin_the_assertions_stay(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", path_with(HELPERS))
    suite.makeconftest(FAULT)
    suite.makepyfile(SUITE + EXACT)
    result = suite.runpytest_subprocess("-p", "no:snnfuse")  # a process of its own: in this one the outer run's settings are in force
    result.assert_outcomes(failed=1)
    assert case_of(result).parent == suite.path / settings.FOLDER


def test_a_case_that_cannot_be_saved_hides_nothing(suite: pytest.Pytester) -> None:
    suite.makeconftest(FAULT)
    suite.makepyfile(SUITE + EXACT)
    (suite.path / "cases").write_text("a file")
    result = suite.runpytest("--snnfuse-cases", "cases")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *differs from the reference in 1 of 960 spikes*", "E *the case could not be saved: *"])


def test_what_does_not_fit_says_which_layer_which_limit_and_by_how_much(snn: Cli, suite: pytest.Pytester) -> None:
    suite.makepyfile(SUITE + LARGE)
    result = suite.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *does not fit oheo-gulch: layer 'wide' takes 130 cores *4095 neurons * 10 more than the 120 *"])
    command = replay_of(result)
    replayed = snn(*command[1:])
    assert replayed.code == 1 and "layer 'wide' takes 130 cores" in replayed.out and replayed.out.endswith("FAILED\n")
    assert isinstance(read_case(command[-1]), Fits)
    assert_error(snn(*command[1:], "--backend", "lava"), 2, "runs on no backend")


def test_accuracy_within_the_limit_passes(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        SUITE + NETWORK + "\n\ndef test_loss():\n"
        "    assert_accuracy_drop(FLOAT, deployed(FLOAT), X, LABELS, 0)\n"
        "    assert_accuracy_drop(FLOAT, deployed(OTHER), X, LABELS, 75)\n"  # exactly what is lost
        "    assert_accuracy_drop(to_nir(FLOAT, torch.from_numpy(X[0])), deployed(OTHER), X, LABELS, 75)\n"
        "    assert_bit_exact(FLOAT, X)\n"
    )
    suite.runpytest().assert_outcomes(passed=1)


def test_lost_accuracy_says_both_figures_and_saves_one_sample(snn: Cli, suite: pytest.Pytester) -> None:
    body = "\n\ndef test_loss():\n    assert_accuracy_drop(FLOAT, deployed(OTHER), X, LABELS, max_points=74.9)\n"
    suite.makepyfile(SUITE + NETWORK + body)
    result = suite.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *accuracy fell by 75.00 points, more than the 74.9 allowed: float 100.00%, deployed 25.00% on emulator, 40 samples "
            "(spike count, ties to the lowest index)",
            "E *shrunk from 40 samples of 6 steps to 1 of 1",
            "E *diagnosis:",
            "E *cause: *weight value*",
            "E *advice: *",
        ]
    )
    case = read_case(case_of(result))
    assert isinstance(case, Accuracy) and isinstance(case.program, Program)
    assert case.float_classes.tolist() == case.labels.tolist() and len(case.labels) == 1
    replayed = snn(*replay_of(result)[1:])
    assert replayed.code == 1 and "accuracy fell by 100.00 points" in replayed.out
    assert replayed.out.endswith("FAILED\n")


@pytest.mark.parametrize("mark, outcome", [("@pytest.mark.loihi2\n", {"errors": 1}), ("", {"failed": 1})])
def test_missing_lava_is_no_skip(suite: pytest.Pytester, mark: str, outcome: dict) -> None:
    suite.makeconftest(
        "import pytest\nfrom snnfuse.hardware.backends.lava import compat\n\n\n"
        "def pytest_configure(config):\n    config.found = compat._is_found\n    compat._is_found = lambda: False\n\n\n"
        "def pytest_unconfigure(config):\n    compat._is_found = config.found\n"
    )
    suite.makepyfile(SUITE + EXACT.replace("@pytest.mark.loihi2\n", mark))
    result = suite.runpytest("--snnfuse-backend", "emulator", "--snnfuse-backend", "lava")
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines([f"*Lava is not installed for *{INSTALL}"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_unknown_backends_are_refused(suite: pytest.Pytester) -> None:
    suite.makepyfile(SUITE + EXACT)
    result = suite.runpytest("--snnfuse-backend", "loihi3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: snnfuse_backend: unknown backend 'loihi3'; there are reference, emulator, torch, lava"])
    suite.makeini("[pytest]\nsnnfuse_backend = emulator loihi3\n")
    result = suite.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: snnfuse_backend: unknown backend 'loihi3'; there are reference, emulator, torch, lava"])
