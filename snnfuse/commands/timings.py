"""Where the seconds of a command go: `--timings`."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import click


class Spent(NamedTuple):
    """What a step took.

    Attributes:
        step: its name.
        seconds: on the clock.
        processor: seconds of all processors, of this process and of those that ended in it; Lava's goes on, and is not counted.
    """

    step: str
    seconds: float
    processor: float


class Clock:
    """Measures one step, from the moment at which it is made."""

    def __init__(self) -> None:
        self._start = os.times()

    def spent(self, step: str) -> Spent:
        """Return what the step has taken until now."""
        now = os.times()
        return Spent(step, now.elapsed - self._start.elapsed, _processor(now) - _processor(self._start))


def _processor(times: os.times_result) -> float:
    return times.user + times.system + times.children_user + times.children_system


def timings_option(command: Any) -> Any:
    """--timings, as every command that has it takes it."""
    return click.option("--timings", is_flag=True, help="Print where the seconds went.")(command)


def describe_timings(spent: Sequence[Spent]) -> str:
    """Return the steps as a table, in their order, and all of the process; what is in no step is starting and printing."""
    from snnfuse.report.tables import table

    whole = os.times()
    listed = [(each.step, f"{each.seconds:.2f}", f"{each.processor:.2f}") for each in spent]
    rest = _processor(whole) - sum(each.processor for each in spent)
    return table(("step", "seconds", "processor seconds"), [*listed, ("starting and printing", "-", f"{rest:.2f}")])


def timings_json(spent: Sequence[Spent]) -> list[dict[str, Any]]:
    """Return the steps, JSON-able."""
    return [each._asdict() for each in spent]
