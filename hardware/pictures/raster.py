"""Spikes over time; of two runs, those of either alone marked."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.pictures.canvas import ADDED, LOST, SAME, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 8  # layers in one picture
NEURONS = 64  # of a layer that are drawn: those in which two runs differ most, and others, evenly spaced
GAP = 6  # rows between two layers
MARKED = 400  # differences up to which each has a cross too, so that single ones are seen


def draw_raster(
    recording: Recording,
    other: Recording | None = None,
    nodes: list[str] | None = None,
    sample: int = 0,
    names: tuple[str, str] = ("first", "second"),
) -> "Figure":
    """A band per layer: time steps to the right, a row per neuron, at most `NEURONS` of each layer.

    Args:
        recording: whose spikes are drawn, of a float network or a program.
        other: a second run; its spikes alone are red, those of the first alone blue, and what both have grey.
        nodes: layers; by default the first that both recorded, `MOST` at most.
        sample: along the batch axis.
        names: of the two runs.

    Raises:
        InputError: a layer or sample that was not recorded, or two runs of different size.
    """
    from matplotlib.colors import ListedColormap

    bands = list(_bands(recording, other, chosen_layers(recording, other, nodes), sample))
    steps, rows = max(len(band) for _, band, _ in bands), sum(band.shape[1] + GAP for _, band, _ in bands) - GAP
    picture, places, row = np.zeros((rows, steps), np.uint8), [], 0
    for _, band, _ in bands:
        picture[row : row + band.shape[1], : len(band)] = band.T
        places.append(row + (band.shape[1] - 1) / 2)
        row += band.shape[1] + GAP
    figure = new_figure(9, 0.018 * rows + 0.9)
    axes = figure.add_subplot()
    axes.imshow(picture, ListedColormap(["white", SAME, LOST, ADDED]), vmin=0, vmax=3, aspect="auto", interpolation="nearest")
    marks = (
        ("s", SAME, 1, "both" if other is not None else "spikes"),
        ("x", LOST, 2, f"{names[0]} only"),
        ("x", ADDED, 3, f"{names[1]} only"),
    )
    for marker, color, value, label in marks[: 1 if other is None else 3]:
        neuron, time = np.nonzero(picture == value) if 1 < value and (picture > 1).sum() <= MARKED else ([], [])
        axes.plot(time, neuron, marker=marker, color=color, ls="", ms=5, label=label)
    for edge in np.cumsum([band.shape[1] + GAP for _, band, _ in bands])[:-1]:
        axes.axhline(float(edge) - (GAP + 1) / 2, color="0.8", lw=0.8)
    axes.set_yticks(places, [words for _, _, words in bands], parse_math=False)
    axes.set(xlabel="time step", xlim=(-0.5, steps - 0.5), ylim=(rows - 0.5, -0.5))
    axes.locator_params(axis="x", integer=True)
    figure.legend(*axes.get_legend_handles_labels(), fontsize="small", loc="outside upper right", ncols=3)
    return figure


def chosen_layers(recording: Recording, other: Recording | None = None, nodes: list[str] | None = None) -> list[str]:
    """Layers to draw; InputError for one that was not recorded by both."""
    known = [n for n in recording.spikes if recording.outputs.get(n, n) == n and (other is None or n in other.spikes)]
    chosen = known[:MOST] if nodes is None else list(nodes)
    unknown = [n for n in chosen if n not in known]
    if unknown or not chosen:
        raise InputError(f"no layer {unknown[0]!r} was recorded; there are {', '.join(known)}" if unknown else "nothing was recorded")
    return chosen


def _bands(recording: Recording, other: Recording | None, names: list[str], sample: int) -> Iterator[tuple[str, NDArray[np.uint8], str]]:
    """By layer: its name, (time, neurons) with 1 for a spike of both, 2 of the first and 3 of the second alone, and its label."""
    for name in names:
        a = _spikes(recording, name, sample)
        b = a if other is None else _spikes(other, name, sample)
        if a.shape != b.shape:
            raise InputError(f"{name}: {a.shape} steps and neurons against {b.shape}")
        both = (a & b) + np.uint8(2) * (a & ~b) + np.uint8(3) * (b & ~a)
        shown = _shown((a != b).sum(0))
        yield name, both[:, shown], f"{name}\n{len(shown)} of {a.shape[1]}" if len(shown) < a.shape[1] else name


def _shown(differences: NDArray[np.int64]) -> NDArray[np.int64]:
    """Neurons to draw, in order."""
    if len(differences) <= NEURONS:
        return np.arange(len(differences))
    worst = np.argsort(-differences, kind="stable")[: NEURONS // 2]
    worst = worst[differences[worst] > 0]
    others = np.setdiff1d(np.arange(len(differences)), worst)
    return np.sort(np.r_[worst, others[np.linspace(0, len(others) - 1, NEURONS - len(worst)).astype(int)]])


def _spikes(recording: Recording, name: str, sample: int) -> NDArray[np.bool_]:
    """(time, neurons) of one sample."""
    spikes = np.asarray(recording.spikes[name])
    if not 0 <= sample < spikes.shape[1]:
        raise InputError(f"sample {sample}: the recording has {spikes.shape[1]}, counted from 0")
    return spikes[:, sample].reshape(len(spikes), -1) != 0
