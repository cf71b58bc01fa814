"""Which layer lies on which core of a board."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from snnfuse.hardware.pictures.canvas import FONT, PALE, ROOM, SMALL, Drawing, box, path, text, wide

if TYPE_CHECKING:
    from snnfuse.hardware.chip import Resources

ACROSS = 20  # cores in a row
SIDE, LEAST = 36.0, 5.5  # pixels of a core; of a letter of its name
COLORS = ("#a6c8ea", "#f6c99b", "#b5dfb2", "#f0aaa4", "#cdbbe3", "#d7bfb2", "#f2c6e2", "#d3d3d3", "#e2e29a", "#a5e0e6")


def draw_cores(resources: "Resources") -> Drawing:
    """A square per core of the chips that are used, coloured by layer in their order; where on the mesh Intel's compiler puts them is not
    known."""
    chips = max(1, resources.chips)
    total = -(-chips * resources.board.cores // max(1, resources.board.chips)) if resources.board.chips > 1 else resources.board.cores
    used = sum(layer.cores for layer in resources.layers)
    total, top = max(total, used), ROOM + 2 * FONT
    rows, width = -(-total // ACROSS), ACROSS * SIDE + 2 * ROOM
    marks = [text(width / 2, ROOM + FONT / 2, f"{used} of {total} cores, {resources.board.name}")]
    ends = np.cumsum([layer.cores for layer in resources.layers])
    for number, (layer, end) in enumerate(zip(resources.layers, ends)):
        marks += [_cores(first, last, top, COLORS[number % len(COLORS)]) for first, last in _by_row(int(end) - layer.cores, int(end))]
    marks += [_grid(first, last, top) for first, last in _by_row(0, total)]
    for layer, end in zip(resources.layers, ends):
        row, column = divmod(float(end - layer.cores / 2), ACROSS)
        size = max(LEAST, min(SMALL, SMALL * min(layer.cores, ACROSS) * SIDE / (wide([layer.name], SMALL) + 2)))
        marks.append(text(ROOM + column * SIDE, top + (row + 0.5) * SIDE, layer.name, size=size))
    return Drawing(width, top + rows * SIDE + ROOM, tuple(marks))


def _by_row(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Cores from the first to before the last, a row at a time: a board of 138,000 cores is no file of as many squares."""
    while first < last:
        end = min(last, (first // ACROSS + 1) * ACROSS)
        yield first, end
        first = end


def _cores(first: int, last: int, top: float, color: str) -> str:
    row, column = divmod(first, ACROSS)
    return box(ROOM + column * SIDE, top + row * SIDE, (last - first) * SIDE, SIDE, color)


def _grid(first: int, last: int, top: float) -> str:
    """Lines around the cores of a row."""
    x, y, number = ROOM, top + first // ACROSS * SIDE, last - first
    sides = "".join(f"M{x + i * SIDE:g} {y:g}v{SIDE:g}" for i in range(number + 1))
    return path(f"{sides}M{x:g} {y:g}h{number * SIDE:g}M{x:g} {y + SIDE:g}h{number * SIDE:g}", PALE)
