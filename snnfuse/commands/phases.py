"""What is going on, on standard error: a bar on a terminal, and elsewhere a line for each phase that takes its time.

Off a terminal nothing is written for `SILENCE_S` seconds; then the phase's name, and a dot whenever as much has passed again, so that a log
shows that something is alive and has one line for it.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SILENCE_S = 1.2
HEAVY = ("torch", "lightning")  # holding Python's lock, each lets no thread write for as long as a second, and much longer from a cold disk

_lock = threading.RLock()
_running: list["Dots"] = []  # the innermost phase last: it alone writes
_last = time.monotonic()  # when something was written


def on_terminal() -> bool:
    """Return True if a person sees standard error as it is written."""
    return sys.stderr is not None and sys.stderr.isatty()


def about_to_write() -> None:
    """End the line of dots, if there is one; whoever prints meanwhile calls this first."""
    global _last
    with _lock:
        for dots in _running:
            dots.end_line()
        _last = time.monotonic()


class Dots:
    """A phase off a terminal.

    Args:
        what: its name, one line.
    """

    def __init__(self, what: str) -> None:
        self._what, self._open, self._start, self._ended = what, False, time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        with _lock:
            for around in _running:
                around.end_line()
            _running.append(self)
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        with _lock:
            _running.remove(self)
            self.end_line()

    def end_line(self) -> None:
        """Say how long it has taken until now, where its line was begun."""
        if self._open:
            self._open = False
            self._write(f" {time.monotonic() - self._start:.0f} s\n")

    def more(self) -> None:
        """Begin its line, or go on with it."""
        if self._what:
            self._write("." if self._open else f"{self._what} .")
            self._open = True

    def _watch(self) -> None:
        while not self._ended.wait(SILENCE_S / 4):
            with _lock:
                if _running[-1] is self and time.monotonic() - _last >= SILENCE_S:
                    self.more()

    def _write(self, text: str) -> None:
        global _last
        _last = time.monotonic()
        try:
            print(text, end="", file=sys.stderr, flush=True)
        except (OSError, ValueError):  # closed: nobody reads it
            self._ended.set()


class _BeforeHeavyImports:
    """Finds no module, but says what is going on before one is looked for that takes its time."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in HEAVY:
            with _lock:
                if _running:
                    _running[-1].more()


@contextmanager
def said_before_imports() -> Iterator[None]:
    """Write the line of a phase in which torch is imported before that begins, not a while after."""
    finder: Any = _BeforeHeavyImports()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def drawing() -> Iterator[None]:
    """Keep phases around this one from writing while something moves on a terminal."""
    silent = Dots("")
    with _lock:
        for dots in _running:
            dots.end_line()
        _running.append(silent)
    try:
        yield
    finally:
        with _lock:
            _running.remove(silent)
        about_to_write()


@contextmanager
def shown(what: str, done: int = 0, total: int | None = None) -> Iterator[None]:
    """Show a phase while it lasts.

    Args:
        what: its name, one line.
        done, total: phases that have ended, of how many, where that is known; on a terminal the bar shows it.
    """
    if not on_terminal():
        with Dots(what):
            yield
        return
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    place = () if total is None else (BarColumn(20), TextColumn("phase {task.fields[phase]} of {task.total}"))
    columns = (SpinnerColumn(), *place, TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with drawing(), Progress(*columns, console=Terminal(stderr=True), transient=True) as bar:
        bar.add_task(Text(what).plain, total=total, completed=done, phase=done + 1)
        yield


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show something that counts while it lasts; gives what is called with (done, total), None where there is no terminal."""
    if not on_terminal():
        with Dots(what):
            yield None
        return
    from rich.console import Console as Terminal
    from rich.markup import escape
    from rich.progress import Progress

    with drawing(), Progress(console=Terminal(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(what), total=None)  # moves to and fro until the first call: compiling, starting a cluster
        yield lambda done, total: bar.update(task, completed=done, total=total)
