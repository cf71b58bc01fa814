"""The same sources give the same wheel and sdist, to the last byte, and the sdist holds what it takes to install and test."""

import os
import shutil
import tarfile
from pathlib import Path

import build_packages
import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "*.pyc", ".git", ".venv*", "build", "dist", "out", "site", "*.egg-info", ".*_cache", ".hypothesis"
)


@pytest.mark.slow
def test_two_builds_are_equal_to_the_last_byte(tmp_path: Path) -> None:
    built = []
    for number in range(2):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        for path in copy.rglob("*"):
            os.utime(path, (1e9 + number * 1e6, 1e9 + number * 1e6))
        built.append(build_packages.build(copy, tmp_path / f"dist{number}", 1_700_000_000))
    (wheel, sdist), again = built
    assert [path.name for path in again] == [wheel.name, sdist.name]
    assert wheel.read_bytes() == again[0].read_bytes()
    assert sdist.read_bytes() == again[1].read_bytes()
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "Makefile",
        "constraints.txt",
        "SECURITY.md",
        "pyproject.toml",
        "tests/conftest.py",
        "tools/check_imports.py",
        ".ci/run",
    } <= names
    sources = {path.relative_to(tmp_path / "copy0").as_posix() for path in (tmp_path / "copy0").rglob("*.py")}
    assert {name for name in sources - names if not name.startswith("build/")} == set()  # tests import benchmarks and tools
    assert not [name for name in names if name.startswith(("build/", "out/")) or "__pycache__" in name]
