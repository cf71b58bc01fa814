"""Accuracy against what is wrong with a sensor, as one SVG with a panel per kind of trouble."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from snnfuse.hardware.pictures.canvas import ADDED, FONT, LOST, PALE, Drawing, Panel, legend, line, marker, text, ticks

COLUMNS, ACROSS, DOWN = 3, 384.0, 288.0  # panels in a row; pixels of one with its scales
STYLES = (("float", "o", LOST, ""), ("deployed", "x", ADDED, "5 3"))


def draw_curves(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """An <svg> element, equal for equal rows; None where no condition has two levels.

    Args:
        rows: as `snnfuse.measures.measure_modalities` gives them.
    """
    panels = {of: points for of, points in _panels(rows).items() if len(points) > 1}
    if not panels:
        return None
    clean = next((row for row in rows if row["kind"] == "clean"), None)
    marks = list[str]()
    for number, ((sensor, kind), points) in enumerate(panels.items()):
        down, across = divmod(number, COLUMNS)
        left, top = across * ACROSS, down * DOWN
        marks.append(text(left + ACROSS / 2, top + FONT, f"{sensor}: {kind}"))
        marks += _panel(left + 5 * FONT, top + 3.4 * FONT, points, clean)
    lines = -(-len(panels) // COLUMNS)
    return str(Drawing(COLUMNS * ACROSS, lines * DOWN, tuple(marks)))


def _panels(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["level"] is not None:
            found.setdefault((row["input"], row["kind"]), []).append(row)
    return found


def _panel(left: float, top: float, points: Sequence[Mapping[str, Any]], clean: Mapping[str, Any] | None) -> Iterator[str]:
    """Measured points, a line between them, and the accuracy of clean sensors."""
    levels = [row["level"] for row in points]
    low, high = min(levels), max(levels)
    margin = 0.05 * (high - low) or 1.0
    ends = (low - margin, high + margin)
    turned = points[0]["kind"] == "recording noise"  # noisier to the right, as in the other panels
    panel = Panel(left, top, ACROSS - 6.5 * FONT, DOWN - 8 * FONT, ends[::-1] if turned else ends, (102, 0))
    shown = list[tuple[str, str]]()
    for kind, shape, color, dashes in STYLES:
        known = sorted((row["level"], 100 * row[kind]["accuracy"]) for row in points if row[kind] is not None)
        if not known:
            continue
        places = [panel.at(*point) for point in known]
        yield line(places, color, 1.5, dashes) + "".join(marker(*place, shape, color) for place in places)
        shown.append((color, kind))
        if kind == "float" and clean is not None and clean[kind] is not None:
            yield line([panel.at(x, 100 * clean[kind]["accuracy"]) for x in panel.x], PALE)
            shown.append((PALE, "clean"))
    yield legend(panel.right, top - 0.8 * FONT, shown)
    yield panel.frame() + panel.label_x(ticks(low, high), name=points[0]["unit"]) + panel.label_y(ticks(0, 100, 5), name="accuracy, %")
