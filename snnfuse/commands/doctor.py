"""`snnfuse doctor`: what is installed, and how to install what is not."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import Console, fail, json_option
from snnfuse.report.tables import table

if TYPE_CHECKING:
    from snnfuse.hardware.errors import EnvironmentProblem

PACKAGES = (
    "snnfuse", "torch", "snntorch", "nir", "numpy", "scipy", "h5py", "safetensors", "lightning", "tensorboard", "lava-nc", "lava-dl"
)  # fmt: skip


@click.command()
@json_option
def doctor(json_to: str | None, quiet: bool) -> int:
    """Print versions, and whether Lava imports; ends with exit 6 and the command that installs it where it does not."""
    console = Console(json_to, quiet)
    with console.result() as result:
        result.update(look())
        console.say(table(("", ""), [(key, value or "missing") for key, value in result.items()]).strip())
        with console.step("importing Lava"):
            problem = find_problem()
        result["problem"] = str(problem) if problem else None
        result["verdict"] = "" if problem else verdict(result)
        if not problem:
            console.say(f"\n{result['verdict']}")
    return fail(problem, problem.exit_code) if problem else 0


def verdict(found: dict[str, Any]) -> str:
    """Return what can be done, of an environment in which Lava imports."""
    if found["lightning"] is None:
        return "ready to export, run and verify; snnfuse train and snnfuse demo need: pip install 'snnfuse[train]'"
    return "ready to train, export, run and verify"


def find_problem() -> "EnvironmentProblem | None":
    """Why Lava cannot be used, None where it can."""
    from snnfuse.hardware.backends.lava.probe import check_lava
    from snnfuse.hardware.errors import EnvironmentProblem

    try:
        check_lava()
    except EnvironmentProblem as problem:
        return problem
    return None


def look() -> dict[str, Any]:
    """Interpreter, machine and package versions; None for a package that is missing."""
    machine = {"python": platform.python_version(), "executable": sys.executable, "platform": platform.platform()}
    return machine | {"cores": os.cpu_count()} | {name: find_version(name) for name in PACKAGES}


def find_version(package: str) -> str | None:
    """Installed version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
