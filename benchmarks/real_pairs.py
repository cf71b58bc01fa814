"""Pairs of real recordings, each modality alone and fused: `python -m benchmarks.real_pairs --data nmnist-fsdd --out DIR [--json -]`.

Trains FD-fusion on nmnist-fsdd (three seeds) or cifar-esc (five folds, a seed each), and each modality alone; exports every network for
Loihi 2 with 8-bit weights, calibrated on 256 training pairs; and measures both on the whole test part. A class is the output with most
spikes, ties to the lowest index. Intervals are of 95 %, from 2,000 draws of test recordings with replacement, of both modalities at once:
pairs that share a recording are drawn together, as they are right or wrong together. The first test pairs of the first fused program run
on Lava too, every spike and state of every layer compared. DIR keeps a row as soon as it is measured, and the networks.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.braille import report
from benchmarks.rows import Kept
from snnfuse.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from snnfuse.compile import compile, source_of
from snnfuse.data import AudioVisual, Pairs, Settings, load
from snnfuse.data.samples import Samples
from snnfuse.hardware import Program, compare, emulate
from snnfuse.hardware.backends.lava import simulate_on_lava
from snnfuse.measures import Deployed, of_model
from snnfuse.training import Recipe, calibration_of, train

MODALITIES = ("vision", "audio", "fusion")
DRAWS = 2000
ROWS = "rows.jsonl"
RUNS = {
    "nmnist-fsdd": [(f"seed {seed}", seed, Settings(time=8)) for seed in range(3)],
    "cifar-esc": [(f"fold {fold}", fold, Settings(split=f"fold-{fold}")) for fold in range(1, 6)],
}
RECIPES = {
    "nmnist-fsdd": dict.fromkeys(MODALITIES, Recipe(epochs=10)),
    "cifar-esc": dict.fromkeys(MODALITIES, Recipe(epochs=4)),
}


def interval(right: NDArray[np.bool_], index: NDArray[np.int64], seed: int = 0) -> tuple[float, float]:
    """95 % of the accuracies in % over draws of recordings.

    Args:
        right: (pairs,), which pairs are classified right.
        index: (pairs, modalities), the recordings of each; only columns of modalities that the network has.
        seed: of the draws.
    """
    rng, found = np.random.default_rng(seed), []
    columns = [np.unique(column, return_inverse=True)[1] for column in index.T]
    for _ in range(DRAWS):
        weight = np.ones(len(right))
        for column in columns:
            number = column.max() + 1
            weight *= rng.multinomial(number, np.full(number, 1 / number))[column]
        if weight.sum():
            found.append(float((weight * right).sum() / weight.sum()))
    low, high = np.percentile(found, (2.5, 97.5))
    return 100 * float(low), 100 * float(high)


def rights(scores: NDArray, labels: NDArray) -> NDArray[np.bool_]:
    """Which samples' highest score (batch, classes), ties to the lowest index, is their label."""
    return scores.reshape(len(scores), -1).argmax(1) == labels


def measured(name: str, run: str, seed: int, data: AudioVisual, modality: str, out: Path) -> tuple[dict[str, Any], Program]:
    """A network trained, or kept from before, and both of its accuracies; and its program."""
    path, start = out / f"{name}-{run.replace(' ', '-')}-{modality}.pt", time.process_time()
    if path.exists():
        model = load_checkpoint(path)
    else:
        model = train(data, replace(RECIPES[name][modality], seed=seed), modality=modality).model
        save_checkpoint(model, path, metadata={"data": name})
    seconds = time.process_time() - start
    samples = Samples(calibration_of(model, data, seed), None, f"{name}, train part")
    program = compile(source_of(model), samples).program
    test = data.test.steps()
    inputs = {key: test[key] for key in samples.inputs}
    columns = [list(data.test.pools).index(key) for key in inputs]
    floats = rights(of_model(model)(inputs).scores, data.test.labels)
    deployed = rights(Deployed(program, None)(inputs)[0].scores, data.test.labels)
    row: dict[str, Any] = {"pairs": len(data.test), "recordings": [len(data.test.pools[key]) for key in inputs], "seconds": seconds}
    for kind, right in (("float", floats), ("deployed", deployed)):
        row |= {kind: 100 * float(right.mean()), f"{kind}_interval": interval(right, data.test.index[:, columns])}
    return row | {"changed": int((floats != deployed).sum())}, program


def on_lava(program: Program, test: Pairs, number: int) -> dict[str, int]:
    """Every spike and state of every layer, emulator against Lava, on the first test pairs."""
    steps = test.steps(slice(number))
    events = program.encode({name: steps[name] for name in program.inputs})
    result = compare(emulate(program, events, "all", states=True), simulate_on_lava(program, events, "all", states=True))
    return {"samples": number, "compared": result.compared, "mismatches": result.mismatches}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every row, and means over runs."""
    options.out.mkdir(parents=True, exist_ok=True)
    rows, name = Kept(options.out / ROWS), options.data
    for run, seed, settings in RUNS[name][: options.runs]:
        data = load(name, options.data_dir, replace(settings, seed=seed))
        key = {"data": name, "run": run}
        of = {modality: partial(measured, name, run, seed, data, modality, options.out) for modality in MODALITIES}
        for modality, network in of.items():
            rows.row(key | {"modality": modality}, partial(_first, network))
        if options.lava and (run, seed, settings) == RUNS[name][0]:
            rows.row(key | {"backend": "lava"}, partial(_compared, of["fusion"], data.test, options.lava))
    return {"rows": rows.read()} | means([row for row in rows.read() if row["data"] == name and "modality" in row])


def _first(network: Callable[[], tuple[dict[str, Any], Program]]) -> dict[str, Any]:
    return network()[0]


def _compared(network: Callable[[], tuple[dict[str, Any], Program]], test: Pairs, number: int) -> dict[str, int]:
    return on_lava(network()[1], test, number)


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Over runs, by modality: float and deployed in %."""
    by = {modality: [row for row in rows if row["modality"] == modality] for modality in MODALITIES}
    return {
        f"{modality}, {kind}": float(np.mean([row[kind] for row in of]))
        for modality, of in by.items()
        for kind in ("float", "deployed")
        if of
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=tuple(RUNS), required=True)
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="rows and networks, from which a second start goes on")
    parser.add_argument("--runs", type=int, metavar="N", help="the first N seeds or folds only")
    parser.add_argument("--lava", type=int, default=16, metavar="PAIRS")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    report(measure(options), options.json)


if __name__ == "__main__":
    main()
