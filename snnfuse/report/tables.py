"""Tables as text: in aligned columns, or with cells that hold sentences, wrapped to the width of the terminal."""

import io
import shutil
from collections.abc import Sequence

WIDTH = 80  # where there is no terminal


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Text in aligned columns, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    right = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(head))]
    lines = ("  ".join(cell.rjust(width) if r else cell.ljust(width) for cell, width, r in zip(row, widths, right)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def wrapped_table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A title above lines that separate wrapped rows."""
    from rich.box import Box
    from rich.console import Console as Terminal
    from rich.markup import escape
    from rich.table import Table

    lines = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)  # which every encoding has
    made = Table(title=title, title_justify="left", title_style="bold", box=lines, show_lines=False, pad_edge=False)
    for name in head:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(escape(str(cell)) for cell in row))  # square brackets as they are, not as markup
    written = io.StringIO()
    terminal = Terminal(file=written, width=shutil.get_terminal_size((WIDTH, 24)).columns, color_system=None)
    terminal.print(made)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()).strip("\n")
