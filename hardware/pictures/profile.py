"""Weights and states against what their registers hold, as hls4ml's profiling shows values against types."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import STATE_LIMIT
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.pictures.canvas import ADDED, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WEIGHT_BITS, STATE_BITS = 8, int(np.log2(STATE_LIMIT))  # of a magnitude that its register holds
MOST = 40  # layers in one picture


def draw_profile(program: Program, recording: Recording | None = None) -> "Figure":
    """A histogram per layer, as a row: how many bits the magnitudes of its weights have, and with a recording of states those of its
    currents and voltages; zeros are left out. The dashed line is what the register holds.

    Args:
        program: whose weights are shown, of `MOST` layers at most, evenly spaced.
        recording: of the same program, with states.
    """
    names = list(program.neurons)
    names = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(len(names), MOST)).astype(int))]
    columns = list(_columns(program, recording, names))
    figure = new_figure(8, 0.26 * len(names) + 1.3)
    every = figure.subplots(1, len(columns), sharey=True, squeeze=False, width_ratios=[limit for _, limit, _ in columns])[0]
    for axes, (title, limit, values) in zip(every, columns):
        counts = np.stack([np.bincount(bits(row), minlength=limit + 2)[1 : limit + 2] for row in values]).astype(float)
        shares = np.sqrt(counts / np.maximum(counts.sum(1, keepdims=True), 1))  # so that the few largest are seen
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto", extent=(0.5, limit + 1.5, len(names) - 0.5, -0.5))
        axes.axvline(limit + 0.5, color=ADDED, ls="--", lw=1.2)
        axes.set(xlim=(0.5, limit + 1.5), xticks=range(4, limit + 1, 4))
        axes.set_title(title, fontsize="medium")
        axes.set_yticks(range(len(names)), names, parse_math=False)
    figure.supxlabel("bits of the magnitude; dashed: what the register holds", fontsize="small")
    return figure


def bits(values: NDArray) -> NDArray[np.int64]:
    """How many bits each magnitude has, 0 for 0."""
    return np.frexp(np.abs(values.ravel()).astype(np.float64))[1].astype(np.int64)


def _columns(program: Program, recording: Recording | None, names: list[str]) -> Iterator[tuple[str, int, list[NDArray]]]:
    """What is shown: title, bits that its register holds, and values by layer."""
    weights = [[np.asarray(c.synapse.values).ravel() for c in program.into(name)] for name in names]
    yield "weights", WEIGHT_BITS, [np.concatenate(w) if w else np.zeros(0, int) for w in weights]
    if recording is not None and recording.states:
        for state, title in (("u", "currents u"), ("v", "voltages v")):
            yield title, STATE_BITS, [np.asarray(recording.states.get(n, {}).get(state, np.zeros(0, int))) for n in names]
