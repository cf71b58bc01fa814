"""Weights and states against what their registers hold, as hls4ml's profiling shows values against types."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import STATE_LIMIT
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.pictures.canvas import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FULL = 256  # one above the largest magnitude of a weight
BITS = np.arange(-0.5, 24.5)


def draw_profile(program: Program, recording: Recording | None = None) -> "Figure":
    """A row per layer: how many weights, and with a recording of states how many currents and voltages, have how many bits.

    Args:
        program: whose weights are shown.
        recording: of the same program, with states; the limit of 24 bits is drawn.
    """
    names = list(program.neurons)
    columns = 1 if recording is None or not recording.states else 3
    figure = new_figure(3.2 * columns, 1.3 * len(names) + 0.6)
    for row, name in enumerate(names):
        weights = [np.asarray(c.synapse.values).ravel() for c in program.into(name)]
        panels: list[tuple[str, NDArray, int]] = [("weights", np.concatenate(weights) if weights else np.zeros(0), FULL)]
        for state in ("u", "v")[: columns - 1]:
            values = {} if recording is None else recording.states.get(name, {})
            panels.append((state, np.asarray(values.get(state, np.zeros(0))).ravel(), STATE_LIMIT))
        for column, (what, values, limit) in enumerate(panels):
            axes = figure.add_subplot(len(names), columns, row * columns + column + 1)
            bits = np.ceil(np.log2(np.abs(values[values != 0].astype(np.float64)) + 1))
            axes.hist(bits, bins=BITS.tolist(), color="#2e6fc1")
            axes.axvline(float(np.log2(limit)), color="#c1442e", ls="--", lw=1)
            axes.set(yticks=[], xlim=(-0.5, 24.5))
            axes.set_title(f"{name}: {what}", parse_math=False, fontsize="small", loc="left")
            if row + 1 == len(names):
                axes.set_xlabel("bits of the magnitude; dashed: what the register holds", fontsize="x-small")
    return figure
