"""What is installed: every package and data file, under the name `snnfuse` alone."""

import ast
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import snnfuse

ROOT = Path(__file__).parents[1]
FOLDERS = {"snnfuse": "snnfuse", "export": "snnfuse.export", "hardware": "snnfuse.hardware"}


def packages_in_tree() -> set[str]:
    """Every folder with an __init__.py, by its import name."""
    found = set()
    for folder, name in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join((name, *init.parent.relative_to(ROOT / folder).parts)))
    return found


def declared(pattern: str) -> list[str]:
    """Strings of one list in pyproject.toml, which Python 3.10 has no reader for."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (body,) = re.findall(rf"^{pattern} = (\[.*\]$|\[\n(?:.*\n)*?\])", text, re.MULTILINE)
    return ast.literal_eval(body)


def test_the_installed_version_can_be_asked_for() -> None:
    assert snnfuse.__version__ == importlib.metadata.version("snnfuse") and "__version__" in dir(snnfuse)


def test_the_version_has_a_heading_in_the_changes() -> None:
    version = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)[
        0
    ]  # of the project, which comes first
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_every_package_is_declared() -> None:
    assert set(declared("packages")) == packages_in_tree()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel built from a copy of the tree."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    script = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    done = subprocess.run([sys.executable, "-c", script], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(copy / done.stdout.splitlines()[-1]) as file:
        return file.namelist()


def test_a_wheel_holds_every_file(wheel: list[str]) -> None:
    for folder, name in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in (".py", ".npz"):
                assert f"{name.replace('.', '/')}/{path.relative_to(ROOT / folder).as_posix()}" in wheel


def test_a_wheel_installs_one_name(wheel: list[str]) -> None:
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == {"snnfuse"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel)


@pytest.mark.parametrize("name", ["export", "hardware"])
def test_folders_are_no_top_level_modules(name: str, tmp_path: Path) -> None:
    script = f"import importlib.util; assert importlib.util.find_spec({name!r}) is None"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert importlib.util.find_spec(f"snnfuse.{name}") is not None


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_constraints_pin_every_direct_dependency_once(python: str) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate({"python_version": python})]
    names = [pin.name for pin in here]
    assert len(names) == len(set(names))
    assert all([spec.operator for spec in pin.specifier] == ["=="] for pin in here)
    direct = [Requirement(text) for group in ("dependencies", "test", "docs", "dev") for text in declared(group)]
    for needed in direct:
        if needed.name != "snnfuse":
            (pin,) = (pin for pin in here if pin.name == needed.name)
            (spec,) = pin.specifier
            assert needed.specifier.contains(spec.version), f"{needed} is pinned at {spec.version}"


def test_torch_is_pinned_on_python_3_11() -> None:
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_the_lava_command_is_the_same_everywhere() -> None:
    from snnfuse.hardware.backends.lava import INSTALL

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (pins,) = re.findall(r"^LAVA := (.*)$", makefile, re.MULTILINE)
    assert f"pip install --no-deps --ignore-requires-python {pins}" == INSTALL
    assert pins.split() == declared("lava")


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this environment has no pip")
def test_an_extra_can_be_added_to_what_is_installed_without_an_index() -> None:
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "snnfuse[train]"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Requirement already satisfied: snnfuse[train]" in done.stdout, done.stdout + done.stderr
