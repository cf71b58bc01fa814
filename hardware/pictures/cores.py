"""Which layer lies on which core of a board."""

from typing import TYPE_CHECKING

import numpy as np

from snnfuse.hardware.pictures.canvas import FONT, PALE, ROOM, SMALL, Drawing, box, text

if TYPE_CHECKING:
    from snnfuse.hardware.chip import Resources

ACROSS = 20  # cores in a row
SIDE = 36.0  # pixels of a core
COLORS = ("#a6c8ea", "#f6c99b", "#b5dfb2", "#f0aaa4", "#cdbbe3", "#d7bfb2", "#f2c6e2", "#d3d3d3", "#e2e29a", "#a5e0e6")


def draw_cores(resources: "Resources") -> Drawing:
    """A square per core of the chips that are used, coloured by layer in their order; where on the mesh Intel's compiler puts them is not
    known."""
    chips = max(1, resources.chips)
    total = -(-chips * resources.board.cores // max(1, resources.board.chips)) if resources.board.chips > 1 else resources.board.cores
    layers = np.repeat(np.arange(len(resources.layers)), [layer.cores for layer in resources.layers])
    total, top = max(total, len(layers)), ROOM + 2 * FONT
    rows, width = -(-total // ACROSS), ACROSS * SIDE + 2 * ROOM
    marks = [text(width / 2, ROOM + FONT / 2, f"{len(layers)} of {total} cores, {resources.board.name}")]
    for core in range(total):
        row, column = divmod(core, ACROSS)
        color = COLORS[layers[core] % len(COLORS)] if core < len(layers) else "white"
        marks.append(box(ROOM + column * SIDE, top + row * SIDE, SIDE, SIDE, color, PALE))
    ends = np.cumsum([layer.cores for layer in resources.layers])
    for layer, end in zip(resources.layers, ends):
        row, column = divmod(float(end - layer.cores / 2), ACROSS)
        marks.append(text(ROOM + column * SIDE, top + (row + 0.5) * SIDE, layer.name, size=SMALL))
    return Drawing(width, top + rows * SIDE + ROOM, tuple(marks))
