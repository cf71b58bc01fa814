"""PilotNet on the emulator against lava-dl's netx on Lava, per step and sample: `python -m benchmarks.netx_speed [--json -]`.

Both networks of lava-dl's wheel, LIF and sigma-delta, 16 steps per image, on the image that its tests feed them; the emulator with a
batch of 64, which it is moved sideways for, a pixel each, Lava with one, which is all it takes. Wall time, in turns, medians; the emulator
on as many threads as there are cores, Lava in as many processes as it starts.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from benchmarks.chip_tests import array, folder
from snnfuse.commands.console import Console, json_option
from snnfuse.export.netx import open_net
from snnfuse.hardware import Program, emulate
from snnfuse.hardware.errors import EnvironmentProblem
from snnfuse.report.tables import table

NETWORKS = {"PilotNet LIF": ("pilotnet_lif", "image", 1000), "PilotNet SDNN": ("pilotnet_sdnn", "input", 300)}
"""Folder, its image, and how many times as fast the emulator is to be."""
STEPS, LIMIT_S = 16, 600


def images(place: str, shape: tuple[int, ...], batch: int) -> np.ndarray:
    """Images, each held for a sample: int32 (steps, batch, channel, y, x)."""
    image = array(place).reshape(shape).astype(np.int32)
    return np.repeat(np.stack([np.roll(image, pixels, -1) for pixels in range(batch)])[None], STEPS, 0)


def on_emulator(program: Program, x: np.ndarray) -> float:
    """Seconds per step and sample."""
    start = time.perf_counter()
    emulate(program, {"input": x})
    return (time.perf_counter() - start) / (STEPS * x.shape[1])


def on_lava(file: Path, image: np.ndarray) -> float:
    """Seconds per step of one sample."""
    with tempfile.TemporaryDirectory() as place:
        np.save(Path(place) / "image.npy", image.transpose())
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.netx_on_lava", str(file), f"{place}/image.npy", str(STEPS)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}  # torch, in Lava's forked processes, waits for threads that they have not
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=environment)
    if done.returncode:
        raise EnvironmentProblem(f"netx failed on Lava: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])["seconds"] / STEPS


def measure(name: str, batch: int, rounds: int) -> dict:
    """One row, in milliseconds per step and sample."""
    place, image, asked = NETWORKS[name]
    file = folder() / "gts" / place / "network.net"
    program, _ = open_net(file)
    x = images(f"{place}/{image}", program.inputs["input"].shape, batch)
    on_emulator(program, x[:, :1])  # compiles
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(on_lava(file, x[0, 0]))
        ours.append(min(on_emulator(program, x) for _ in range(3)))
    ours_ms, theirs_ms = 1e3 * statistics.median(ours), 1e3 * statistics.median(theirs)
    return {"network": name, "emulator_ms": ours_ms, "netx_on_lava_ms": theirs_ms, "times": theirs_ms / ours_ms, "asked": asked}


@click.command()
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@json_option
def main(batch: int, rounds: int, json_to: str | None, quiet: bool) -> None:
    """Time PilotNet on the emulator and on netx."""
    console = Console(json_to, quiet)
    with console.result() as result:
        rows = [measure(name, batch, rounds) for name in NETWORKS]
        result.update({"batch": batch, "steps": STEPS, "rows": rows})
        head = ("network", "emulator, ms", "netx on Lava, ms", "times as fast", "asked")
        console.say(table(head, [(r["network"], *(f"{r[key]:.3g}" for key in list(r)[1:4]), str(r["asked"])) for r in rows]))


if __name__ == "__main__":
    sys.exit(main())
