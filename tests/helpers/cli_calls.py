"""Calls of the command line, and what they give."""

import re
from collections.abc import Callable
from typing import NamedTuple


class Result(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Result]
DOTS = re.compile(r"^.* \.+ \d+ s\n", re.M)  # of `snnfuse.commands.phases`: where the machine is slow


def told(err: str) -> str:
    """What standard error says, without the lines that only show that a command is alive."""
    return DOTS.sub("", err)


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
