"""How objects show themselves: at most 30 lines as text, a table in Jupyter. Nothing prints arrays."""

from collections.abc import Sequence
from html import escape

LINES = 30
STYLE = "border-collapse:collapse;font-size:0.9em"


def shortened(lines: Sequence[str], most: int = LINES) -> str:
    """The lines, or as many as fit with a word on the rest."""
    if len(lines) <= most:
        return "\n".join(lines)
    return "\n".join([*lines[: most - 1], f"... and {len(lines) - most + 1} more"])


def columns(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Aligned columns of text."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]


def html(title: str, lines: Sequence[str], head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A title, lines and a table; everything that is text is escaped."""
    said = "".join(f"<div>{escape(line)}</div>" for line in lines)
    first = "".join(f'<th scope="col" style="text-align:left">{escape(str(cell))}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    table = f'<table style="{STYLE}"><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>' if rows else ""
    return f"<div><b>{escape(title)}</b>{said}{table}</div>"
