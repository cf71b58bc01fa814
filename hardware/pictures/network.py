"""A program as a graph: layers in columns by latency, with shape, bits and tier."""

from typing import TYPE_CHECKING

from snnfuse.hardware.chip.tiers import tiers
from snnfuse.hardware.ir.nodes import Constant, Input
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.pictures.canvas import ROOM, SAME, Drawing, box, text, wide

if TYPE_CHECKING:
    from snnfuse.hardware.chip import Resources

COLORS = {"A": "#dcecd9", "B": "#fbe8c8", "C": "#e3e3f5", "D": "#f5d5d5"}
BETWEEN, HALF = 60.0, 34.0  # pixels between two columns; half the height of a box
GREY = "#808080"
HEAD = (
    '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
    f'<path d="M0 1L10 5L0 9z" fill="{GREY}"/></marker></defs>'
)


def draw_program(program: Program, resources: "Resources | None" = None) -> Drawing:
    """Boxes for nodes, arrows for synapse groups.

    Args:
        program: what is drawn; constants are left out, for they are biases.
        resources: of a board, as of `snnfuse.hardware.chip.check_chip`, for the number of cores.
    """
    kept = [name for name in program.order if not isinstance(program.nodes[name], Constant)]
    depth = {name: 0 if isinstance(program.nodes[name], Input) else program.latency[name] for name in kept}
    tier, cores = tiers(program), {} if resources is None else {layer.name: layer.cores for layer in resources.layers}
    words = {name: _words(program, name, tier.get(name, "C"), cores.get(name)) for name in kept}
    half = wide(line for each in words.values() for line in each.split("\n")) / 2 + ROOM
    places, rows = dict[str, tuple[float, float]](), dict[int, int]()
    for name in kept:
        row = rows.get(depth[name], 0)
        places[name] = (ROOM + half + depth[name] * (2 * half + BETWEEN), ROOM + HALF + 0.3 * HALF + row * (2 * HALF + BETWEEN / 2))
        rows[depth[name]] = row + 1
    pairs = dict.fromkeys((c.source, c.target) for c in program.connections if c.source in places)
    marks = [_arrow(places[source], places[target], half) for source, target in pairs]
    for name, (x, y) in places.items():
        marks.append(
            box(x - half, y - HALF, 2 * half, 2 * HALF, COLORS.get(tier.get(name, "C"), "white"), SAME, 6) + text(x, y, words[name])
        )
    width, height = max((x for x, _ in places.values()), default=0.0), max((y for _, y in places.values()), default=0.0)
    return Drawing(width + half + ROOM + 0.4 * BETWEEN, height + HALF + 2 * ROOM, (HEAD, *marks))


def _arrow(source: tuple[float, float], target: tuple[float, float], half: float) -> str:
    """From the right of a box to the left of another; from a box to itself over its upper right corner."""
    (x0, y0), (x1, y1) = source, target
    if source == target:
        out = f"{-0.6 * HALF:.1f} {0.5 * half + 30:.1f} {-0.3 * HALF:.1f} {0.5 * half:.1f} {0.5 * HALF:.1f}"
        return _head(f"M{x0 + 0.5 * half:.1f} {y0 - HALF:.1f}c0 {out}")
    bend = BETWEEN / 2 if x1 > x0 else BETWEEN
    aside = 2.0 * HALF if x1 - x0 > 2 * (2 * half + BETWEEN) - 1 and y0 == y1 else 0.0  # past the boxes between them
    middle = f"{x0 + half + bend:.1f} {y0 + aside:.1f} {x1 - half - bend:.1f} {y1 + aside:.1f}"
    return _head(f"M{x0 + half:.1f} {y0:.1f}C{middle} {x1 - half:.1f} {y1:.1f}")


def _head(steps: str) -> str:
    return f'<path d="{steps}" fill="none" stroke="{GREY}" marker-end="url(#head)"/>'


def _words(program: Program, name: str, tier: str, cores: int | None) -> str:
    node, bits = program.nodes[name], sorted({c.synapse.bits for c in program.into(name)})
    width = f", {'/'.join(map(str, bits))} bits" if bits else f", {getattr(node, 'bits', 1)} bits"
    held = "" if cores is None else f"\n{cores} core{'s' * (cores != 1)}"
    return f"{name}\n{type(node).__name__} {'x'.join(map(str, node.shape))}\ntier {tier}{width}{held}"
