"""Figures without a window, equal for equal content, and the same as SVG."""

import io
from typing import TYPE_CHECKING, Any

from snnfuse.hardware.errors import EnvironmentProblem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISSING = "pictures need matplotlib: pip install 'snnfuse[plots]'"
ADDED, LOST, SAME = "#c1442e", "#2e6fc1", "#555555"


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches.

    Raises:
        EnvironmentProblem: matplotlib is missing; the message says how to install it.
    """
    try:
        import matplotlib  # noqa: F401
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EnvironmentProblem(MISSING) from error
    return Figure(figsize=(width, height), layout="constrained")


def as_svg(figure: "Figure") -> str:
    """An <svg> element, the same bytes for the same figure."""
    import matplotlib

    content = io.StringIO()
    metadata: Any = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": "snnfuse", "svg.fonttype": "none"}):
        figure.savefig(content, format="svg", metadata=metadata)
    text = content.getvalue()
    return text[text.index("<svg") :]
