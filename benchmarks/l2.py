"""L2 normalisation in each place and each lowering: `python -m benchmarks.l2 [--data-dir DIR] [--epochs N] [--samples N] [--json -]`.

Trains one small FD-fusion network on mnist-fsdd per place of the L2 layer: none, spikes of each step, membranes, averages over time.
Each is exported in every way that there is and measured on the first test pairs (8-bit weights, 256 training pairs for calibration). A
class is the output with most spikes, ties to the lowest index. Clean digits saturate, so the same pairs are also read with noise on every
pixel (standard deviation 0.6 of full scale) and on every feature of the sound (0.6 of its range to one side). Spikes are those of all
layers, per clean sample; steps are what the network's last layer lags its input by, and the windows that its parts take one after the
other.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.braille import report
from snnfuse.compile import Settings, compile, source_of
from snnfuse.compile import accuracy as accuracies
from snnfuse.compile.tracing import trace_module
from snnfuse.data import load
from snnfuse.data.corruptions import feature_noise, image_noise
from snnfuse.data.samples import Samples, draw_samples
from snnfuse.hardware import Pipeline, Program, Recording, emulate
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.chip.tiers import tiers
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.networks import decode, run
from snnfuse.nn import FixedPointNetwork
from snnfuse.report.tables import table
from snnfuse.training import FINE_TUNING, Recipe, Trained, fine_tune, train

DATA = "mnist-fsdd"
RULES = ("none", "per-step", "membrane", "time-average")
CALIBRATION, ALL = 256, 10**9
HEAD = ("L2 of", "lowered", "clean %", "noisy %", "spikes", "steps", "tier", "seconds")
NOISE = 0.6
Row = tuple[object, ...]


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """A row per place and lowering."""
    data = load(DATA, options.data_dir)
    test = draw_samples(DATA, ALL, part="test", data_dir=options.data_dir).select(slice(options.samples))
    calibration = draw_samples(DATA, CALIBRATION, data_dir=options.data_dir)
    for rule in RULES:
        start = time.perf_counter()
        trained = train(data, Recipe(epochs=options.epochs, seed=options.seed), l2=rule)
        seconds, names = time.perf_counter() - start, trained.model.inputs
        tests = test.named(names), noisy(test).named(names)
        yield rule, "float", *(float_accuracy(trained.model, each) for each in tests), "", "", "", seconds
        for lowered, figures in lowerings(rule, trained, data, calibration.named(names), tests, options):
            yield rule, lowered, *figures


def noisy(test: Samples) -> Samples:
    """The same pairs, worse."""
    image, audio = test.inputs["image"], test.inputs["audio"]
    return replace(test, inputs={"image": image_noise(image, NOISE, 1), "audio": feature_noise(audio, NOISE, 2)})


def float_accuracy(model: nn.Module, test: Samples) -> float:
    """Of the network as it was trained, in percent."""
    with torch.no_grad():
        classes = decode(run(model.eval(), *map(torch.from_numpy, test.inputs.values())))
    return 100 * float((classes.numpy() == test.labels).mean())


def lowerings(
    rule: str, trained: Trained, data: Any, calibration: Samples, tests: tuple[Samples, Samples], options: argparse.Namespace
) -> Iterator[tuple[str, Row]]:
    """Every way of one network's L2 onto a chip, with its figures; a refusal in words."""
    model, start = trained.model, time.perf_counter()
    if rule == "time-average":
        pipeline = compile(source_of(model), calibration).pipeline
        yield "host", figures_of(pipeline.programs, *in_stages(pipeline, tests), start)
        return
    try:
        source = source_of(trace_module(model, calibration.shapes, Settings())[0])
    except UnsupportedError as refused:
        print(refused, file=sys.stderr)
        yield "refused by name", ("", "", "", "", "", "")
        return
    program = compile(source, calibration).program
    yield "constant" if rule == "per-step" else "nothing to lower", figures_of((program,), *at_once(program, tests), start)
    if rule != "per-step":
        return
    start = time.perf_counter()
    net = fine_tune(model, data, Recipe(**{**vars(FINE_TUNING), "epochs": 1, "seed": options.seed}), weight_bits=8).model
    assert isinstance(net, FixedPointNetwork)
    tuned = compile(source_of(net), calibration).program
    yield "constant, fine-tuned", figures_of((tuned,), *at_once(tuned, tests), start)
    start = time.perf_counter()
    pipeline = compile(source, calibration, Settings(l2="host")).pipeline
    yield "host", figures_of(pipeline.programs, *in_stages(pipeline, tests), start)
    start = time.perf_counter()
    on_chip = compile(source, calibration, Settings(l2="microcode")).program
    yield "microcode", figures_of((on_chip,), *at_once(on_chip, tests), start)


def at_once(program: Program, tests: tuple[Samples, Samples]) -> tuple[list[float], tuple[Recording, ...]]:
    """Accuracies in percent, and what a single program did on the first test."""
    done = [emulate(program, program.encode(test.inputs), "all") for test in tests]
    return [100 * accuracies.program_accuracy(program, each, test) for each, test in zip(done, tests)], (done[0],)


def in_stages(pipeline: Pipeline, tests: tuple[Samples, Samples]) -> tuple[list[float], tuple[Recording, ...]]:
    """The same of a pipeline."""
    done = [run_pipeline(pipeline, pipeline.encode(test.inputs), record="all") for test in tests]
    right = [100 * float((pipeline.decode(each.recordings) == test.labels).mean()) for each, test in zip(done, tests)]
    return right, done[0].recordings


def figures_of(programs: tuple[Program, ...], right: list[float], recordings: tuple[Recording, ...], start: float) -> Row:
    """Columns from the accuracies on."""
    batch = next(iter(recordings[0].events.values())).shape[1]
    spikes = sum(int(np.count_nonzero(r.spikes[name])) for program, r in zip(programs, recordings) for name in program.neurons) / batch
    lag = "+".join(str(max(program.latency[output.node] for output in program.outputs.values())) for program in programs)
    windows = f", {len(programs)} windows" if len(programs) > 1 else ""
    kinds = {tier for program in programs for name, tier in tiers(program).items() if name in program.neurons}
    kinds |= {"C"} if len(programs) > 1 else set()
    return *right, spikes, f"{lag}{windows}", " ".join(sorted(kinds)), time.perf_counter() - start


def shown(row: Row) -> Row:
    """Numbers as a table has them: percentages with two digits, others with none."""
    return tuple(f"{value:.2f}" if i in (2, 3) and value != "" else f"{value:.0f}" if isinstance(value, float) else value
                 for i, value in enumerate(row))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--samples", type=int, default=1000, help="test pairs that programs run on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    found = []
    for row in rows(options):
        found.append(row)
        print(*shown(row), sep="  ", file=sys.stderr, flush=True)  # a training takes a while
    if options.json:
        report({"rows": [dict(zip(HEAD, row)) for row in found]}, options.json)
        return
    print(table(HEAD, [shown(row) for row in found]))


if __name__ == "__main__":
    main()
