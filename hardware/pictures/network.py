"""A program as a graph: layers in columns by latency, with shape, bits and tier."""

from typing import TYPE_CHECKING

from snnfuse.hardware.chip.tiers import tiers
from snnfuse.hardware.ir.nodes import Constant, Input
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.pictures.canvas import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from snnfuse.hardware.chip import Resources

COLORS = {"A": "#dcecd9", "B": "#fbe8c8", "C": "#e3e3f5", "D": "#f5d5d5"}


def draw_program(program: Program, resources: "Resources | None" = None) -> "Figure":
    """Boxes for nodes, arrows for synapse groups.

    Args:
        program: what is drawn; constants are left out, for they are biases.
        resources: of a board, as of `snnfuse.hardware.chip.check_chip`, for the number of cores.
    """
    kept = [name for name in program.order if not isinstance(program.nodes[name], Constant)]
    depth = {name: 0 if isinstance(program.nodes[name], Input) else program.latency[name] for name in kept}
    places, rows = {}, dict[int, int]()
    for name in kept:
        places[name] = (depth[name], rows.get(depth[name], 0))
        rows[depth[name]] = rows.get(depth[name], 0) + 1
    tall, wide, tier = max(rows.values(), default=1), max(depth.values(), default=0) + 1, tiers(program)
    figure = new_figure(max(4.0, 2.1 * wide), 1.2 * tall + 0.8)
    axes = figure.add_subplot()
    for source, target in dict.fromkeys((c.source, c.target) for c in program.connections if c.source in places):
        (x0, y0), (x1, y1) = places[source], places[target]
        style = {"arrowstyle": "-|>", "color": "0.5", "connectionstyle": "arc3,rad=0.12" if source != target else "arc3,rad=-1.5"}
        end = (x1, -y1) if source != target else (x1 + 0.25, -y1)
        axes.annotate("", xy=end, xytext=(x0, -y0), arrowprops={**style, "shrinkA": 28, "shrinkB": 30})
    cores = {} if resources is None else {layer.name: layer.cores for layer in resources.layers}
    for name, (x, y) in places.items():
        box = {"boxstyle": "round", "fc": COLORS.get(tier.get(name, "C"), "white"), "ec": "0.4"}
        axes.text(x, -y, _words(program, name, tier.get(name, "C"), cores.get(name)), ha="center", va="center", fontsize=8, bbox=box,
                  parse_math=False)  # fmt: skip
    axes.set(xlim=(-0.6, wide - 0.4), ylim=(-tall + 0.4, 0.6))
    axes.axis("off")
    return figure


def _words(program: Program, name: str, tier: str, cores: int | None) -> str:
    node, bits = program.nodes[name], sorted({c.synapse.bits for c in program.into(name)})
    width = f", {'/'.join(map(str, bits))} bits" if bits else f", {getattr(node, 'bits', 1)} bits"
    held = "" if cores is None else f"\n{cores} core{'s' * (cores != 1)}"
    return f"{name}\n{type(node).__name__} {'x'.join(map(str, node.shape))}\ntier {tier}{width}{held}"
