"""What somebody adds to a bundle on its way: no reader opens it, and its script imports nothing that lies beside it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_calls import GOOD, Cli, assert_error

from snnfuse.export.bundle.board_script import RUN_ON_BOARD

PLANTED = "import os, sys; open('ran', 'w').close(); os._exit(99)"


@pytest.fixture
def bundle(snn: Cli, graph: Path, calib: Path) -> Path:
    assert snn(*GOOD, "-o", "b").code == 0
    return Path("b").resolve()


def plant(bundle: Path, name: str, content: str = PLANTED) -> None:
    """Add a file and list it, as anybody can who sends a bundle."""
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_text(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(content.encode()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["click.py", "click/__init__.py", "golden/more.npz", "sitecustomize.py", "\x1b[31m.py"])
@pytest.mark.parametrize("command", ["verify", "map", "report"])
def test_every_reader_refuses_what_no_bundle_holds(snn: Cli, bundle: Path, command: str, name: str) -> None:
    plant(bundle, name)
    result = snn(command, bundle, "--quiet")
    assert_error(result, 5, "which snnfuse writes into no bundle; do not run anything in this folder")
    assert "\x1b" not in result.err


@pytest.mark.parametrize("name", ["click.py", "pathlib.py", "snnfuse.py", "json.py", "numpy/__init__.py", "numba.py"])
@pytest.mark.parametrize("place", ["elsewhere", "inside"])
def test_the_script_imports_nothing_that_lies_beside_it(bundle: Path, tmp_path: Path, name: str, place: str) -> None:
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_text(PLANTED)
    folder = bundle if place == "inside" else tmp_path
    done = subprocess.run([sys.executable, bundle / RUN_ON_BOARD, "--help"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and "golden inputs" in done.stdout, done.stderr
    assert not (folder / "ran").exists()


def test_another_script_is_no_bundles(snn: Cli, bundle: Path) -> None:
    plant(bundle, RUN_ON_BOARD, PLANTED)
    result = snn("verify", bundle)
    assert result.code == 1 and "another script" in result.out + result.err
    assert not os.path.exists("ran")
