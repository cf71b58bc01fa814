"""How the time of lowering grows: `python -m benchmarks.lowering [--json FILE]`.

Processor time from a NIR graph to its float network, for graphs of one kind and growing size: neurons in a row, layers in a row between
two populations, and stages of two parallel layers. The exponent is the slope between the two largest on logarithmic axes:
1 is linear. Graphs that are refused, for being too deep to follow, show the error in place of seconds.
"""

import argparse
import json
import time
from collections.abc import Callable
from math import log
from pathlib import Path
from statistics import median

import nir
import numpy as np

from snnfuse.export import lower

DT, WIDTH, REPEATS = 1e-4, 4, 3
Figures = dict[int, float | str]


def lif() -> nir.LIF:
    """A population that decays by a tenth per step."""
    ones = np.ones(WIDTH)
    return nir.LIF(tau=10 * DT * ones, r=10 * ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)


def staged(stages: list[list[nir.NIRNode]]) -> nir.NIRGraph:
    """Nodes side by side in every stage, each fed by all of the stage before."""
    ends = {"input": nir.Input(np.array([WIDTH])), "output": nir.Output(np.array([WIDTH]))}
    names = [[f"{i}.{j}" for j in range(len(stage))] for i, stage in enumerate(stages)]
    nodes = {name: node for row, stage in zip(names, stages, strict=True) for name, node in zip(row, stage, strict=True)}
    ways = [["input"], *names, ["output"]]
    edges = [(s, t) for before, row in zip(ways, ways[1:], strict=False) for s in before for t in row]
    return nir.NIRGraph(ends | nodes, edges, type_check=False)


def linear() -> nir.Linear:
    """A layer that turns a vector by one place, and halves it."""
    return nir.Linear(0.5 * np.eye(WIDTH)[[*range(1, WIDTH), 0]])


BUILD: dict[str, tuple[Callable[[int], nir.NIRGraph], tuple[int, ...]]] = {
    "(Linear, LIF) pairs in a row": (lambda n: staged([[node()] for _ in range(n) for node in (linear, lif)]), (400, 800, 1600, 3200)),
    "Linear nodes in a row": (lambda n: staged([*([linear()] for _ in range(n)), [lif()]]), (400, 800, 1600, 3200)),
    "stages of two Linear nodes": (lambda n: staged([*([linear(), linear()] for _ in range(n)), [lif()]]), (4, 8, 12, 400, 800, 1600)),
}


def seconds(graph: nir.NIRGraph) -> float | str:
    """Processor time, the median of several runs; the error's name where it is not lowered."""
    found = []
    for _ in range(REPEATS):
        before = time.process_time()
        try:
            lower(graph, DT)
        except RecursionError as error:
            return type(error).__name__
        found.append(time.process_time() - before)
    return median(found)


def exponent(figures: Figures) -> float | None:
    """The slope between the two largest that were lowered."""
    timed = [(n, s) for n, s in figures.items() if isinstance(s, float)][-2:]
    if len(timed) < 2:
        return None
    (n, s), (m, t) = timed
    return log(t / s) / log(m / n)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    parser.add_argument("--most", type=int, default=1 << 20, help="leave out larger graphs, for versions that take very long")
    options = parser.parse_args()
    content = {}
    for name, (build, sizes) in BUILD.items():
        figures: Figures = {n: seconds(build(n)) for n in sizes if n <= options.most}
        content[name] = {"seconds": figures, "exponent": exponent(figures)}
        shown = ", ".join(f"{n}: {s:.3f} s" if isinstance(s, float) else f"{n}: {s}" for n, s in figures.items())
        slope = content[name]["exponent"]
        print(f"{name}: {shown}" + ("" if slope is None else f"; exponent {slope:.2f}"), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
