"""How well few bits are chosen: `python -m benchmarks.few_bits [--only SECTION] [--quick] [--keep FILE] [--json -]`.

braille: the NIR paper's recurrent graph at 8 and 4 bits, calibrated on 70 of its 420 recordings, drawn by seed, and measured on the other
350; ten calibrations. mnist-fsdd: the small FD-fusion network of three seeds at 4 and 2 bits, calibrated on 256 training pairs and measured
on all 2,000 test pairs. random: networks of `benchmarks.random_networks` at 8 and 4 bits, calibrated on 96 samples; the share of 400 others
whose class is the float network's. A random network is chaotic if moving its float weights by 1e-4 changes the class of more than 1 % of
these samples; figures stand with and without those.

--tune adds what a repair of the integers brings, as `snnfuse export --tune` does it, and --bits takes other widths. --keep FILE keeps a
line of JSON per program, and goes on from it. A class is the output with most spikes, ties to the lowest index.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from benchmarks import braille
from benchmarks.braille import report
from benchmarks.random_networks import draw
from snnfuse.diagnosis.chaos import moved
from snnfuse.export import lower, quantize, simulate, to_nir
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.hardware import emulate
from snnfuse.hardware.errors import CalibrationWarning, SaturationWarning
from snnfuse.hardware.ir.program import Program

CALIBRATIONS, KNOWN = 10, 70
SEEDS = (0, 1, 2)
NETWORKS = 64
CHAOTIC = 0.01
WIDTHS = {"braille": (8, 4), "mnist-fsdd": (4, 2), "random": (8, 4)}
GOALS = {  # by section, bits and whether tuned: points below float; of random networks, per cent of classes that agree
    ("braille", 8, False): "mean at most 0.1 below float, worst 0.6",
    ("braille", 4, False): "mean at most 1.0 below float, worst 2.5",
    ("braille", 4, True): "mean at most 0.5 below float",
    ("mnist-fsdd", 4, False): "at most 0.1 below float",
    ("mnist-fsdd", 2, False): "at most 0.5 below float",
    ("random", 8, False): "99 % of classes where not chaotic",
    ("random", 4, False): "95 % of classes where not chaotic",
}
Row = dict[str, Any]


@dataclass
class Rows:
    """What was measured, a row per program; kept in a file of JSON lines, if any."""

    path: Path | None
    found: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path is not None and self.path.exists():
            self.found = [json.loads(line) for line in self.path.read_text().splitlines()]

    def has(self, **key: Any) -> bool:
        """Whether there is a row of it."""
        return any(all(row.get(name) == value for name, value in key.items()) for row in self.found)

    def add(self, **row: Any) -> None:
        """Keep a row."""
        self.found.append(row)
        print(json.dumps(row), flush=True)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")


def rounded(graph: nir.NIRGraph, known: NDArray, bits: int, tune: bool) -> tuple[Program, float]:
    """A graph in integers, and the processor seconds that it took."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        if tune:
            from snnfuse.compile import Settings, compile, source_of

            program = compile(source_of(graph), known, Settings(weight_bits=bits, tune=True)).program
        else:
            program = quantize(graph, known, weight_bits=bits)
    return program, round(time.process_time() - start, 2)


def classes(program: Program, x: NDArray) -> NDArray[np.int64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SaturationWarning)  # a few values of normal noise
        return program.decode(emulate(program, program.encode(x)))


def measure_braille(options: argparse.Namespace, rows: Rows) -> None:
    """Ten calibrations."""
    folder = options.data_dir or Path(os.environ.get("SNNFUSE_DATA", "../shared/data"))
    graph, spikes, labels = braille.load(folder)
    if options.graph is not None:
        graph = read_graph(options.graph)
    network = lower(graph)
    (source,) = network.inputs
    floats = simulate(network, {source: spikes}, voltages=False).spikes[next(iter(network.outputs.values()))].sum(0).argmax(1)
    for seed in range(options.first, options.first + (3 if options.quick else CALIBRATIONS)):
        order = np.random.default_rng(seed).permutation(len(labels))
        known, test = np.sort(order[:KNOWN]), np.sort(order[KNOWN:])
        right = braille.percent_right(floats[test], labels[test])
        for bits, tune in wanted("braille", options):
            if rows.has(section="braille", case=seed, bits=bits, tune=tune):
                continue
            program, seconds = rounded(graph, spikes[:, known], bits, tune)
            found = classes(program, spikes[:, test])
            rows.add(section="braille", case=seed, bits=bits, tune=tune, float=right, right=braille.percent_right(found, labels[test]),
                     agree=braille.percent_right(found, floats[test]), seconds=seconds)  # fmt: skip


def measure_fusion(options: argparse.Namespace, rows: Rows) -> None:
    """Three seeds, each trained now or kept in a folder."""
    from benchmarks.mnist_fsdd import ALL, CALIBRATION, DATA
    from snnfuse.checkpoints.checkpoint import load_checkpoint, save_checkpoint
    from snnfuse.compile import Settings, compile, source_of
    from snnfuse.compile.accuracy import float_accuracy, program_accuracy
    from snnfuse.compile.tracing import trace_module
    from snnfuse.data import load
    from snnfuse.data.samples import draw_samples
    from snnfuse.export.staging.staged import StagedGraph
    from snnfuse.training import Recipe, train

    for seed in SEEDS[: 1 if options.quick else None]:
        path = None if options.models is None else options.models / f"fusion-{seed}.pt"
        if path is not None and path.exists():
            model = load_checkpoint(path)
        else:
            model = train(load(DATA, options.data_dir), Recipe(seed=seed), modality="fusion").model
            if path is not None:
                save_checkpoint(model, path, metadata={"data": DATA})
        known = draw_samples(DATA, CALIBRATION, data_dir=options.data_dir).named(model.inputs)
        test = draw_samples(DATA, ALL, part="test", data_dir=options.data_dir).named(model.inputs)
        graph = trace_module(model, known.shapes, Settings())[0]
        for bits, tune in wanted("mnist-fsdd", options):
            if rows.has(section="mnist-fsdd", case=seed, bits=bits, tune=tune):
                continue
            start = time.process_time()
            program = compile(source_of(graph), known, Settings(weight_bits=bits, **({"tune": True} if tune else {}))).program
            seconds = round(time.process_time() - start, 2)
            right = 100 * program_accuracy(program, emulate(program, program.encode(test.inputs)), test)
            floats = 100 * float_accuracy(StagedGraph((graph,)), program, test)
            rows.add(section="mnist-fsdd", case=seed, bits=bits, tune=tune, float=floats, right=right, seconds=seconds)


def measure_random(options: argparse.Namespace, rows: Rows) -> None:
    """Random networks."""
    for number in range(options.first, options.first + (16 if options.quick else options.networks)):
        if all(rows.has(section="random", case=number, bits=bits, tune=tune) for bits, tune in wanted("random", options)):
            continue
        drawn = draw(number)
        import torch

        graph = to_nir(drawn.model, torch.from_numpy(drawn.known[0, :1]))
        network = lower(graph)
        (output,), (source,) = network.outputs.values(), network.inputs

        def of_floats(net: Any, x: NDArray = drawn.test, name: str = source, node: str = output) -> NDArray[np.int64]:
            return simulate(net, {name: x}, voltages=False).spikes[node].sum(0).argmax(1)

        floats = of_floats(network)
        chaos = float((of_floats(moved(network)) != floats).mean())
        for bits, tune in wanted("random", options):
            if rows.has(section="random", case=number, bits=bits, tune=tune):
                continue
            program, seconds = rounded(graph, drawn.known, bits, tune)
            agree = braille.percent_right(classes(program, drawn.test), floats)
            rows.add(section="random", case=number, name=drawn.name, bits=bits, tune=tune, agree=agree, chaos=chaos, seconds=seconds)


def wanted(section: str, options: argparse.Namespace) -> list[tuple[int, bool]]:
    """Bits, without and with a repair of what few bits lose."""
    return [(bits, tune) for bits in options.bits or WIDTHS[section] for tune in ((False, True) if options.tune and bits < 8 else (False,))]


def summary(rows: list[Row]) -> Iterator[tuple[str, str]]:
    """What the rows come to, with the goals."""
    for section, bits, tune in product(WIDTHS, range(8, 0, -1), (False, True)):
        of = [row for row in rows if (row["section"], row["bits"], row["tune"]) == (section, bits, tune)]
        if of:
            name, goal = f"{section}, {bits} bits{', tuned' if tune else ''}, {len(of)} programs", GOALS.get((section, bits, tune))
            yield name, (_of_random(of) if section == "random" else _of_accuracy(of)) + (f" (wanted: {goal})" if goal else "")


def _of_accuracy(rows: list[Row]) -> str:
    lost = [row["float"] - row["right"] for row in rows]
    floats, seconds = np.mean([row["float"] for row in rows]), np.mean([row["seconds"] for row in rows])
    return f"float {floats:.2f} %, lost {np.mean(lost):.2f} points, {max(lost):.2f} at worst; {seconds:.1f} s each"


def _of_random(rows: list[Row]) -> str:
    steady = [row["agree"] for row in rows if row["chaos"] <= CHAOTIC]
    every = [row["agree"] for row in rows]
    seconds = f"{np.mean([row['seconds'] for row in rows]):.1f} s each"
    return f"{np.mean(steady):.2f} % of {len(steady)} that are not chaotic, {np.mean(every):.2f} % of all {len(every)}; {seconds}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--only", choices=tuple(WIDTHS))
    parser.add_argument("--quick", action="store_true", help="three calibrations, one seed, sixteen networks")
    parser.add_argument("--bits", type=int, nargs="+", choices=range(1, 9), help="in place of each section's own")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--graph", type=Path, help="another graph of the Braille task")
    parser.add_argument("--models", type=Path, metavar="DIR", help="keep what is trained, and go on from it")
    parser.add_argument("--first", type=int, default=0, help="the first calibration or network (default 0)")
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--keep", type=Path, metavar="FILE")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    rows = Rows(options.keep)
    for name, measure in (("braille", measure_braille), ("mnist-fsdd", measure_fusion), ("random", measure_random)):
        if options.only in (None, name):
            measure(options, rows)
    report(dict(summary(rows.found)), options.json)


if __name__ == "__main__":
    main()
