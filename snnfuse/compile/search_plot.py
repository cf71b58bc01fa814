"""A bit width search as figures and as a plot: accuracy against synapse memory."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from snnfuse.hardware.pictures import canvas

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
    """The same as an SVG file, equal for equal points: bytes on a logarithmic scale."""
    kinds = (
        ("tried", "o", canvas.PALE, found.points),
        ("Pareto front", "o", canvas.LOST, found.front),
        ("taken", "*", canvas.ADDED, (found.best,)),
    )
    places = {name: [(math.log10(p.memory / 1024), 100 * p.accuracy) for p in points] for name, _, _, points in kinds}
    limits = [100 * found.float_accuracy, 100 * found.float_accuracy - max_drop]
    panel = _panel([place for each in places.values() for place in each], limits)
    marks = [canvas.line([panel.at(x, limit) for x in panel.x], canvas.DARK, 1, dashes) for limit, dashes in zip(limits, ("", "5 3"))]
    marks.append(canvas.line([panel.at(*place) for place in places["Pareto front"]], canvas.LOST))
    for name, shape, color, _ in kinds:
        marks += [canvas.marker(*panel.at(*place), shape, color, 8 if shape == "*" else 3) for place in places[name]]
    words = (*((color, name) for name, _, color, _ in kinds), (canvas.DARK, f"float, and float - {max_drop:g} points (dashed)"))
    kibs = [k for k in (m * 10**e for e in range(-4, 10) for m in (1, 2, 5)) if panel.x[0] <= math.log10(k) <= panel.x[1]]
    marks += [panel.frame(), panel.label_x([math.log10(k) for k in kibs], [f"{k:g}" for k in kibs], "synapse memory, KiB")]
    marks.append(panel.label_y(canvas.ticks(panel.y[1], panel.y[0]), name=f"accuracy on {found.samples[1]} held-out samples, %"))
    marks.append(canvas.legend(panel.right, canvas.FONT, words))
    return str(canvas.Drawing(panel.right + canvas.ROOM, panel.bottom + 3.8 * canvas.FONT, tuple(marks))).encode()


def _panel(places: Sequence[tuple[float, float]], limits: Sequence[float]) -> canvas.Panel:
    """Room for all points and the lines of accuracy."""
    xs, ys = [x for x, _ in places], [*(y for _, y in places), *limits]
    more, above = 0.05 * (max(xs) - min(xs)) or 0.1, 0.05 * (max(ys) - min(ys)) or 0.5
    return canvas.Panel(66, 2 * canvas.FONT, 600, 360, (min(xs) - more, max(xs) + more), (max(ys) + above, min(ys) - above))
