"""Every example runs as its first lines say."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str, folder: Path) -> str:
    """What an example prints, run in an empty folder."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_deploy_your_own(tmp_path: Path) -> None:
    printed = run("deploy_your_own.py", "bundle", folder=tmp_path)
    assert "Lava: 0 of 33600 spikes and states differ" in printed
    assert (tmp_path / "bundle" / "manifest.json").is_file()


@pytest.mark.slow
def test_train_fusion(tmp_path: Path) -> None:
    printed = run("train_fusion.py", "model.pt", folder=tmp_path)
    assert "fusion: 9" in printed or "fusion: 100" in printed
    assert (tmp_path / "model.pt").is_file()


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"deploy_your_own.py", "train_fusion.py"}
