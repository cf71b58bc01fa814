"""How fast the emulator is: `python -m benchmarks.emulator [--json -] [--networks abc] [--quick]`.

On the networks of `benchmarks.emulator_networks`, at two input densities: seconds per step and sample with batch 64 and batch 1, and
how many times faster that is than Lava (its own batch of 1, start-up excluded), snnTorch's float forward and SLAYER on the CPU: all
measured in this run in turns, medians of seven. Ratios are of seconds by the clock on the wall; beside them stands the processor time of
the emulator on one thread, which other load on the machine changes less.

The floor is the time that reading the weight rows of the spikes that occurred takes from the cache they fit in, at the width they are
stored; the cold start is import to first result of a new process.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from statistics import median
from typing import Any

import numpy as np

from benchmarks.braille import report
from benchmarks.emulator_baselines import opponent, timed
from benchmarks.emulator_networks import DENSITIES, NETWORKS, build, draw, tuned
from snnfuse.hardware import Dense, Program, emulate
from snnfuse.hardware.backends.emulator.run_state import available_cores

STEPS, BATCH, REPEATS = 100, 64, 7
MOST_CALLS = 50  # of a turn with batch 1
LAVA_STEPS = {"a": 200, "b": 100, "c": 50}
BASELINE_STEPS = {"a": 100, "b": 50, "c": 10}
OPPONENTS = (("Lava", LAVA_STEPS, 1), ("snnTorch", BASELINE_STEPS, BATCH), ("SLAYER", BASELINE_STEPS, BATCH))

START = """
import time; start = time.perf_counter()
import numpy as np
from benchmarks.emulator_networks import NETWORKS, build, draw
from snnfuse.hardware import emulate
program = build(*NETWORKS["a"], [1000, 1000])
emulate(program, draw(program, 0.1, 10, 1))
print(time.perf_counter() - start)
"""


def rounds(runs: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """The median of each, taken in turns, so that whatever else the machine does strikes all alike."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            found[name].append(run())
    return {name: median(seconds) for name, seconds in found.items()}


def emulator_run(
    program: Program, density: float, batch: int, clock: Callable[[], float], threads: int | None = None
) -> Callable[[], float]:
    """Seconds per step and sample of several calls on end, by the given clock."""
    events, calls = draw(program, density, STEPS, batch), max(3, MOST_CALLS // batch)

    def run() -> float:
        emulate(program, events, threads=threads)  # what ran before has emptied the caches
        start = clock()
        for _ in range(calls):
            emulate(program, events, threads=threads)
        return (clock() - start) / calls / STEPS / batch

    return run


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
    runs = {
        "emulator, batch 64": emulator_run(program, density, BATCH, time.perf_counter),
        "emulator, batch 1": emulator_run(program, density, 1, time.perf_counter),
        "emulator, batch 64, processor time": emulator_run(program, density, BATCH, time.process_time, threads=1),
        "emulator, batch 1, processor time": emulator_run(program, density, 1, time.process_time, threads=1),
    }
    with ExitStack() as stack:
        for name, steps, batch in OPPONENTS if baselines else ():
            job = opponent(name, network, density, thresholds, steps[network], batch)
            runs[name if batch == 1 else f"{name}, batch {batch}"] = stack.enter_context(job)
        seconds = rounds(runs)
    found: dict[str, Any] = {"rates": [round(float(rates[name].mean()), 4) for name in program.neurons]}
    found |= {f"{name}, us": 1e6 * x for name, x in seconds.items()}
    if network == "a":
        found |= floor(program, density, seconds["emulator, batch 64"], seconds["emulator, batch 64, processor time"])
    for name in set(seconds) - set(list(runs)[:4]):
        found[f"faster than {name}"] = seconds[name] / seconds["emulator, batch 64"]
    if "Lava" in seconds:
        found["faster than Lava, batch 1"] = seconds["Lava"] / seconds["emulator, batch 1"]
    return found


def floor(program: Program, density: float, seconds: float, processor_seconds: float) -> dict[str, float]:
    """The distance to the limit, with all threads by the clock on the wall, and with one by its processor time."""
    size, touched = sum(c.synapse.weights.size for c in program.connections), touched_bytes(program, density)
    many, one = (touched / bandwidth(size, threads) for threads in (available_cores(), 1))
    return {"floor, us": 1e6 * many, "times the floor": seconds / many, "times the floor, one thread": processor_seconds / one}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="abc", help="which of a, b and c (default: all)")
    parser.add_argument("--quick", action="store_true", help="the emulator alone")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    start = time.perf_counter()
    figures: dict[str, Any] = {"machine": {"threads": available_cores(), "cold start, s": cold_start()}}
    for network in options.networks:
        for density in DENSITIES:
            figures[f"{network} at {density:.0%}"] = figures_of(network, density, not options.quick)
    figures["benchmark took, s"] = round(time.perf_counter() - start)
    report(figures, options.json)


if __name__ == "__main__":
    main()
