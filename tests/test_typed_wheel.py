"""Type hints as a user gets them: a script is checked against the wheel, in an environment of its own, and what is wrong in it is found."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

SCRIPT = """
from typing import assert_type

import nir
import numpy as np
import torch
from numpy.typing import NDArray

import snnfuse
from snnfuse.export import from_nir, quantize, to_nir, write_net
from snnfuse.hardware import Comparison, Program, Recording, compare, emulate, simulate_on_lava
from snnfuse.testing import assert_bit_exact


def deploy(path: str, x: NDArray[np.float32]) -> NDArray[np.int64]:
    model = snnfuse.load_checkpoint(path)
    assert_type(model, torch.nn.Module)
    graph = to_nir(model, torch.from_numpy(x[0]))
    assert_type(graph, nir.NIRGraph)
    program = quantize(graph, calibration=x)
    assert_type(program, Program)
    events = program.encode(x)
    recording = emulate(program, events)
    assert_type(recording, Recording)
    assert_type(compare(recording, simulate_on_lava(program, events)), Comparison)
    assert_bit_exact(program, x)
    return program.decode(recording)
"""
WRONG = (
    SCRIPT
    + """

quantize(calibration=3)
emulate("a program", {})
Recording(spikes={}).spike
deploy(3, np.zeros(2))
"""
)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel, and finds everything else where these tests do."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("snnfuse", "export", "hardware"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    script = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    done = subprocess.run([sys.executable, "-c", script], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(copy / done.stdout.splitlines()[-1]) as wheel:
        wheel.extractall(packages)
    assert (packages / "snnfuse/py.typed").exists()  # mypy reads no types of a package without it
    others = [path for path in sys.path if path.endswith("site-packages")] or [sysconfig.get_path("purelib")]
    (packages / "others.pth").write_text("\n".join(others) + "\n")
    return folder / "bin/python"


def check(script: str, python: Path, folder: Path) -> list[str]:
    """Pyright's errors."""
    (folder / "script.py").write_text(script)
    (folder / "pyrightconfig.json").write_text('{"include": ["script.py"]}')
    command = [sys.executable, "-m", "pyright", "--pythonpath", python, "--outputjson"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return [error["message"] for error in json.loads(done.stdout)["generalDiagnostics"] if error["severity"] == "error"]


def test_a_users_script_is_clean(python: Path, tmp_path: Path) -> None:
    assert check(SCRIPT, python, tmp_path) == []


def test_a_wrong_script_is_not(python: Path, tmp_path: Path) -> None:
    errors = "\n".join(check(WRONG, python, tmp_path))
    for part in ('missing for parameter "graph"', 'parameter "program"', '"spike" for class "Recording"', 'parameter "path"'):
        assert part in errors, errors
