"""How objects show themselves: at most 30 lines as text, a table in Jupyter. Nothing prints arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

LINES, ABOUT = 30, 3  # lines of text at most, and those beside a table's rows: title, head, and a word on the rest
STYLE = "border-collapse:collapse;font-size:0.9em"


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


@dataclass(frozen=True)
class Summary:
    """An object in short.

    Attributes:
        title: what it is.
        lines: sentences.
        head, rows: a table; no arrays.
    """

    title: str
    lines: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()

    def __str__(self) -> str:
        room = LINES - ABOUT - len(self.lines)
        kept = self.rows[:room]
        rest = [f"... and {len(self.rows) - len(kept)} more"] if len(kept) < len(self.rows) else []
        return "\n".join([self.title, *self.lines, *(columns(self.head, kept) if kept else ()), *rest])

    def html(self) -> str:
        """As a table for a notebook, all rows."""
        return html(self.title, self.lines, self.head, self.rows)


class Summarised:
    """Objects that show themselves by a summary."""

    def summary(self) -> Summary:
        """The object in short."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary().html()
