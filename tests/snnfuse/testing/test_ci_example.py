"""The example project of examples/ci: its tests pass, and its workflow says nothing that does not exist."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from snnfuse import cli
from snnfuse.hardware.backends.lava import INSTALL
from snnfuse.testing.settings import BACKENDS

PROJECT = Path(__file__).parents[3] / "examples" / "ci"
WORKFLOW = PROJECT / ".github" / "workflows" / "hardware-emulation.yml"
DEPLOYED, WRONG = "to_nir(network, sample)", "to_nir(fusion.Fusion().eval(), sample)"


@pytest.fixture(scope="module")
def steps() -> list[dict]:
    """Of the only job."""
    (job,) = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values()
    return job["steps"]


@pytest.fixture(scope="module")
def commands(steps: list[dict]) -> list[list[str]]:
    """What a shell runs, in words."""
    return [shlex.split(line) for step in steps for line in step.get("run", "").splitlines()]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's copy."""
    return Path(shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache")))


def run_pytest(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_its_tests_pass_as_the_workflow_runs_them(project: Path, commands: list[list[str]], lava: None) -> None:
    (command,) = (words for words in commands if words[0] == "pytest")
    done = run_pytest(project, *command[1:])
    assert done.returncode == 0, done.stdout
    assert "snnfuse: backends emulator, lava" in done.stdout and "3 passed" in done.stdout
    assert not (project / "failed-cases").exists()


@pytest.mark.slow
def test_its_tests_can_fail(project: Path) -> None:
    """The program of an untrained network is deployed in place of the trained one's."""
    conftest = project / "tests" / "conftest.py"
    assert DEPLOYED in conftest.read_text()
    conftest.write_text(conftest.read_text().replace(DEPLOYED, WRONG))
    done = run_pytest(project, "-k", "points", "--snnfuse-cases", "failed-cases")
    assert done.returncode == 1, done.stdout
    assert re.search(r"accuracy fell by \d+\.\d\d points, more than the 2 allowed: float \d+\.\d\d%, deployed", done.stdout)
    assert len(list((project / "failed-cases").iterdir())) == 1


def test_every_command_of_the_workflow_exists(commands: list[list[str]]) -> None:
    assert [words[0] for words in commands] == ["pip", "pip", "snnfuse", "pytest"]
    scripts = Path(sys.executable).parent
    assert all(shutil.which(words[0], path=str(scripts)) for words in commands)
    install, lava, doctor, tests = commands
    assert install == ["pip", "install", "-r", "requirements.txt"] and (PROJECT / "requirements.txt").is_file()
    assert lava == INSTALL.split()
    assert doctor[1] in cli.COMMANDS
    assert [tests[i + 1] for i, word in enumerate(tests) if word == "--snnfuse-backend"] == ["emulator", "lava"]
    assert set(BACKENDS) >= {"emulator", "lava"}


def test_failed_cases_are_kept_where_the_tests_leave_them(steps: list[dict], commands: list[list[str]]) -> None:
    tests = commands[-1]
    (upload,) = (step for step in steps if "upload-artifact" in step.get("uses", ""))
    assert upload["if"] == "failure()" and upload["with"]["path"] == tests[tests.index("--snnfuse-cases") + 1]


def test_the_workflow_uses_only_pinned_actions_and_supported_pythons(steps: list[dict]) -> None:
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    (job,) = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values()
    assert set(job["strategy"]["matrix"]["python"]) <= {"3.10", "3.11", "3.12", "3.13"}
