"""What recording costs on Lava: `python -m benchmarks.lava_backend [--network a|b|c] [--json -]`.

Time per step of the same processes, fed by the same source: bare, with nothing read; with this project's taps on every population,
spikes alone, and spikes with states; with Lava's Monitor on every population's spikes; and with Var.get of every voltage after each
step. Each in a process of its own, compiled and warm before the clock starts. The ways take turns, three times, for a machine has slow
minutes; printed is the median of all runs, and its ratio to bare. Beside it the start of `simulate_on_lava`: a run of one step.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.emulator_baselines import REPEATS, timed
from benchmarks.emulator_networks import NETWORKS, build, draw
from snnfuse.hardware import Program, simulate_on_lava

WAYS = {"bare": 400, "taps, spikes": 400, "taps, spikes and states": 400, "Monitor of spikes": 400, "Var.get of voltages": 10}  # and steps
TURNS = 3
THRESHOLD = 300
DENSITY = 0.1


def program_of(network: str) -> Program:
    shape, layers = NETWORKS[network]
    return build(shape, layers, [THRESHOLD] * len(layers))


def measure(network: str, way: str) -> list[float]:
    """Seconds per step, one per repetition, in this process."""
    from snnfuse.hardware.backends.lava import stock
    from snnfuse.hardware.backends.lava.models import run_config
    from snnfuse.hardware.backends.lava.network import to_lava
    from snnfuse.hardware.backends.lava.processes.events import EventSource

    program, steps = program_of(network), WAYS[way]
    total = steps * (REPEATS + 1)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "events.npy", draw(program, DENSITY, total, 1)["x"][:, 0])
        processes = to_lava(program, total)
        source = EventSource(path=f"{folder}/events.npy", shape=program.nodes["x"].shape)
        processes.feed("x", source.s_out)
        if way.startswith("taps"):
            tap_all(processes, Path(folder), total, way.endswith("states"))
        if way.startswith("Monitor"):
            monitor_all(processes, total)
        process = next(iter(processes.neurons.values()))
        config = run_config(processes, [source]) if way.startswith("taps") else stock.Loihi2SimCfg(select_tag="fixed_pt")

        def run() -> None:
            if not way.startswith("Var"):
                process.run(condition=stock.RunSteps(steps), run_cfg=config)
                return
            for _ in range(steps):
                process.run(condition=stock.RunSteps(1), run_cfg=config)
                for neurons in processes.neurons.values():
                    neurons.v.get()

        seconds = timed(run)
        process.stop()
    return [s / steps for s in seconds]


def tap_all(processes: Any, folder: Path, steps: int, states: bool) -> None:
    from snnfuse.hardware.backends.lava.recorders import TAP, make_tap

    for index, (name, process) in enumerate(processes.neurons.items()):
        node, latency = processes.program.neurons[name], processes.program.latency[name]
        process.proc_params[TAP] = make_tap(folder, f"node{index}", node, steps, latency, states)


def monitor_all(processes: Any, steps: int) -> None:
    from snnfuse.hardware.backends.lava.compat import patched_imports

    with patched_imports():
        from lava.proc.monitor.process import Monitor

    for process in processes.neurons.values():
        Monitor().probe(process.s_out, steps)


def in_a_process(network: str, way: str) -> list[float]:
    """`measure`, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.lava_backend", "--network", network, "--measure", way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {way} on network {network} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def start_seconds(network: str) -> float:
    """Of a whole `simulate_on_lava` of one step: child, imports, compilation, and the end of it all."""
    program = program_of(network)
    events = draw(program, DENSITY, 1, 1)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        simulate_on_lava(program, events, "all", states=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="a")
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.network, options.measure)))
        return
    turns = [{way: in_a_process(options.network, way) for way in WAYS} for _ in range(TURNS)]
    seconds = {way: statistics.median(s for turn in turns for s in turn[way]) for way in WAYS}
    start = start_seconds(options.network)
    rows = {way: {"us per step": 1e6 * s, "times bare": s / seconds["bare"]} for way, s in seconds.items()}
    if options.json:
        text = json.dumps({"network": options.network, "ways": rows, "simulate_on_lava of one step, s": start}, indent=1)
        sys.stdout.write(text + "\n") if options.json == "-" else Path(options.json).write_text(text + "\n")
        return
    for way, row in rows.items():
        print(f"{way:24} {row['us per step']:8.0f} us per step {row['times bare']:6.2f} times bare")
    print(f"simulate_on_lava of one step: {start:.2f} s")


if __name__ == "__main__":
    main()
