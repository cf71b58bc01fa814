"""What commands print, and where: results on stdout, or on stderr where stdout is for JSON."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click


@dataclass(frozen=True)
class Console:
    """Where a command's words go.

    Attributes:
        json_to: a file for the result as JSON; "-" is stdout, where then nothing else is written; None for none.
        quiet: say nothing but errors and JSON.
    """

    json_to: str | None = None
    quiet: bool = False

    def say(self, text: str = "") -> None:
        """A line, or several, for a person."""
        if not self.quiet:
            click.echo(text, err=self.json_to == "-")

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show that something takes its time; only on a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console as Terminal

        with Terminal(stderr=True).status(what):
            yield

    @contextmanager
    def result(self) -> Iterator[dict[str, Any]]:
        """A dictionary to fill, written as JSON at the end. With "-", whatever a library prints meanwhile goes to stderr."""
        content: dict[str, Any] = {}
        with _stdout_to_stderr(self.json_to == "-") as stdout:
            yield content
            if self.json_to == "-":
                os.write(stdout, (json.dumps(content, indent=2) + "\n").encode())
        if self.json_to not in (None, "-"):
            _write(Path(self.json_to), content)


@contextmanager
def _stdout_to_stderr(active: bool) -> Iterator[int]:
    """Point file descriptor 1, which child processes inherit, at stderr; yields where stdout was."""
    if not active:
        yield 1
        return
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield stdout
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)


def _write(path: Path, content: dict[str, Any]) -> None:
    from snnfuse.hardware.errors import InputError

    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Text in aligned columns, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    right = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(head))]
    lines = (
        "  ".join(cell.rjust(width) if r else cell.ljust(width) for cell, width, r in zip(row, widths, right)) for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def json_option(command: Any) -> Any:
    """--json and --quiet, as every command has them."""
    command = click.option("--json", "json_to", metavar="FILE", help="Write the result as JSON; - is standard output.")(command)
    return click.option("--quiet", is_flag=True, help="Print errors only.")(command)
