"""Pictures of a diagnosis, of classes, and of energy by layer; as those of `snnfuse.hardware.pictures`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from snnfuse.diagnosis.result import Diagnosis
from snnfuse.hardware.pictures import canvas
from snnfuse.hardware.pictures.canvas import ADDED, FONT, LOST, ROOM, Drawing, Panel

WIDTH = 672.0  # pixels
COLORS = (LOST, ADDED, "#3f8f4f", "#8a5fb0")
CELL = 29.0  # pixels of a cell of a confusion matrix


def draw_errors(diagnosis: Diagnosis) -> Drawing:
    """What each layer changes alone and inherits, in percent of its spikes, or of a readout's voltage."""
    layers = diagnosis.layers
    rows = [("alone", ADDED, [100 * layer.effect.alone.size for layer in layers])]
    rows += [("inherited", LOST, [100 * layer.effect.inherited.size for layer in layers])]
    panel = _bars([layer.name for layer in layers], rows, 38)
    return _barred(panel, [layer.name for layer in layers], rows, "spikes that differ from the float network's, %")


def draw_confusion(counts: ArrayLike, title: str = "", names: tuple[str, str] = ("label", "class")) -> Drawing:
    """How many samples of each label (downwards) were given each class (to the right).

    Args:
        counts: square, as of `snnfuse.measures.confusion`.
        title: above it.
        names: of rows and columns.
    """
    matrix = np.asarray(counts)
    number = len(matrix)
    side, left = CELL * number, 5 * FONT
    panel = Panel(left, 2.2 * FONT, side, side, (-0.5, number - 0.5), (-0.5, number - 0.5))
    marks = [panel.image(canvas.shades(matrix / max(1, matrix.max())), canvas.BLUES), panel.frame()]
    for i, j in zip(*np.nonzero(matrix)):
        color = "white" if 2 * matrix[i, j] > matrix.max() else canvas.DARK
        marks.append(canvas.text(*panel.at(j, i), str(matrix[i, j]), size=canvas.SMALL, fill=color))
    places = canvas.ticks(0, number - 1, 20, whole=True)
    width = max(panel.right + ROOM, canvas.wide([title]) + 2 * ROOM)
    marks += [panel.label_x(places, name=names[1]), panel.label_y(places, name=names[0]), canvas.text(width / 2, FONT, title)]
    return Drawing(width, panel.bottom + 3.8 * FONT, tuple(marks))


def draw_angles(features: Mapping[str, Mapping[str, Any]]) -> Drawing:
    """Angles between classes of an embedding, in degrees: compactness within and separability between, float against deployed.

    features: by name of the embedding, as rows of `snnfuse.measures.measure_modalities`.
    """
    names = list(features)
    kinds = (("float", LOST), ("deployed", ADDED))
    of = {kind: [row.get(kind) or {} for row in features.values()] for kind, _ in kinds}
    rows = [(f"separability, {kind}", color, [row.get("separability") or 0.0 for row in of[kind]]) for kind, color in kinds]
    within = [[row.get("compactness") or 0.0 for row in of[kind]] for kind, _ in kinds]
    panel = _bars(names, rows, 58, max((value for each in within for value in each), default=0.0))
    extra = [
        canvas.marker(*panel.at(value, _place(place, number, len(rows))), "|", canvas.DARK, 10)
        for number, each in enumerate(within)
        for place, value in enumerate(each)
    ]
    return _barred(panel, names, rows, "degrees between classes, bars, and within one (compactness), marks", extra)


def draw_energy(energy: Mapping[str, Any]) -> Drawing:
    """Dynamic energy of an inference by layer, modelled, the middle of each model's range; energy as in report.json."""
    names = [layer["name"] for layer in energy["layers"]]
    models = [model for model in energy["models"] if set(names) <= set(model["layers"])]  # the others tell layers not apart
    spans = [[model["layers"][name] for name in names] for model in models]
    rows = [(model["model"], color, [sum(span) / 2 for span in each]) for model, color, each in zip(models, COLORS, spans)]
    panel = _bars(names, rows, 34, max((span[1] for each in spans for span in each), default=0.0))
    extra = [
        canvas.line([panel.at(end, _place(place, number, len(rows))) for end in span], canvas.DARK)
        for number, each in enumerate(spans)
        for place, span in enumerate(each)
    ]
    return _barred(panel, names, rows, "dynamic energy, µJ, modelled", extra)


Rows = Sequence[tuple[str, str, Sequence[float]]]  # what is shown, its colour, a value for each name


def _place(place: int, number: int, of: int) -> float:
    """Height of a bar: its name's place, and which of the bars of that name it is."""
    return place + 0.8 * ((number + 0.5) / max(1, of) - 0.5)


def _bars(names: Sequence[str], rows: Rows, row: float, largest: float = 0.0) -> Panel:
    """Room for bars of so many pixels a name, up to the largest value."""
    left = canvas.wide(names) + 3 * ROOM
    most = max([largest, *(value for _, _, values in rows for value in values)]) or 1.0
    return Panel(left, 2 * FONT, max(WIDTH - left - 2 * ROOM, 200), row * len(names), (0, 1.03 * most), (-0.5, len(names) - 0.5))


def _barred(panel: Panel, names: Sequence[str], rows: Rows, unit: str, extra: Sequence[str] = ()) -> Drawing:
    """Bars side by side, with names at the left, what they measure below and which is which above; what is extra lies over them."""
    thick = 0.76 / max(1, len(rows))
    marks = [
        panel.bar(value, _place(place, number, len(rows)), color, thick)
        for number, (_, color, values) in enumerate(rows)
        for place, value in enumerate(values)
    ]
    marks += [*extra, panel.frame(), panel.label_y(range(len(names)), names), panel.label_x(canvas.ticks(*panel.x), name=unit)]
    marks.append(canvas.legend(panel.right, FONT, [(color, words) for words, color, _ in rows]))
    return Drawing(panel.right + 2 * ROOM, panel.bottom + 3.8 * FONT, tuple(marks))
