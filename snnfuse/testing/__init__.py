"""Assertions for tests of networks that are to run on Loihi 2, with or without the pytest plugin.

    from snnfuse.testing import assert_accuracy_drop, assert_bit_exact, assert_fits

Each raises an AssertionError that says what is wrong, saves the smallest case that still fails, and prints the command that replays
it: `snnfuse replay CASE`. The plugin (`snnfuse.testing.pytest_plugin`, loaded by pytest wherever snnfuse is installed) takes backends
and the folder of cases from the command line or the ini file; without it `Settings`' defaults hold.

Names are loaded on first use: importing the package imports neither NumPy nor torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers, which do not follow __getattr__
    from snnfuse.testing.assertions import assert_accuracy_drop, assert_bit_exact, assert_fits
    from snnfuse.testing.storing import read_case, write_case

_HOME = {
    "assert_accuracy_drop": "assertions",
    "assert_bit_exact": "assertions",
    "assert_fits": "assertions",
    "read_case": "storing",
    "write_case": "storing",
}

__all__ = ["assert_accuracy_drop", "assert_bit_exact", "assert_fits", "read_case", "write_case"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"snnfuse.testing.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
