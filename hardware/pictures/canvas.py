"""Pictures as SVG, equal for equal content: a drawing, a panel with axes on it, and cells as an image. Sizes are pixels of 1/96 inch.

Written out here rather than by a plotting library, which takes a second to load and draw what an export's page shows.
"""

import base64
import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.hardware.files import write_whole

ADDED, LOST, SAME = "#c1442e", "#2e6fc1", "#555555"
PALE, DARK = "#cccccc", "#222222"
FONT, SMALL = 12.0, 10.0  # pixels
LETTER = 0.58  # width of a letter of a sans-serif font, in parts of its size
ROOM, GAP = 8.0, 4.0  # around a panel; between its frame and what is written beside it
BLUES = np.linspace((247, 251, 255), (8, 48, 107), 256).astype(np.uint8)  # from none to all


@dataclass(frozen=True)
class Drawing:
    """A picture, which a notebook shows, `save(path)` writes and `str(...)` gives as an <svg> element.

    Attributes:
        width, height: pixels.
        marks: SVG elements, from the back to the front.
    """

    width: float
    height: float
    marks: tuple[str, ...]

    def __str__(self) -> str:
        size = f'width="{self.width:.0f}" height="{self.height:.0f}" viewBox="0 0 {self.width:.0f} {self.height:.0f}"'
        style = f'font-family="sans-serif" font-size="{FONT:g}" fill="{DARK}"'
        back = '<rect width="100%" height="100%" fill="white"/>'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{back}{"".join(self.marks)}</svg>'

    def _repr_svg_(self) -> str:
        return str(self)

    def save(self, path: str | Path) -> None:
        """Write it as an .svg file."""
        write_whole(Path(path), str(self).encode())


def wide(lines: Iterable[str], size: float = FONT) -> float:
    """About how many pixels the longest of some lines takes."""
    return LETTER * size * max((len(line) for line in lines), default=0)


def text(x: float, y: float, words: str, anchor: str = "middle", size: float = FONT, fill: str = DARK, turned: bool = False) -> str:
    """Words, whose middle is at a height, with lines below each other; anchor: start, middle or end, in the reading direction."""
    lines = words.split("\n")
    first = y - 0.6 * size * (len(lines) - 1)
    spans = "".join(
        f'<tspan x="{x:.1f}" y="{first + 1.2 * size * i + 0.35 * size:.1f}">{escape(line)}</tspan>' for i, line in enumerate(lines)
    )
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text text-anchor="{anchor}" font-size="{size:g}" fill="{fill}"{turn}>{spans}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, stroke: str = "none", round_by: float = 0) -> str:
    """A rectangle by its upper left corner."""
    corner = f' rx="{round_by:g}"' if round_by else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" stroke="{stroke}"{corner}/>'


def path(steps: str, stroke: str, width: float = 1, dashes: str = "", fill: str = "none") -> str:
    """A line as SVG writes it."""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="{steps}" fill="{fill}" stroke="{stroke}" stroke-width="{width:g}"{dashed}/>'


def line(points: Iterable[tuple[float, float]], stroke: str, width: float = 1, dashes: str = "") -> str:
    """Straight from point to point."""
    return path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points), stroke, width, dashes)


def marker(x: float, y: float, shape: str, color: str, size: float = 4) -> str:
    """A mark at a point: "o", "x", "|" or "*", of so many pixels to each side."""
    if shape == "o":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:g}" fill="{color}"/>'
    if shape == "*":
        corners = [(size * (1 if i % 2 == 0 else 0.4), math.pi * i / 5) for i in range(10)]
        points = " ".join(f"{x + r * math.sin(a):.1f},{y - r * math.cos(a):.1f}" for r, a in corners)
        return f'<polygon points="{points}" fill="{color}"/>'
    ends = {"x": ((1, 1), (1, -1)), "|": ((0, 1),)}[shape]
    return path("".join(f"M{x - i * size:.1f} {y - j * size:.1f}L{x + i * size:.1f} {y + j * size:.1f}" for i, j in ends), color, 1.5)


def legend(right: float, y: float, entries: Sequence[tuple[str, str]]) -> str:
    """Names with a square of their colour before each, in a row that ends at the right."""
    marks, x = list[str](), right
    for color, words in reversed(entries):
        x -= wide([words], SMALL)
        marks.append(text(x, y, words, "start", SMALL) + box(x - 13, y - 4.5, 9, 9, color))
        x -= 25
    return "".join(marks)


def legend_width(words: Iterable[str]) -> float:
    """Pixels that a row of such names takes."""
    return sum(wide([each], SMALL) + 25 for each in words)


def ticks(low: float, high: float, about: int = 6, whole: bool = False) -> list[float]:
    """Round numbers within a range, 1, 2 or 5 times a power of ten apart; whole: integers only."""
    span = max(high - low, 1e-12)
    power = 10.0 ** math.floor(math.log10(span / about))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= about)
    step = max(1.0, round(step)) if whole else step
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Panel:
    """A rectangle with a scale along each side.

    Attributes:
        left, top, width, height: pixels.
        x, y: what lies at its left and right, at its top and bottom.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    @property
    def right(self) -> float:
        """Pixels."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Pixels."""
        return self.top + self.height

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies, in pixels."""
        (left, right), (top, bottom) = self.x, self.y
        return self.left + self.width * (x - left) / (right - left), self.top + self.height * (y - top) / (bottom - top)

    def bar(self, x: float, y: float, color: str, thick: float) -> str:
        """A bar from 0 to the right, at a height, so thick, both on the scale."""
        (start, top), (end, bottom) = self.at(0, y - thick / 2), self.at(x, y + thick / 2)
        return box(start, min(top, bottom), max(0.0, end - start), abs(bottom - top), color)

    def frame(self) -> str:
        """Its outline."""
        return box(self.left, self.top, self.width, self.height, "none", SAME)

    def label_x(self, at: Iterable[float], words: Sequence[str] | None = None, name: str = "") -> str:
        """Numbers, or words, below it, and what they are."""
        places = list(at)
        said = [f"{value:g}" for value in places] if words is None else list(words)
        marks = [_below(*self.at(value, self.y[1]), word) for value, word in zip(places, said)]
        return "".join(marks) + (text(self.left + self.width / 2, self.bottom + 2.9 * FONT, name) if name else "")

    def label_y(self, at: Iterable[float], words: Sequence[str] | None = None, name: str = "", size: float = FONT) -> str:
        """Numbers, or words, at its left, and what they are."""
        places = list(at)
        said = [f"{value:g}" for value in places] if words is None else list(words)
        marks = [_beside(*self.at(self.x[0], value), word, size) for value, word in zip(places, said)]
        far = self.left - GAP - 5 - wide((w for word in said for w in word.split("\n")), size) - FONT
        return "".join(marks) + (text(far, self.top + self.height / 2, name, turned=True) if name else "")

    def image(self, cells: NDArray[np.uint8], colors: NDArray[np.uint8]) -> str:
        """Cells that fill it, (rows, columns) of numbers of colours, which are (n, 3)."""
        down, across = (max(1, math.ceil(size / of)) for size, of in zip((self.height, self.width), cells.shape))
        cells = cells.repeat(down, 0).repeat(across, 1)  # a dot for each pixel: what enlarges it blurs no cell
        place = f'x="{self.left:.1f}" y="{self.top:.1f}" width="{self.width:.1f}" height="{self.height:.1f}"'
        content = base64.b64encode(png(cells, colors)).decode()
        return f'<image {place} preserveAspectRatio="none" href="data:image/png;base64,{content}"/>'


def _below(x: float, y: float, word: str) -> str:
    return line([(x, y), (x, y + GAP)], SAME) + text(x, y + GAP + 0.8 * FONT, word)


def _beside(x: float, y: float, word: str, size: float) -> str:
    return line([(x - GAP, y), (x, y)], SAME) + text(x - GAP - 3, y, word, "end", size)


def rgb(*colors: str) -> NDArray[np.uint8]:
    """Colours as #rrggbb to (n, 3)."""
    return np.array([list(bytes.fromhex(color[1:])) for color in colors], np.uint8)


def shades(shares: ArrayLike) -> NDArray[np.uint8]:
    """Numbers of `BLUES` for shares of 0 to 1."""
    return np.round(255 * np.clip(np.asarray(shares, float), 0, 1)).astype(np.uint8)


def png(cells: NDArray[np.uint8], colors: NDArray[np.uint8]) -> bytes:
    """A PNG file of 8 bits a pixel with a palette (ISO/IEC 15948): cells (rows, columns) of numbers of colours, which are (n, 3)."""
    rows, columns = cells.shape
    raw = np.hstack([np.zeros((rows, 1), np.uint8), cells]).tobytes()  # each row begins with the number of its filter, 0 for none
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", colors.astype(np.uint8).tobytes()), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
