"""What a package of a user's own registers, from the command line and from Python."""

import sys
from pathlib import Path

import numpy as np
import pytest
from cli_calls import Cli, assert_error

from snnfuse import data
from snnfuse.data import registry
from snnfuse.export import read_bundle
from snnfuse.hardware.backends import registry as backends
from snnfuse.hardware.errors import InputError
from snnfuse.testing import assert_bit_exact

CLAPS = """
from dataclasses import replace

from snnfuse import data
from snnfuse.data.settings import only


def load(data_dir, settings):
    only(settings, "claps")
    return replace(data.load("av-digits"), name="claps", settings=settings)


data.register_data_set("claps", load)
"""


BACKEND = """
from snnfuse.hardware import emulate
from snnfuse.hardware.backends.registry import Backend, register_backend

register_backend(Backend("mine", lambda program, events, record, states: emulate(program, events, record, states)))
"""


@pytest.fixture
def claps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "claps.py").write_text(CLAPS)
    monkeypatch.setattr(registry, "_LOADERS", dict(registry._LOADERS))
    monkeypatch.setitem(sys.modules, "claps", None)  # so that what is there in its place goes when the test ends
    del sys.modules["claps"]


def test_a_registered_data_set_trains_a_network(snn: Cli, claps: None, tmp_path: Path) -> None:
    train = ("train", "fd-fusion", "--data", "claps", "--modality", "audio", "--epochs", 1, "-o", "net.pt", "--json", "-")
    assert_error(snn(*train[:-2]), 2, "unknown data set 'claps'", "importing its module")
    result = snn("--import", "claps", *train)
    assert result.code == 0, result.err
    assert (tmp_path / "net.pt").exists() and data.names()[-1] == "claps"
    refused = snn("--import", "claps", *train[:-4], "-o", "other.pt", "--time-steps", 3)
    assert_error(refused, 2, "data set 'claps' has no time 3")


def test_a_registered_backend_is_chosen_by_its_name(
    snn: Cli, graph: Path, calib: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_backend.py").write_text(BACKEND)
    monkeypatch.setattr(backends, "BACKENDS", dict(backends.BACKENDS))
    monkeypatch.setitem(sys.modules, "my_backend", None)
    del sys.modules["my_backend"]
    assert snn("export", graph, "--target", "lava", "--calib", calib).code == 0
    run = ("simulate", "net-lava", "--input", calib, "-o")
    assert_error(snn(*run, "no.npz", "--backend", "mine"), 2, "'mine' is not one of 'reference', 'emulator', 'torch', 'lava'")
    done = snn("--import", "my_backend", *run, "mine.npz", "--backend", "mine")
    assert done.code == 0 and "samples on mine in" in done.out, done.err
    assert snn(*run, "emulator.npz").code == 0
    mine, emulator = np.load("mine.npz"), np.load("emulator.npz")
    assert mine.files == emulator.files and all((mine[name] == emulator[name]).all() for name in mine.files)
    assert_bit_exact(read_bundle("net-lava").program, np.load(calib)["x"], backends=("mine",))


def test_an_import_that_fails_is_one_line(snn: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken_extension.py").write_text("raise OSError('no such board')")
    assert_error(snn("--import", "broken_extension", "ops"), 2, "--import broken_extension: OSError: no such board")
    assert_error(snn("--import", "nowhere_to_be_found", "ops"), 2, "--import nowhere_to_be_found: ModuleNotFoundError")


def test_a_name_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_LOADERS", dict(registry._LOADERS))
    loader = registry._LOADERS["av-digits"]
    assert data.register_data_set("av-digits", loader) is loader
    with pytest.raises(InputError, match="'av-digits' is registered already, by snnfuse.data.av_digits"):
        data.register_data_set("av-digits", lambda data_dir, settings: loader(data_dir, settings))
    assert registry._LOADERS["av-digits"] is loader
