"""How the emulator's time grows: `python -m benchmarks.emulator_growth [-o docs/emulator_growth.svg] [--json -]`.

Time against input density, width, depth, steps and batch, one at a time, on chains of all-to-all layers; every population fires at about
the rate of the input. Both axes are logarithmic, and the dashed line is proportional to the parameter: no term may be steeper.
"""

import argparse
from pathlib import Path
from statistics import median

from benchmarks.braille import report
from benchmarks.emulator_baselines import timed
from benchmarks.emulator_networks import build, draw, tuned
from snnfuse.hardware import emulate

START = {"density": 0.05, "width": 512, "depth": 3, "steps": 100, "batch": 16}
RANGES = {
    "density": [0.01, 0.02, 0.05, 0.1, 0.2, 0.4],
    "width": [128, 256, 512, 1024, 2048],
    "depth": [1, 2, 4, 8, 16],
    "steps": [25, 50, 100, 200, 400, 800],
    "batch": [1, 2, 4, 8, 16, 32, 64],
}
INPUTS = 256  # fixed, so that weights grow in proportion to the width in a network of depth 1


def seconds(density: float, width: int, depth: int, steps: int, batch: int) -> float:
    """One run, the median of several. Depth repeats layers of 256 neurons behind a first one of the given width."""
    shape, layers = (INPUTS,), [(width,)] + [(256,)] * (depth - 1)
    program = build(shape, layers, tuned(shape, layers, density, 20, 2))
    events = draw(program, density, steps, batch)
    return median(timed(lambda: emulate(program, events)))


def measure() -> dict[str, dict[str, float]]:
    """Seconds by parameter and value."""
    return {name: {str(x): seconds(**{**START, name: x}) for x in values} for name, values in RANGES.items()}


def plot(figures: dict[str, dict[str, float]], path: Path) -> None:
    """One panel per parameter."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "snnfuse"  # the same figures give the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(figures), figsize=(3 * len(figures), 3), sharey=True, layout="constrained")
    for axis, (name, found) in zip(axes, figures.items()):
        x, y = [float(value) for value in found], [1e3 * s for s in found.values()]
        axis.loglog(x, y, "o-")
        axis.loglog(x, [y[-1] * value / x[-1] for value in x], "--", color="grey", linewidth=1)
        axis.set_xlabel(name)
    axes[0].set_ylabel("ms per run")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parents[1] / "docs" / "emulator_growth.svg")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    figures = measure()
    plot(figures, options.output)
    report(figures, options.json)


if __name__ == "__main__":
    main()
