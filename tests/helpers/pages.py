"""Runs the code of a page of the documentation, block by block, as a reader would.

    ```python title="train.py"      is written to that file
    ```python                       runs, and sees what earlier ones of the page defined
    ```console                      runs each line that begins with "$ ", and compares what it prints with the lines below it

Standard error is not compared: it says what is going on. Of the printed lines numbers may differ, and "..." stands for any number of
lines. A block that needs what a page does not show, such as a trained model, finds it in an HTML comment above it,
`<!-- before: ... -->`, which runs like a ```python block.
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTS = re.compile(
    r"^<!-- before:\n(?P<before>.*?)^-->$|^```(?P<kind>\w*)(?: title=\"(?P<title>[^\"]+)\")?[^\n]*\n(?P<text>.*?)^```$", re.S | re.M
)
NUMBER = re.compile(r"\\?-?\d(?:[\d,]|\\\.\d)*")
TIMEOUT = 300  # seconds of one command


@dataclass(frozen=True)
class Block:
    """Code of a page: its kind ("python", "console", ...), the file that it is written to, if any, its text, and the line it begins on."""

    kind: str
    title: str | None
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced code and the hidden preparations of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for part in PARTS.finditer(text):
        kind, content = (part["kind"], part["text"]) if part["before"] is None else ("python", part["before"])
        found.append(Block(kind, part["title"], content, text.count("\n", 0, part.start()) + 2))
    return found


def run_page(page: Path, folder: Path) -> int:
    """Run every block in a folder; returns how many ran. AssertionError, or the block's own error, where one does not do as it says."""
    names: dict[str, Any] = {"__name__": "page"}
    ran = 0
    with _at_home(folder):
        for block in blocks(page):
            if block.title is not None:
                path = folder / block.title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            elif block.kind == "python":
                exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
            elif block.kind == "console":
                _run_commands(block, page)
            else:
                continue
            ran += 1
    return ran


def _run_commands(block: Block, page: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "80", "PYTHONWARNINGS": "ignore"}
    for command, expected in commands(block.text):
        done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
        where = f"{page.name}, line {block.line}: {command}"
        assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"
        assert re.fullmatch(pattern(expected), done.stdout.strip("\n") + "\n"), (
            f"{where}\n--- the page\n{expected}\n--- printed\n{done.stdout}"
        )


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and what the page says that it prints."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, printed = re.sub(r"\\\n\s*", "", part).partition("\n")
        yield command, printed.strip()


def pattern(expected: str) -> str:
    """A regular expression of what is printed: numbers may be others, spaces between words more or fewer; "..." is any lines, or none."""
    lines = [r"(?:.*\n)*" if line.strip() == "..." else _of_line(line) + r"\n" for line in expected.splitlines()]
    return "".join(lines) or r"(?:.*\n)*"


def _of_line(line: str) -> str:
    words = [NUMBER.sub(r"-?\\d[\\d.,]*", re.escape(word)) for word in line.split()]
    return r"[ \t]*" + r"[ \t]+".join(words) + r"[ \t]*"


@contextlib.contextmanager
def _at_home(folder: Path) -> Iterator[None]:
    """Work in a folder; modules that a page writes there can be imported, and are forgotten afterwards."""
    before, path, place = set(sys.modules), list(sys.path), Path.cwd()
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(place)
        sys.path[:] = path
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
                del sys.modules[name]
