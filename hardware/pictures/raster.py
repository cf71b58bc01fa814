"""Spikes over time; of two runs, those of either alone marked."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.pictures.canvas import ADDED, FONT, LOST, PALE, ROOM, SAME, Drawing, Panel, legend, line, rgb, ticks, wide
from snnfuse.hardware.pictures.canvas import marker as mark

MOST = 8  # layers in one picture
NEURONS = 64  # of a layer that are drawn: those in which two runs differ most, and others, evenly spaced
GAP = 6  # rows between two layers
WIDTH, ROW, FEW = 864.0, 1.73, 200.0  # pixels of the picture, of a neuron, and of all of them where they are few
MARKED = 400  # differences up to which each has a cross too, so that single ones are seen


def draw_raster(
    recording: Recording,
    other: Recording | None = None,
    nodes: list[str] | None = None,
    sample: int = 0,
    names: tuple[str, str] = ("first", "second"),
) -> Drawing:
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
    bands = list(_bands(recording, other, chosen_layers(recording, other, nodes), sample))
    steps, rows = max(len(band) for _, band, _ in bands), sum(band.shape[1] + GAP for _, band, _ in bands) - GAP
    picture, places, row = np.zeros((rows, steps), np.uint8), [], 0
    for _, band, _ in bands:
        picture[row : row + band.shape[1], : len(band)] = band.T
        places.append(row + (band.shape[1] - 1) / 2)
        row += band.shape[1] + GAP
    labels = [words for _, _, words in bands]
    left = wide(part for label in labels for part in label.split("\n")) + 3 * ROOM
    size = max(WIDTH - left - ROOM, FONT), max(ROW * rows, 2.6 * FONT * len(bands), min(8.0 * rows, FEW))
    panel = Panel(left, 2 * FONT, *size, (-0.5, steps - 0.5), (-0.5, rows - 0.5))
    kinds = ((SAME, "both" if other is not None else "spikes"), (LOST, f"{names[0]} only"), (ADDED, f"{names[1]} only"))
    marks = [panel.image(picture, rgb("#ffffff", SAME, LOST, ADDED)), legend(panel.right, FONT, kinds[: 1 if other is None else 3])]
    if (picture > 1).sum() <= MARKED:
        marks += [mark(*panel.at(t, n), "x", kinds[picture[n, t] - 1][0]) for n, t in zip(*np.nonzero(picture > 1))]
    for edge in np.cumsum([band.shape[1] + GAP for _, band, _ in bands])[:-1]:
        marks.append(line([panel.at(x, float(edge) - (GAP + 1) / 2) for x in panel.x], PALE))
    marks += [panel.frame(), panel.label_y(places, labels), panel.label_x(ticks(0, steps - 1, 10, whole=True), name="time step")]
    return Drawing(WIDTH, panel.bottom + 3.8 * FONT, tuple(marks))


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
