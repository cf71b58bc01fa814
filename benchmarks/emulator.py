"""How fast the emulator is: `python -m benchmarks.emulator [--json -] [--networks abc] [--quick]`.

On the networks of `benchmarks.emulator_networks`, at two input densities: seconds per step and sample with batch 64 and batch 1, and
how many times faster that is than Lava (its own batch of 1, start-up excluded), snnTorch's float forward and SLAYER on the CPU, all
measured in this run, medians of at least five. The floor is the time that reading the weight rows of the spikes that occurred takes
from the cache they fit in, at the width they are stored, with all threads; the cold start is import to first result of a new process.
"""

import argparse
import subprocess
import sys
import time
from statistics import median
from typing import Any

import numpy as np

from benchmarks.braille import report
from benchmarks.emulator_baselines import measure, timed
from benchmarks.emulator_networks import DENSITIES, NETWORKS, build, draw, tuned
from snnfuse.hardware import Dense, Program, emulate
from snnfuse.hardware.emulator.session import available_cores

STEPS, BATCH, REPEATS = 100, 64, 7
LAVA_STEPS = {"a": 200, "b": 100, "c": 50}
BASELINE_STEPS = {"a": 100, "b": 50, "c": 10}  # of snnTorch and SLAYER

START = """
import time; start = time.perf_counter()
import numpy as np
from benchmarks.emulator_networks import NETWORKS, build, draw
from snnfuse.hardware import emulate
program = build(*NETWORKS["a"], [1000, 1000])
emulate(program, draw(program, 0.1, 10, 1))
print(time.perf_counter() - start)
"""


def emulator_seconds(program: Program, density: float, steps: int, batch: int) -> float:
    """Per step and sample, the median of several calls."""
    events = draw(program, density, steps, batch)
    return median(timed(lambda: emulate(program, events), REPEATS)) / steps / batch


def touched_bytes(program: Program, density: float, steps: int = 20, batch: int = 8) -> float:
    """Bytes of all-to-all weight rows that the spikes of a step and sample select."""
    events = draw(program, density, steps, batch)
    sent = {**events, **emulate(program, events, "all").spikes}
    dense = [c for c in program.connections if isinstance(c.synapse, Dense)]
    return sum(np.count_nonzero(sent[c.source]) * c.synapse.size[0] for c in dense) / steps / batch


def bandwidth(size: int, threads: int) -> float:
    """Bytes per second that all threads together read from arrays of this size, one each, in the largest of several runs."""
    from concurrent.futures import ThreadPoolExecutor

    from numba import njit

    @njit(nogil=True)
    def read(array, times):
        total = np.int64(0)
        for _ in range(times):
            for k in range(array.size):
                total += array[k]
            total ^= 1
        return total

    arrays, times = [np.ones(max(size // 8, 512), np.int64) for _ in range(threads)], max((1 << 28) // size, 1)
    with ThreadPoolExecutor(threads) as pool:
        seconds = timed(lambda: list(pool.map(lambda array: read(array, times), arrays)), REPEATS)
    return threads * arrays[0].nbytes * times / min(seconds)


def cold_start() -> float:
    """Seconds from import to the first result in a new process, with the compiled kernel in numba's cache; the median of five."""
    runs = [subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True) for _ in range(5)]
    return median(float(run.stdout) for run in runs)


def figures_of(network: str, density: float, baselines: bool) -> dict[str, Any]:
    """All figures of one network at one density."""
    shape, layers = NETWORKS[network]
    thresholds = tuned(shape, layers, density)
    program = build(shape, layers, thresholds)
    rates = emulate(program, draw(program, density, 40, 4), "all").spikes
    found: dict[str, Any] = {"rates": [round(float(rates[name].mean()), 4) for name in program.neurons]}
    many, one = emulator_seconds(program, density, STEPS, BATCH), emulator_seconds(program, density, STEPS, 1)
    found |= {"emulator, batch 64, us": 1e6 * many, "emulator, batch 1, us": 1e6 * one}
    if network == "a":
        size = sum(c.synapse.weights.size for c in program.connections)
        floor = touched_bytes(program, density) / bandwidth(size, available_cores())
        found |= {"floor, us": 1e6 * floor, "times the floor, batch 64": many / floor}
    if baselines:
        lava = median(measure("Lava", network, density, thresholds, LAVA_STEPS[network], 1))
        found |= {"Lava, us": 1e6 * lava, "faster than Lava, batch 64": lava / many, "faster than Lava, batch 1": lava / one}
        for name in ("snnTorch", "SLAYER"):
            seconds = median(measure(name, network, density, thresholds, BASELINE_STEPS[network], BATCH))
            found |= {f"{name}, batch 64, us": 1e6 * seconds, f"faster than {name}": seconds / many}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="abc", help="which of a, b and c (default: all)")
    parser.add_argument("--quick", action="store_true", help="the emulator alone")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    start = time.perf_counter()
    figures: dict[str, Any] = {"threads": available_cores(), "cold start, s": cold_start()}
    for network in options.networks:
        for density in DENSITIES:
            figures[f"{network} at {density:.0%}"] = figures_of(network, density, not options.quick)
    figures["benchmark took, s"] = round(time.perf_counter() - start)
    report(figures, options.json)


if __name__ == "__main__":
    main()
