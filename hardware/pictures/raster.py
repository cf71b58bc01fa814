"""Spikes over time; of two runs, those of either alone marked."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.pictures.canvas import ADDED, LOST, SAME, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 8  # layers in one picture
NEURONS = 400  # of a layer that are drawn, evenly spaced


def draw_raster(recording: Recording, other: Recording | None = None, nodes: list[str] | None = None, sample: int = 0) -> "Figure":
    """A panel per layer: time steps to the right, neurons upwards.

    Args:
        recording: whose spikes are drawn, of a float network or a program.
        other: a second run; its spikes alone are red, those of the first alone blue, and what both have grey.
        nodes: layers; by default the first that both recorded, `MOST` at most.
        sample: along the batch axis.

    Raises:
        InputError: a layer or sample that was not recorded, or two runs of different size.
    """
    known = [n for n in recording.spikes if recording.outputs.get(n, n) == n and (other is None or n in other.spikes)]
    chosen = known[:MOST] if nodes is None else list(nodes)
    unknown = [n for n in chosen if n not in known]
    if unknown or not chosen:
        raise InputError(f"no layer {unknown[0]!r} was recorded; there are {', '.join(known)}" if unknown else "nothing was recorded")
    figure = new_figure(8, 1.6 * len(chosen) + 0.6)
    for number, name in enumerate(chosen, 1):
        a = _spikes(recording, name, sample)
        b = a if other is None else _spikes(other, name, sample)
        if a.shape != b.shape:
            raise InputError(f"{name}: {a.shape} steps and neurons against {b.shape}")
        axes = figure.add_subplot(len(chosen), 1, number)
        parts = ((a & b, SAME, "both"), (a & ~b, LOST, "first only"), (b & ~a, ADDED, "second only"))
        for spikes, color, label in parts:
            if spikes.any() or number == 1:  # the first panel's legend names all three
                time, neuron = np.nonzero(spikes)
                axes.scatter(time, neuron, s=4 if color == SAME else 14, c=color, marker="|" if color == SAME else "x", label=label)
        axes.set(xlim=(-0.5, len(a) - 0.5), ylim=(-0.5, a.shape[1] - 0.5), ylabel="neuron")
        axes.set_title(name, parse_math=False, fontsize="medium", loc="left")  # a user's name, and no formula
        if other is not None and number == 1:
            axes.legend(fontsize="small", loc="upper right")
    figure.axes[-1].set_xlabel("time step")
    return figure


def _spikes(recording: Recording, name: str, sample: int) -> NDArray[np.bool_]:
    """(time, neurons) of one sample, `NEURONS` at most."""
    spikes = np.asarray(recording.spikes[name])
    if not 0 <= sample < spikes.shape[1]:
        raise InputError(f"sample {sample}: the recording has {spikes.shape[1]}, counted from 0")
    flat = spikes[:, sample].reshape(len(spikes), -1) != 0
    return flat if flat.shape[1] <= NEURONS else flat[:, np.linspace(0, flat.shape[1] - 1, NEURONS).astype(int)]
