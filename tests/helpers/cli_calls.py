"""Calls of the command line, and what they give."""

from collections.abc import Callable
from typing import NamedTuple


class Result(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Result]


def assert_error(result: Result, code: int, *parts: str) -> None:
    """One line on stderr, nothing on stdout."""
    assert result.code == code, result.err
    line, *rest = result.err.splitlines()[-1:]
    assert line.startswith("error: ") and not rest, result.err
    assert "Traceback" not in result.err and result.out == "", result
    for part in parts:
        assert part in line, line


FOR = ("--target", "loihi2", "--calib", "calib.npz")
GOOD = ("export", "net.nir", *FOR)
