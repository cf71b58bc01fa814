"""Lava is fixed while it is imported, and only then; nobody pays for it who does not ask for it."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from snnfuse.hardware.backends.lava import compat, convolution, require_lava
from snnfuse.hardware.backends.lava.probe import check_lava
from snnfuse.hardware.errors import EnvironmentProblem


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_snnfuse_does_not_import_lava() -> None:
    loaded = "[m for m in sys.modules if m == 'lava' or m.startswith('lava.')]"
    code = f"import sys, snnfuse, snnfuse.hardware, snnfuse.hardware.backends.lava; print({loaded}, sys.meta_path)"
    out = python(code)
    assert out.startswith("[] ") and "snnfuse.hardware.backends.lava" not in out


@pytest.mark.usefixtures("lava")
def test_the_hook_is_gone_after_the_import_and_the_start_method_is_the_users() -> None:
    code = """
import multiprocessing, sys
before = list(sys.meta_path)
import snnfuse.hardware.backends.lava.network
from lava.magma.core.process.ports import ports
assert sys.meta_path == before
assert multiprocessing.get_start_method(allow_none=True) is None
multiprocessing.set_start_method("spawn")
import lava.magma.runtime.runtime
assert multiprocessing.get_start_method() == "spawn"
from lava.magma.runtime.message_infrastructure.multiprocessing import SystemProcess
print(SystemProcess._start_method)
"""
    assert python(code) == "fork"


@pytest.mark.usefixtures("lava")
def test_it_imports_after_the_user_has_chosen_a_start_method() -> None:
    """Lava alone raises RuntimeError: context has already been set."""
    code = (
        "import multiprocessing as m; m.set_start_method('spawn'); import snnfuse.hardware.backends.lava.network;"
        "print(m.get_start_method())"
    )
    assert python(code) == "spawn"


@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("module", compat.FIXES)
def test_every_fix_finds_what_it_replaces(module: str) -> None:
    distribution = importlib.metadata.distribution("lava-dl" if module.startswith("lava.lib") else "lava-nc")
    path = Path(str(distribution.locate_file(module.replace(".", "/"))))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    source = path.read_text()
    changed = compat.fixed(module, source, compat.FIXES[module])
    assert changed != source
    compile(changed, str(path), "exec")


@pytest.mark.usefixtures("lava")
def test_another_release_is_refused_by_name() -> None:
    code = """
from snnfuse.hardware.backends.lava.compat import patched_imports
from snnfuse.hardware.errors import EnvironmentProblem
try:
    with patched_imports({"lava.magma.compiler.var_model": (("no such line", ""),)}):
        import lava.magma.compiler.var_model
except EnvironmentProblem as error:
    print(error)
"""
    out = python(code)
    assert out.startswith("lava.magma.compiler.var_model does not hold 'no such line'") and compat.INSTALL in out
    assert "\n" not in out


@pytest.mark.usefixtures("lava")
def test_a_lava_without_its_files_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match="Lava is not installed .* pip install"):
        require_lava()


@pytest.mark.usefixtures("lava")
def test_a_lava_that_does_not_import_is_told_with_the_command_that_repairs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lava/magma").mkdir(parents=True)
    (tmp_path / "lava/magma/__init__.py").write_text("raise ImportError('broken')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="importing Lava failed: Lava is installed but cannot be imported") as caught:
        check_lava()
    assert "ImportError: broken" in str(caught.value) and str(caught.value).endswith(compat.INSTALL)


def test_a_missing_lava_prints_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise compat.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(compat.importlib.metadata, "version", missing)
    command = "pip install --no-deps --ignore-requires-python lava-nc==0.10.0 lava-dl==0.6.0"
    with pytest.raises(EnvironmentProblem) as caught:
        require_lava()
    assert str(caught.value).endswith(command) and caught.value.exit_code == 6


SHAPES = [((8, 8), (3, 3)), ((5, 7), (1, 4)), ((3, 3), (3, 3)), ((2, 2), (4, 5))]


@pytest.mark.parametrize(("shape", "kernel"), SHAPES)
@pytest.mark.parametrize("mode", ["valid", "full"])
def test_lava_convolves_with_scipy_s_code(shape: tuple[int, int], kernel: tuple[int, int], mode: str) -> None:
    """By itself where it can be: importing scipy.signal takes longer than importing Lava."""
    rng = np.random.default_rng(0)
    x, weights = rng.integers(-200, 200, shape).astype(float), rng.integers(-200, 200, kernel).astype(float)
    found, expected = convolution.convolve2d(x, weights, mode), signal.convolve2d(x, weights, mode)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    assert (found == expected).all()


def test_lava_s_convolution_imports_no_scipy_signal() -> None:
    code = """
import sys
import numpy as np
from snnfuse.hardware.backends.lava import convolution
convolution.convolve2d(np.ones((5, 5)), np.ones((3, 3)), mode="valid")
print("scipy.signal" in sys.modules)
"""
    assert python(code) == "False"
