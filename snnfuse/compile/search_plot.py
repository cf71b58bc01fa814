"""A bit width search as figures and as a plot: accuracy against synapse memory."""

import io
from typing import TYPE_CHECKING, Any

from snnfuse.hardware.errors import EnvironmentProblem

if TYPE_CHECKING:
    from snnfuse.export.quantization.mixed_precision import Point
    from snnfuse.export.staging.search import Found


def to_json(found: "Found", max_drop: float) -> dict[str, Any]:
    """JSON-able: every assignment tried, the Pareto front among them, and the one that was taken."""
    return {
        "max_drop": max_drop,
        "judged_by": found.judged_by,
        "samples": {"fitted": found.samples[0], "held_out": found.samples[1]},
        "note": "fits are chosen on one half of the samples, accuracy is that of the held-out half, which also decides",
        "float": found.float_accuracy,
        "taken": _point(found.best),
        "front": [_point(p) for p in found.front],
        "tried": [_point(p) for p in found.points],
    }


def _point(point: "Point") -> dict[str, Any]:
    held = {name: {"bits": choice.width, "groups": choice.groups} for name, choice in point.choices.items()}
    return {"bytes": point.memory, "accuracy": point.accuracy, "accepted": point.accepted, "weights": held}


def draw(found: "Found", max_drop: float) -> bytes:
    """The same as SVG, equal for equal points.

    Raises:
        EnvironmentProblem: matplotlib is missing.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EnvironmentProblem("the plot of a search needs matplotlib: pip install 'snnfuse[plots]'") from error

    with matplotlib.rc_context({"svg.hashsalt": "snnfuse", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        for points, style in ((found.points, {"marker": ".", "ls": "", "color": "0.6", "label": "tried"}),
                              (found.front, {"marker": "o", "ls": "-", "color": "C0", "label": "Pareto front"}),
                              ((found.best,), {"marker": "*", "ls": "", "color": "C3", "ms": 14, "label": "taken"})):  # fmt: skip
            axes.plot([p.memory / 1024 for p in points], [100 * p.accuracy for p in points], **style)
        axes.axhline(100 * found.float_accuracy, color="k", lw=0.8, label="float")
        axes.axhline(100 * found.float_accuracy - max_drop, color="k", lw=0.8, ls="--", label=f"float - {max_drop:g} points")
        axes.set(xlabel="synapse memory, KiB", ylabel=f"accuracy on {found.samples[1]} held-out samples, %", xscale="log")
        axes.legend()
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()
