"""How an assertion fails: the case is saved, and the error says what is wrong and how to see it again."""

import os
from typing import NoReturn

from snnfuse.hardware.errors import InputError
from snnfuse.testing import settings
from snnfuse.testing.cases import Case, Fits
from snnfuse.testing.storing import replay_command, write_case


def fail(problem: str, case: Case, shrunk: str = "", diagnosis: str = "") -> NoReturn:
    """Save the case and raise.

    Args:
        problem: what is wrong with what the user gave.
        case: the smallest that still fails.
        shrunk: from what size to what size, in words.
        diagnosis: of the case, in words.

    Raises:
        AssertionError: always; a case that cannot be saved hides nothing.
    """
    __tracebackhide__ = True
    try:
        folder = write_case(case, settings.current().cases(), running_test())
    except (InputError, OSError) as error:
        raise AssertionError(f"{problem}\nthe case could not be saved: {error}") from None
    backend = "" if isinstance(case, Fits) else f" --backend {case.backend}"
    lines = (problem, shrunk, f"case: {folder}", f"replay: {replay_command(folder)}{backend}", diagnosis)
    raise AssertionError("\n".join(line for line in lines if line))


def running_test() -> str:
    """The test that pytest is in, such as tests/test_net.py::test_exact; empty outside pytest."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
