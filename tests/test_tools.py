"""The checks in tools/: they see every source file, and each of them can fail."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import check_types
import pytest
from source_tree import PLACES, link_sources

ROOT = Path(__file__).parents[1]
# One import each, added to a copy of the sources, and what the report then says.
FORBIDDEN = {
    "upward": ("hardware/ir/fixed_point.py", "from snnfuse.export import ops_table", "hardware.ir.fixed_point -> snnfuse.export.ops_table"),
    "in a function": (
        "export/ops_table.py",
        "def late():\n    from snnfuse.data import samples",
        "export.ops_table -> snnfuse.data.samples",
    ),
    "from outside": ("hardware/errors.py", "import nir", "hardware.errors -> nir"),
    "circle": (
        "hardware/energy/constants.py",
        "from snnfuse.hardware.energy import models",
        "No cycles are allowed in snnfuse.hardware.energy",
    ),
}


def check_imports(root: Path, tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ROOT / "tools/check_imports.py", root, tree], capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout of its own: the three folders and pyproject.toml."""
    for folder in PLACES:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_tree_holds_every_source(tmp_path: Path) -> None:
    tree = link_sources(tree=tmp_path / "tree")
    linked = {path.resolve() for path in tree.rglob("*.py")}
    assert linked == {path for folder in PLACES for path in (ROOT / folder).rglob("*.py")}
    assert (tree / "snnfuse/hardware/ir/__init__.py").is_symlink() and (tree / "snnfuse/export/__init__.py").is_symlink()


def test_imports_go_one_way() -> None:
    done = check_imports(ROOT, ROOT / "build" / "tested_tree")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_a_forbidden_import_is_found(kind: str, copy: Path) -> None:
    file, line, report = FORBIDDEN[kind]
    with (copy / file).open("a", encoding="utf-8") as source:
        source.write(f"\n\n{line}\n")
    done = check_imports(copy, copy / "build/tree")
    assert done.returncode == 1
    assert report in done.stdout


def error(tree: Path, file: str) -> dict[str, object]:
    return {"file": str(tree / file), "severity": "error", "message": "wrong", "range": {"start": {"line": 4}}}


def test_errors_are_counted_by_source_folder(tmp_path: Path) -> None:
    files = ("cli.py", "data/pairs.py", "export/netx/table.py", "hardware/errors.py", "hardware/files.py")
    errors = [error(tmp_path, f"snnfuse/{file}") for file in files]
    assert check_types.count_by_folder(errors, tmp_path) == {"export/netx": 1, "hardware": 2, "snnfuse": 1, "snnfuse/data": 1}
    assert check_types.describe_error(errors[2], tmp_path) == "export/netx/table.py:5: wrong (syntax)"


def test_counts_may_only_fall() -> None:
    allowed = {"hardware/ir": 2, "export/netx": 3}
    assert check_types.find_rises({"hardware/ir": 2, "export/netx": 1}, allowed) == []
    assert check_types.find_rises({"hardware/ir": 3, "export/netx": 3, "snnfuse": 1}, allowed) == ["hardware/ir", "snnfuse"]
    assert check_types.find_falls({"hardware/ir": 1, "export/netx": 3}, allowed) == ["hardware/ir"]
    assert check_types.find_falls({"hardware/ir": 2}, allowed) == ["export/netx"]


def test_the_allowed_folders_exist() -> None:
    allowed = json.loads(check_types.ALLOWED.read_text(encoding="utf-8"))
    assert [folder for folder in allowed if not (ROOT / folder).is_dir()] == []
