"""Pictures of a diagnosis, of classes, and of energy by layer; by matplotlib, as of `snnfuse.hardware.pictures`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from snnfuse.diagnosis.result import Diagnosis
from snnfuse.hardware.pictures.canvas import ADDED, LOST, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_errors(diagnosis: Diagnosis) -> "Figure":
    """What each layer changes alone and inherits, in percent of its spikes, or of a readout's voltage."""
    names, places = [layer.name for layer in diagnosis.layers], np.arange(len(diagnosis.layers))
    figure = new_figure(7, 0.4 * len(names) + 1)
    axes = figure.add_subplot()
    axes.barh(places - 0.2, [100 * layer.effect.alone.size for layer in diagnosis.layers], 0.38, color=ADDED, label="alone")
    axes.barh(places + 0.2, [100 * layer.effect.inherited.size for layer in diagnosis.layers], 0.38, color=LOST, label="inherited")
    axes.set_yticks(places, names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("spikes that differ from the float network's, %")
    axes.legend(fontsize="small")
    return figure


def draw_confusion(counts: ArrayLike, title: str = "", names: tuple[str, str] = ("label", "class")) -> "Figure":
    """How many samples of each label (downwards) were given each class (to the right).

    Args:
        counts: square, as of `snnfuse.measures.confusion`.
        title: above it.
        names: of rows and columns.
    """
    matrix = np.asarray(counts)
    number = len(matrix)
    figure = new_figure(max(3.2, 0.3 * number + 2), max(2.6, 0.3 * number + 1.6))
    axes = figure.add_subplot()
    axes.imshow(matrix, cmap="Blues")
    for i, j in zip(*np.nonzero(matrix)):
        color = "white" if 2 * matrix[i, j] > matrix.max() else "black"
        axes.text(j, i, str(matrix[i, j]), ha="center", va="center", fontsize=7, color=color)
    axes.set(xlabel=names[1], ylabel=names[0])
    axes.locator_params(integer=True)
    axes.set_title(title, parse_math=False, fontsize="medium")
    return figure


def draw_angles(features: Mapping[str, Mapping[str, Any]]) -> "Figure":
    """Angles between classes of an embedding, in degrees: compactness within and separability between, float against deployed.

    features: by name of the embedding, as rows of `snnfuse.measures.measure_modalities`.
    """
    figure = new_figure(8, 0.6 * len(features) + 1.3)
    axes, places = figure.add_subplot(), np.arange(len(features))
    for shift, kind, color in ((-0.2, "float", LOST), (0.2, "deployed", ADDED)):
        rows = [row.get(kind) or {} for row in features.values()]
        between, within = ([row.get(measure) or 0.0 for row in rows] for measure in ("separability", "compactness"))
        axes.barh(places + shift, between, 0.36, color=color, label=f"separability, {kind}")
        axes.plot(within, places + shift, "|", color="black", ms=14, mew=2, label="compactness" if shift > 0 else None)
    axes.set_yticks(places, list(features), parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("degrees between classes, bars, and within one, marks")
    figure.legend(fontsize="small", loc="outside upper right", ncols=3)
    return figure


def draw_energy(energy: Mapping[str, Any]) -> "Figure":
    """Dynamic energy of an inference by layer, modelled, the middle of each model's range; energy as in report.json."""
    names = [layer["name"] for layer in energy["layers"]]
    models = [model for model in energy["models"] if set(names) <= set(model["layers"])]  # the others tell layers not apart
    figure = new_figure(7, 0.35 * len(names) + 1.2)
    axes, places = figure.add_subplot(), np.arange(len(names))
    for number, model in enumerate(models):
        spans = [model["layers"][name] for name in names]
        middle = [sum(span) / 2 for span in spans]
        error = [[m - s[0] for m, s in zip(middle, spans)], [s[1] - m for m, s in zip(middle, spans)]]
        place = places + 0.8 * (number + 0.5) / len(models) - 0.4
        axes.barh(place, middle, 0.7 / len(models), xerr=error, label=model["model"], error_kw={"lw": 0.8})
    axes.set_yticks(places, names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("dynamic energy, µJ, modelled")
    axes.legend(fontsize="small")
    return figure
