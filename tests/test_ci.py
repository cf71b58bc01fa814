"""What continuous integration runs exists: every target of the Makefile that it names, on Pythons that are supported, by pinned actions."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SUPPORTED = {"3.10", "3.11", "3.12", "3.13"}


@pytest.fixture(scope="module")
def jobs() -> dict[str, dict]:
    return yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]


def targets(text: str) -> set[str]:
    """What a Makefile makes by name."""
    return {name for line in re.findall(r"^([a-z- ]+):", text, re.M) for name in line.split()}


def test_every_step_is_a_target_of_the_makefile(jobs: dict[str, dict]) -> None:
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    steps = [step for step in steps if not step.startswith(".venv/bin/python -m pytest ")]
    named = {re.fullmatch(r'make ([a-z-]+)( PIP_FLAGS="\$PIP_FLAGS")?', step).group(1) for step in steps}
    assert named == {"install", "lint", "types", "docs", "test", "test-all", "fuzz", "audit", "lowest", "wheel"}
    assert named <= targets((ROOT / "Makefile").read_text(encoding="utf-8"))


def test_actions_are_pinned_and_pythons_supported(jobs: dict[str, dict]) -> None:
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    assert set(jobs["tests"]["strategy"]["matrix"]["python"]) == SUPPORTED


def test_the_script_makes_what_the_workflow_does() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.findall(r"targets=\((.*?)\)", script) == ["install lint docs test", "install lint types docs test"]
    assert set(re.search(r"^for version in (.*); do$", script, re.M).group(1).split()) == SUPPORTED
    subprocess.run(["bash", "-n", ROOT / ".ci/run"], check=True)
