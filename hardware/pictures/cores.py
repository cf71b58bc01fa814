"""Which layer lies on which core of a board."""

from typing import TYPE_CHECKING

import numpy as np

from snnfuse.hardware.pictures.canvas import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from snnfuse.hardware.chip import Resources

ACROSS = 20  # cores in a row


def draw_cores(resources: "Resources") -> "Figure":
    """A square per core of the chips that are used, coloured by layer in their order; where on the mesh Intel's compiler puts them is not
    known."""
    chips = max(1, resources.chips)
    total = -(-chips * resources.board.cores // max(1, resources.board.chips)) if resources.board.chips > 1 else resources.board.cores
    layers = np.repeat(np.arange(len(resources.layers)), [layer.cores for layer in resources.layers])
    total = max(total, len(layers))
    squares = np.full(-(-total // ACROSS) * ACROSS, np.nan)
    squares[: len(layers)] = layers
    figure = new_figure(8, 0.35 * len(squares) / ACROSS + 0.9)
    axes = figure.add_subplot()
    axes.pcolormesh(squares.reshape(-1, ACROSS)[::-1], cmap="tab20", vmin=0, vmax=19, edgecolors="0.7", lw=0.4)
    axes.set(xticks=[], yticks=[], title=f"{len(layers)} of {total} cores, {resources.board.name}")
    middles = np.cumsum([layer.cores for layer in resources.layers]) - [layer.cores / 2 for layer in resources.layers]
    height = len(squares) // ACROSS
    for layer, middle in zip(resources.layers, middles):
        row, column = divmod(float(middle), ACROSS)
        axes.text(column, height - row - 0.5, layer.name, ha="center", va="center", fontsize=6, parse_math=False)
    return figure
