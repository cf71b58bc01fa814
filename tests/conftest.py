"""What tests of every area share."""

import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from snntorch import SpikingNeuron

from snnfuse import cli
from snnfuse.hardware.backends.lava import require_lava

if TYPE_CHECKING:  # its asserts are rewritten, which must be asked for before it is imported
    from cli_calls import Cli, Result

pytest.register_assert_rewrite("cli_calls", "refused_models")  # helpers that assert


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Random numbers that begin alike, fixtures included: a test gives the same result alone, in a process of its own and after others."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data sets and recorded traces beside the checkout, which is no part of it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data beside the checkout: {folder} does not exist")
    return folder


@pytest.fixture(autouse=True)
def neurons_of_this_test() -> Iterator[None]:
    """snnTorch keeps every neuron that was ever made, and its resets go over all of them: those of a test end with it."""
    before = len(SpikingNeuron.instances)
    yield
    del SpikingNeuron.instances[before:]


@pytest.fixture(autouse=True)
def no_cache_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves arrays in the user's cache, or finds older ones there."""
    monkeypatch.setenv("SNNFUSE_CACHE", "off")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are written without pictures, for which networks run once more, but where a test is about them."""
    monkeypatch.setenv("SNNFUSE_PICTURES", "off")


@pytest.fixture(autouse=True)
def wide_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What commands print is not wrapped, but where a test is about that."""
    monkeypatch.setenv("COLUMNS", "1000")


@pytest.fixture
def snn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> "Iterator[Cli]":
    """Run `snnfuse ...` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)

    def call(*arguments: object) -> "Result":
        from cli_calls import Result, told

        capfd.readouterr()
        code = cli.run(lambda: cli.snnfuse, "snnfuse", [str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(code, out, told(err))

    yield call
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="session")
def lava() -> None:
    """Lava is needed, and its absence fails with the command that installs it: skipped, nothing would be proven bit-exact."""
    require_lava()
