"""What an epoch of each preset takes: `python -m benchmarks.presets [--pairs 300] [--batch-size B] [--updates N] [--only NAME ...]`.

Trains each preset of FD-fusion and S-CMRL for one epoch on random pairs of the shapes of the data set that it is for, each in a process of
its own, and says its processor seconds, those of a training pair, and the most memory that the process held. The batch is the recipe's own
unless another is asked for; memory grows with it and with the steps, and not with the number of pairs beyond their own size. With --updates
an epoch ends after so many batches, and is not validated; the row says so.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.braille import report
from snnfuse.data import AudioVisual, Pool, make_pairs
from snnfuse.data.signals import EVENTS, PHOTOGRAPH, SPECTROGRAM
from snnfuse.networks import preset_config
from snnfuse.training import inputs_of, recipe_for, train


@dataclass(frozen=True)
class Case:
    """A preset and the inputs that it is for: the shape of one step of each, the steps, and which inputs change over time."""

    architecture: str
    preset: str
    data: str
    image: tuple[int, ...]
    audio: tuple[int, ...]
    time: int
    timed: tuple[str, ...]
    classes: int = 10

    @property
    def name(self) -> str:
        """As "fd-fusion full, cifar10-av"."""
        return f"{self.architecture} {self.preset}, {self.data}"


CASES = (
    Case("fd-fusion", "small", "mnist-fsdd", (1, 28, 28), (144,), 12, ("audio",)),
    Case("fd-fusion", "small", "nmnist-fsdd", (2, 34, 34), (144,), 12, ("image", "audio")),
    Case("fd-fusion", "narrow", "mnist-fsdd", (1, 28, 28), (144,), 12, ("audio",)),
    Case("fd-fusion", "narrow-cifar", "cifar10-av", (3, 32, 32), (240,), 12, ("audio",)),
    Case("fd-fusion", "full", "cifar10-av", (3, 32, 32), (240,), 12, ("audio",)),
    Case("s-cmrl", "mnist-fsdd", "mnist-fsdd", (1, 28, 28), (1, 28, 28), 4, ()),
    Case("s-cmrl", "mnistdvs-ntidigits", "mnistdvs-ntidigits", (2, 28, 28), (1, 28, 28), 16, ("image", "audio")),
    Case("s-cmrl", "urbansound8k-av", "urbansound8k-av", (3, 128, 128), (1, 128, 128), 4, ()),
    Case("s-cmrl", "crema-d", "crema-d", (3, 128, 128), (1, 128, 128), 4, (), 6),
)


def random_pairs(case: Case, pairs: int) -> AudioVisual:
    """Random pairs, as many to train on and a tenth more to hold out; one of each class to test."""
    rng, labels = np.random.default_rng(0), np.arange(-(-10 * pairs // 9) + case.classes) % case.classes
    pools = {}
    for name, shape in (("image", case.image), ("audio", case.audio)):
        steps = (case.time,) if name in case.timed else ()
        signal = (EVENTS if name in case.timed else PHOTOGRAPH) if name == "image" else SPECTROGRAM
        pools[name] = Pool(rng.random((len(labels), *steps, *shape), np.float32), labels, timed=name in case.timed, signal=signal)
    train_side = make_pairs(pools, case.time, 0)
    test = make_pairs({name: pool.part(np.arange(len(labels)) < case.classes) for name, pool in pools.items()}, case.time, 0)
    return AudioVisual(case.data, tuple(map(str, range(case.classes))), train_side, test, "random", "none")


class Enough(Exception):
    """As many steps were trained as were asked for."""


def one(case: Case, pairs: int, batch_size: int | None, steps: int | None) -> dict[str, Any]:
    """Train an epoch in this process, or its first steps."""
    data = random_pairs(case, pairs)
    recipe = replace(recipe_for(case.architecture, case.data), epochs=1, warmup=0, held=0.1)
    batch_size = min(batch_size or recipe.batch_size, pairs)
    decided = inputs_of(case.architecture, data)
    named = {key: value for key, value in preset_config(case.architecture, case.preset).items() if key not in decided}
    done = 0

    def progress(trained: int, _: int) -> None:
        nonlocal done
        done = trained
        if done == steps:
            raise Enough

    start = time.process_time()
    with suppress(Enough):
        train(data, replace(recipe, batch_size=batch_size), architecture=case.architecture, progress=progress, **named)
    seconds, peak = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"preset": case.name, "time steps": case.time, "batch": batch_size, "pairs": pairs, "updates": done,
            "whole epoch": steps is None, "seconds": round(seconds, 1), "seconds a pair": round(seconds / (done * batch_size), 4),
            "peak GiB": round(peak, 2)}  # fmt: skip


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per preset, each measured in a process of its own."""
    rows = []
    for number, case in enumerate(CASES):
        if options.only and not any(part in case.name for part in options.only):
            continue
        words = [sys.executable, "-W", "ignore", "-m", "benchmarks.presets", "--case", str(number), "--pairs", str(options.pairs)]
        words += ["--batch-size", str(options.batch_size)] if options.batch_size else []
        words += ["--updates", str(options.updates)] if options.updates else []
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
        row = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"preset": case.name, "ended": done.returncode}
        print(json.dumps(row), file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--updates", type=int, metavar="N", help="stop after so many batches: the peak is reached by the second")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="presets whose name holds one of these")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    if options.case is not None:
        print(json.dumps(one(CASES[options.case], options.pairs, options.batch_size, options.updates)))
        return
    report({row["preset"]: row for row in measure(options)}, options.json)


if __name__ == "__main__":
    main()
