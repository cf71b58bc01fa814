"""Tables as text, and sentences, no wider than the terminal: in aligned columns, or with cells that hold sentences."""

import io
import shutil
import textwrap
from collections.abc import Sequence

WIDTH = 80  # where there is no terminal
FOLDED = 12  # characters below which a column is not made narrower


def columns() -> int:
    """How wide a line may be: $COLUMNS, the terminal, or `WIDTH`."""
    return shutil.get_terminal_size((WIDTH, 24)).columns


def wrapped(line: str) -> list[str]:
    """A line as lines that are no wider than may be, those after the first indented; a word stays whole."""
    width = columns()
    if len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Text in aligned columns, numbers to the right. Of a table that is too wide, cells go over several lines; where that is not enough,
    further columns follow below, the first one repeated."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths, words = ([max(len(part) for row in cells for part in cut(row[i])) for i in range(len(head))] for cut in (_whole, _words))
    held = _held(widths, words)
    if held < len(head):
        blocks = ([row[:held] for row in [head, *rows]], [[row[0], *row[held:]] for row in [head, *rows]])
        return "\n".join(table([str(cell) for cell in block[0]], block[1:]) for block in blocks)
    right = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(head))]
    widths, lines = _fitted(widths, words), list[str]()
    for row in cells:
        parts = [textwrap.wrap(cell, width, break_on_hyphens=False) or [""] for cell, width in zip(row, widths)]
        for k in range(max(map(len, parts))):
            line = [part[k] if k < len(part) else "" for part in parts]
            lines.append("  ".join(cell.rjust(width) if r else cell.ljust(width) for cell, width, r in zip(line, widths, right)))
    return "\n".join(line.rstrip() for line in lines)


def _whole(cell: str) -> list[str]:
    return [cell]


def _words(cell: str) -> list[str]:
    return cell.split() or [""]


def _held(widths: Sequence[int], words: Sequence[int]) -> int:
    """How many columns fit beside each other when each is as narrow as its longest word, but no wider than `FOLDED`; two at least."""
    if sum(widths) + 2 * (len(widths) - 1) <= columns():
        return len(widths)
    least = [min(width, max(word, min(width, FOLDED))) for width, word in zip(widths, words)]
    return max(2, sum(sum(least[: i + 1]) + 2 * i <= columns() for i in range(len(least))))


def _fitted(widths: Sequence[int], words: Sequence[int]) -> list[int]:
    """A width for each column, the widest made narrower first; a word is cut only where two columns leave no room for it."""
    found, room = list(widths), columns() - 2 * (len(widths) - 1)
    for least in (words, [min(FOLDED, width) for width in widths]):
        while sum(found) > room and any(width > low for width, low in zip(found, least)):
            widest = max((i for i in range(len(found)) if found[i] > least[i]), key=lambda i: found[i])
            found[widest] -= 1
    return found


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
    terminal = Terminal(file=written, width=columns(), color_system=None)
    terminal.print(made)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()).strip("\n")
