"""How the emulator's time grows: `python -m benchmarks.emulator_growth [-o docs/emulator_growth.svg] [--json -]`.

Processor time of one thread against input density, width, depth, steps and batch, one at a time, on chains of all-to-all layers; every
population fires at about the rate of the input. Both axes are logarithmic, and the dashed line is proportional to the parameter: no term
may be steeper.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.braille import report
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
REPEATS = 9
INPUTS = 256  # fixed, so that weights grow in proportion to the width in a network of depth 1


def run(density: float, width: int, depth: int, steps: int, batch: int) -> Callable[[], Any]:
    """One run, ready to start. Depth repeats layers of 256 neurons behind a first one of the given width."""
    shape, layers = (INPUTS,), [(width,)] + [(256,)] * (depth - 1)
    program = build(shape, layers, tuned(shape, layers, density, 20, 2))
    events = draw(program, density, steps, batch)
    return lambda: emulate(program, events, threads=1)


def measure() -> dict[str, dict[str, float]]:
    """Seconds of processor time by parameter and value, medians of several rounds through all of them: other load strikes all alike."""
    runs = {(name, x): run(**{**START, name: x}) for name, values in RANGES.items() for x in values}
    found: dict[tuple, list[float]] = {key: [] for key in runs}
    for _ in range(1 + REPEATS):
        for key, start in runs.items():
            before = time.process_time()
            start()
            found[key].append(time.process_time() - before)
    return {name: {str(x): median(found[name, x][1:]) for x in values} for name, values in RANGES.items()}


def steepest(figures: dict[str, float]) -> float:
    """Largest exponent of growth between two neighbouring values; 1 is proportional."""
    points = np.log([(float(x), seconds) for x, seconds in figures.items()])
    steps = np.diff(points, axis=0)
    return float((steps[:, 1] / steps[:, 0]).max())


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
    axes[0].set_ylabel("ms of processor time")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parents[1] / "docs" / "emulator_growth.svg")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    figures = measure()
    plot(figures, options.output)
    report({**figures, "steepest": {name: round(steepest(found), 2) for name, found in figures.items()}}, options.json)


if __name__ == "__main__":
    main()
