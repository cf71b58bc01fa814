"""Networks of published size on this machine: `python -m benchmarks.scale [--samples N] [--backend NAME ...] [--json -]`.

A spiking ResNet18 (32 x 32, T = 4) and a program with S-CMRL's layers (128 x 128, two modalities, T = 4), with random weights; see
`scale_programs`. Each is built and run in a process of its own, whose peak of resident memory is that of the whole way: building the
program, its first run with everything that is compiled or converted then, and five more, of which the median is the time. Every
layer is recorded, and spikes of all of them are compared across backends by their hash.
"""

import argparse
import hashlib
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.braille import report
from benchmarks.scale_programs import PROGRAMS, neurons, parameters, random_events
from snnfuse.hardware import Recording
from snnfuse.hardware.backends.registry import run_on

STEPS = 4
RUNS = 5
LIMIT = 4 * 10**9  # bytes
BACKENDS = ("emulator", "torch")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every network on every backend, in processes of their own."""
    figures: dict[str, Any] = {"samples": options.samples, "steps": STEPS}
    for network in options.network:
        rows = {backend: run_child(network, backend, options.samples, options.device) for backend in options.backend}
        figures[network] = rows | {"spikes are the same": len({row.pop("spikes") for row in rows.values()}) == 1}
    return figures


def run_child(network: str, backend: str, samples: int, device: str = "cpu") -> dict[str, Any]:
    """One network on one backend, measured by a process of its own."""
    arguments = ["--one", "--network", network, "--backend", backend, "--samples", str(samples), "--device", device]
    done = subprocess.run([sys.executable, "-m", "benchmarks.scale", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def run_one(network: str, backend: str, samples: int, device: str) -> dict[str, Any]:
    """Build a network and run it in this process."""
    start = time.perf_counter()
    program = PROGRAMS[network]()
    built = time.perf_counter() - start
    events = random_events(program, STEPS, samples)
    device = device if backend == "torch" else "cpu"
    seconds = []
    for _ in range(1 + RUNS):
        run = run_on(backend, program, events, "all", device=device)
        seconds.append(run.seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    rates = [float(spikes.mean()) for spikes in run.recording.spikes.values()]
    return {
        "neurons": neurons(program),
        "stored weights": parameters(program),
        "seconds to build": round(built, 2),
        "seconds of the first run": round(seconds[0], 2),
        "seconds per sample": round(statistics.median(seconds[1:]) / samples, 4),
        "peak resident bytes": peak,
        "within 4 GB": peak <= LIMIT,
        "spikes per neuron and step, median layer": round(statistics.median(rates), 3),
        "spikes": digest(run.recording),
    }


def digest(recording: Recording) -> str:
    """One hash of every spike of every layer."""
    content = hashlib.sha256()
    for name in sorted(recording.spikes):
        content.update(name.encode() + recording.spikes[name].tobytes())
    return content.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=PROGRAMS, action="append", help="default: all")
    parser.add_argument("--backend", choices=("reference", *BACKENDS), action="append", help="default: emulator and torch")
    parser.add_argument("--samples", type=int, default=4, help="in one run (default 4)")
    parser.add_argument("--device", default="cpu", help="of torch (default cpu)")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.network, options.backend = options.network or list(PROGRAMS), options.backend or list(BACKENDS)
    if options.one:
        print(json.dumps(run_one(options.network[0], options.backend[0], options.samples, options.device)))
        return
    report(measure(options), options.json)


if __name__ == "__main__":
    main()
