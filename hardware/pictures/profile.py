"""Weights and states against what their registers hold, as hls4ml's profiling shows values against types."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import STATE_LIMIT
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.pictures.canvas import ADDED, BLUES, FONT, ROOM, SMALL, Drawing, Panel, line, shades, text, wide

WEIGHT_BITS, STATE_BITS = 8, int(np.log2(STATE_LIMIT))  # of a magnitude that its register holds
MOST = 40  # layers in one picture
ROW, BIT = 25.0, 14.0  # pixels of a layer, and of a bit


def draw_profile(program: Program, recording: Recording | None = None) -> Drawing:
    """A histogram per layer, as a row: how many bits the magnitudes of its weights have, and with a recording of states those of its
    currents and voltages; zeros are left out. The dashed line is what the register holds.

    Args:
        program: whose weights are shown, of `MOST` layers at most, evenly spaced.
        recording: of the same program, with states.
    """
    names = list(program.neurons)
    names = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(len(names), MOST)).astype(int))]
    columns, rows = list(_columns(program, recording, names)), len(names)
    left, top, height = wide(names) + 3 * ROOM, 2 * FONT + ROOM, ROW * rows
    marks = list[str]()
    for number, (title, limit, values) in enumerate(columns):
        panel = Panel(left, top, BIT * (limit + 1), height, (0.5, limit + 1.5), (-0.5, rows - 0.5))
        counts = np.stack([np.bincount(bits(row), minlength=limit + 2)[1 : limit + 2] for row in values]).astype(float)
        shares = np.sqrt(counts / np.maximum(counts.sum(1, keepdims=True), 1))  # so that the few largest are seen
        held = [panel.at(limit + 0.5, y) for y in panel.y]
        marks += [panel.image(shades(shares), BLUES), line(held, ADDED, 1.5, "4 3"), panel.frame(), panel.label_x(range(4, limit + 1, 4))]
        marks += [text(panel.left + panel.width / 2, top - FONT, title), panel.label_y(range(rows), names if number == 0 else [""] * rows)]
        left = panel.right + 2.5 * ROOM
    words = "bits of the magnitude; dashed: what the register holds"
    marks.append(text(left / 2, top + height + 2.7 * FONT, words, size=SMALL))
    return Drawing(left, top + height + 3.6 * FONT, tuple(marks))


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
