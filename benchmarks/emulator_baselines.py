"""What the emulator is compared with, each in a process of its own: `python -m benchmarks.emulator_baselines JOB`, a JSON object.

Lava: stock processes fed by its RingBuffer, nothing read out, compiled and warm before the clock starts. snnTorch: its float forward,
step by step, without gradients. SLAYER: its quantised forward over all steps at once, without gradients, on the CPU.
Prints a line when it is ready, and one with the seconds, divided by steps and samples, for every line that it reads.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.emulator_networks import NETWORKS, build, draw

REPEATS = 5
READY, SECONDS = "snnfuse ready", "snnfuse seconds "  # lines of ours among those that libraries print


@contextmanager
def opponent(name: str, network: str, density: float, thresholds: list[int], steps: int, batch: int) -> Iterator[Callable[[], float]]:
    """A process that waits, warm, until it is asked for one more run; each call gives the seconds of one, per step and sample."""
    job = {"name": name, "network": network, "density": density, "thresholds": thresholds, "steps": steps, "batch": batch}
    command = [sys.executable, "-m", "benchmarks.emulator_baselines", json.dumps(job)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, bufsize=1)

        def answer(to: str) -> str:
            for line in process.stdout:
                if line.startswith(to):
                    return line.removeprefix(to)
            errors.seek(0)
            raise SystemExit(f"error: {name} on network {network} failed:\n{errors.read()[-2000:]}")

        def seconds() -> float:
            process.stdin.write("\n")
            return float(answer(SECONDS))

        answer(READY)
        try:
            yield seconds
        finally:
            process.stdin.close()
            process.wait()


def timed(run: Callable[[], Any], repeats: int = REPEATS) -> list[float]:
    """Seconds of each call, after one that is not counted."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds


@contextmanager
def lava(job: dict) -> Iterator[Callable[[], Any]]:
    """One sample; the runtime is created and has run before."""
    from snnfuse.hardware.backends.lava import stock
    from snnfuse.hardware.backends.lava.compat import patched_imports
    from snnfuse.hardware.backends.lava.network import to_lava

    with patched_imports():
        from lava.proc.io.source import RingBuffer

    program = build(*NETWORKS[job["network"]], job["thresholds"])
    events = draw(program, job["density"], job["steps"], 1)["x"][:, 0]
    network = to_lava(program)
    network.feed("x", RingBuffer(data=np.moveaxis(events, 0, -1)).s_out)
    process = next(iter(network.neurons.values()))
    config = stock.Loihi2SimCfg(select_tag="fixed_pt")
    yield lambda: process.run(condition=stock.RunSteps(job["steps"]), run_cfg=config)
    process.stop()


@contextmanager
def snntorch(job: dict) -> Iterator[Callable[[], Any]]:
    """snntorch.Leaky behind torch.nn layers."""
    import snntorch
    import torch

    program = build(*NETWORKS[job["network"]], job["thresholds"])
    x = torch.from_numpy(draw(program, job["density"], job["steps"], job["batch"])["x"]).float()
    layers: list[torch.nn.Module] = []
    for layer, source in zip(NETWORKS[job["network"]][1], program.neurons):
        synapse = program.into(source)[0].synapse
        if len(layer) == 2:
            layers.append(torch.nn.Conv2d(synapse.input_shape[0], layer[0], 3, layer[1], 1, bias=False))
        else:
            layers += [torch.nn.Flatten(), torch.nn.Linear(synapse.size[1], layer[0], bias=False)]
        layers[-1].weight.data = torch.tensor(synapse.weights).float()
        layers.append(snntorch.Leaky(0.9, threshold=float(program.neurons[source].vth), reset_mechanism="zero", init_hidden=False))

    @torch.no_grad()
    def forward() -> None:
        memory: dict[int, Any] = {}
        for t in range(len(x)):
            sent = x[t]
            for k, module in enumerate(layers):
                if isinstance(module, snntorch.Leaky):
                    sent, memory[k] = module(sent, memory.get(k, module.init_leaky() if hasattr(module, "init_leaky") else None))
                else:
                    sent = module(sent)

    yield forward


@contextmanager
def slayer(job: dict) -> Iterator[Callable[[], Any]]:
    """Blocks of CUBA neurons."""
    import torch

    from snnfuse.hardware.backends.lava.compat import patched_imports

    with patched_imports():
        from lava.lib.dl.slayer.block import cuba

    shape, layers = NETWORKS[job["network"]]
    program = build(shape, layers, job["thresholds"])
    x = torch.from_numpy(draw(program, job["density"], job["steps"], job["batch"])["x"]).float()
    x = torch.moveaxis(x, 0, -1).contiguous()
    neuron = {"threshold": 1.0, "current_decay": 1.0, "voltage_decay": 0.1}
    blocks, channels = [], shape[0]
    for layer, name in zip(layers, program.neurons):
        if len(layer) == 2:
            blocks.append(cuba.Conv(neuron, channels, layer[0], 3, stride=layer[1], padding=1))
            channels = layer[0]
        else:
            if blocks and isinstance(blocks[-1], cuba.Conv):
                blocks.append(cuba.Flatten())
            blocks.append(cuba.Dense(neuron, program.into(name)[0].synapse.size[1], layer[0]))

    @torch.no_grad()
    def forward() -> None:
        sent = x
        for block in blocks:
            sent = block(sent)

    yield forward


def main() -> None:
    job = json.loads(sys.argv[1])
    with {"Lava": lava, "snnTorch": snntorch, "SLAYER": slayer}[job["name"]](job) as run:
        run()
        print(f"\n{READY}", flush=True)
        for _ in sys.stdin:
            start = time.perf_counter()
            run()
            print(f"\n{SECONDS}{(time.perf_counter() - start) / job['steps'] / job['batch']}", flush=True)


if __name__ == "__main__":
    main()
