"""What commands print, and where: results on stdout, or on stderr where stdout is for JSON."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from snnfuse.commands.phases import about_to_write, counted, shown
from snnfuse.commands.timings import Clock, Spent
from snnfuse.commands.wording import in_flags
from snnfuse.report.tables import wrapped


@dataclass(frozen=True)
class Console:
    """Where a command's words go.

    Attributes:
        json_to: a file for the result as JSON; "-" is stdout, where then nothing else is written; None for none.
        quiet: say nothing but errors and JSON.
        keep: files and folders that the JSON must not be written over or into.
        steps: how many there will be, where that is known.
        spent: what its steps took, as they end.
    """

    json_to: str | None = None
    quiet: bool = False
    keep: tuple[Path | None, ...] = ()
    steps: int | None = None
    spent: list[Spent] = field(default_factory=list, compare=False)

    def say(self, text: str = "") -> None:
        """A line, or several, for a person, no wider than the terminal."""
        lines = [in_flags(line) if line.startswith("warning: ") else line for line in map(printable_line, text.split("\n"))]
        self._write([part for line in lines for part in wrapped(line)])

    def page(self, text: str) -> None:
        """A file's text, its lines as they are."""
        self._write([printable_line(line) for line in text.split("\n")])

    def _write(self, lines: list[str]) -> None:
        if not self.quiet:
            write("\n".join(map(painted, lines)), err=self.json_to == "-")

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show that something takes its time; keep how long it took."""
        clock = Clock()
        try:
            with nullcontext() if self.quiet else shown(printable(what), len(self.spent), self.steps):
                yield
        finally:
            self.spent.append(clock.spent(what))

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        """Show something that counts, as calls with (done, total) say; None where there is no terminal to show it on."""
        if self.quiet:
            yield None
            return
        with counted(printable(what)) as told:
            yield told

    @contextmanager
    def result(self) -> Iterator[dict[str, Any]]:
        """A dictionary to fill, written as JSON at the end; a path where it cannot be written is refused at the start. With "-",
        whatever a library prints meanwhile goes to stderr.
        """
        from snnfuse.hardware.files import check_output_file, write_whole

        file = None if self.json_to in (None, "-") else Path(str(self.json_to))
        if file is not None:
            check_output_file(file, self.keep)
        content: dict[str, Any] = {}
        with _stdout_to_stderr(self.json_to == "-"):
            yield content
        text = json.dumps(content, indent=2) + "\n"
        if file is not None:
            write_whole(file, text.encode())
        elif self.json_to == "-":
            click.echo(text, nl=False)


@contextmanager
def _stdout_to_stderr(active: bool) -> Iterator[None]:
    """Point file descriptor 1, which child processes inherit, at stderr."""
    if not active:
        yield
        return
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)


COLOURS = {"error: ": "red", "FAILED": "red", "warning: ": "yellow", "PASSED": "green", "EQUAL": "green", "ready to ": "green"}


def painted(line: str) -> str:
    """Return a line with its first word in the colour of what it says; `write` leaves it out where it would not be seen."""
    for word, colour in COLOURS.items():
        if line.startswith(word):
            return click.style(word, fg=colour, bold=True) + line[len(word) :]
    return line


def write(text: str, err: bool = False) -> None:
    """Print, in colour on a terminal only, and on none where NO_COLOR is set (no-color.org)."""
    about_to_write()
    click.echo(text, err=err, color=False if os.environ.get("NO_COLOR") else None)


def printable_line(text: str) -> str:
    """Return a line without what names from a file could steer a terminal with."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text.expandtabs())


def printable(message: str) -> str:
    """Return a message as one such line."""
    return printable_line(" ".join(message.split()))


class NamedPath(click.Path):
    """A path that is not empty: pathlib takes an empty one for the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("an empty path", param, ctx)
        return super().convert(value, param, ctx)


PATH = NamedPath(path_type=Path)


def fail(error: Exception, code: int) -> int:
    """Say what failed although there is a result; returns the code to exit with."""
    write(painted(f"error: {in_flags(printable(str(error)))}"), err=True)
    return code


def json_option(command: Any) -> Any:
    """--json and --quiet, as every command has them."""
    where = "Write the result as JSON; - is standard output."
    command = click.option("--json", "json_to", type=NamedPath(), metavar="FILE", help=where)(command)
    return click.option("--quiet", is_flag=True, help="Print errors only.")(command)
