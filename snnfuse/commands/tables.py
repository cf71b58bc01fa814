"""Tables whose cells hold sentences: wrapped to the width of the terminal, as text."""

import io
import shutil
from collections.abc import Sequence

WIDTH = 140  # where there is no terminal


def wrapped_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A title above lines that separate wrapped rows."""
    from rich import box
    from rich.console import Console as Terminal
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_lines=False, pad_edge=False)
    for name in head:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(_plain(cell) for cell in row))
    terminal = Terminal(file=io.StringIO(), width=shutil.get_terminal_size((WIDTH, 24)).columns, color_system=None)
    terminal.print(made)
    return "\n".join(line.rstrip() for line in terminal.file.getvalue().splitlines()).strip("\n")


def _plain(cell: str) -> str:
    """Square brackets as they are, not as rich's markup."""
    from rich.markup import escape

    return escape(cell)
