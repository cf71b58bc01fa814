"""Does Lava import? Importing this module does not import Lava."""

import importlib
from pathlib import Path

from snnfuse.hardware.backends.lava.child import job_folder, run_module
from snnfuse.hardware.backends.lava.compat import require_lava

IMPORT_S = 120.0  # more than a cold disk takes


def check_lava() -> None:
    """Import Lava in a process of its own.

    Raises:
        EnvironmentProblem: it is missing, or there and broken; says what installs it.
    """
    require_lava()
    with job_folder() as folder:
        run_module("snnfuse.hardware.backends.lava.probe", folder, IMPORT_S, "importing Lava")


def prepare() -> None:
    """In the child."""
    importlib.import_module("snnfuse.hardware.backends.lava.network")


def main(folder: Path) -> None:
    """Nothing is left to do."""
