"""`snnfuse doctor`: what is installed, and how to install what is not."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from snnfuse.commands.console import Console, json_option, table

PACKAGES = ("snnfuse", "torch", "snntorch", "nir", "numpy", "scipy", "h5py", "safetensors", "lava-nc", "lava-dl")


@click.command()
@json_option
def doctor(json_to: str | None, quiet: bool) -> None:
    """Print versions, and whether Lava is there; ends with exit 6 and the command that installs it where it is not."""
    from snnfuse.hardware.lava import require_lava

    console = Console(json_to, quiet)
    with console.result() as result:
        result.update(look())
        console.say(table(("", ""), [(key, value or "missing") for key, value in result.items()]).strip())
    require_lava()


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
