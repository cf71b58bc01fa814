"""Environmental sounds, five folds: `python -m benchmarks.esc10 --out DIR [--data-dir DIR] [--folds 5] [--json -]`.

Trains the audio network of FD-fusion on ESC-10's official folds, each tested once by the network of the others: log-mel texture of 64
bands on 10 steps, masks, mixtures and shifts in training, its own held-out recordings choosing the epoch. Exports each for Loihi 2 with
8-bit weights, calibrated on its training clips, and measures both on the fold. A class is the output with most spikes, ties to the lowest
index. The interval is of 95 %, over draws of the 400 clips' recordings. DIR keeps a row as soon as it is measured, and the networks.

For comparison, a linear model (logistic regression, l2 0.02) on mean, deviation, mean change and three quantiles of each of 64 log-mel
bands over the clip is fitted on the same folds.
"""

import argparse
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.braille import report
from benchmarks.real_pairs import ROWS, interval, rights
from benchmarks.rows import Kept
from snnfuse.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from snnfuse.compile import compile, source_of
from snnfuse.data import Settings, load
from snnfuse.data.samples import Samples
from snnfuse.measures import Deployed, of_model
from snnfuse.training import Recipe, calibration_of, train

RECIPE = Recipe(
    epochs=120, batch_size=32, lr=4e-3, weight_decay=1e-2, held=0.03, augment=False, mixup=0.3, roll=1.0, mask=0.15, label_smoothing=0.05,
    drop_modality=0.0,
)  # fmt: skip
CONFIG: dict[str, Any] = {"modality": "audio", "hidden": (), "embedding": 256, "fused": 128, "dropout": 0.2}


def measured(fold: int, options: argparse.Namespace) -> dict[str, Any]:
    """A fold's network, trained or kept from before: which of its clips are right, float and deployed."""
    data = load("esc10", options.data_dir, Settings(split=f"fold-{fold}"))
    path, start = options.out / f"esc10-fold-{fold}.pt", time.process_time()
    if path.exists():
        model = load_checkpoint(path)
    else:
        model = train(data, replace(RECIPE, seed=fold), **CONFIG).model
        save_checkpoint(model, path, metadata={"data": "esc10", "data_settings": asdict(data.settings)})
    seconds = time.process_time() - start
    samples = Samples(calibration_of(model, data, fold), None, "esc10, train part")
    program = compile(source_of(model), samples).program
    test = {"audio": data.test.steps()["audio"]}
    floats = rights(of_model(model)(test).scores, data.test.labels)
    deployed = rights(Deployed(program, None)(test)[0].scores, data.test.labels)
    groups = data.test.pools["audio"].groups
    assert groups is not None
    return {
        "float": 100 * float(floats.mean()), "deployed": 100 * float(deployed.mean()), "seconds": seconds,
        "right": floats.tolist(), "right_deployed": deployed.tolist(), "sources": groups[data.test.index[:, 0]].tolist(),
    }  # fmt: skip


def linear(fold: int, options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy in % of a linear model on statistics of the clip, the same folds."""
    data = load("esc10", options.data_dir, Settings(split=f"fold-{fold}", features="log-mel", time=125))
    sides = [(side.values("audio")[:, :, -64:], torch.from_numpy(side.labels)) for side in (data.train, data.test)]
    x, y = zip(*((statistics(values), labels) for values, labels in sides))
    mean, std = x[0].mean(0), x[0].std(0) + 1e-3
    train_x, test_x = (torch.from_numpy((each - mean) / std).float() for each in x)
    weights = torch.zeros(train_x.shape[1] + 1, 10, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=60)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(train_x @ weights[1:] + weights[0], y[0]) + 0.01 * (weights**2).sum()
        value.backward()
        return value

    optimiser.step(loss)  # type: ignore[arg-type]  # LBFGS takes a closure that returns a tensor
    found = (test_x @ weights[1:] + weights[0]).argmax(1)
    return {"linear": 100 * float((found == y[1]).float().mean())}


def statistics(frames: np.ndarray) -> np.ndarray:
    """(clips, frames, bands) to (clips, 6 * bands): mean, deviation, mean change, and the quantiles 0.1, 0.5 and 0.9."""
    quantiles = np.quantile(frames, [0.1, 0.5, 0.9], axis=1).transpose(1, 0, 2).reshape(len(frames), -1)
    return np.concatenate([frames.mean(1), frames.std(1), np.abs(np.diff(frames, axis=1)).mean(1), quantiles], axis=1)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every fold, and the mean over them."""
    options.out.mkdir(parents=True, exist_ok=True)
    rows = Kept(options.out / ROWS)
    folds = range(1, options.folds + 1)
    networks = [rows.row({"data": "esc10", "fold": fold, "network": "spiking"}, partial(measured, fold, options)) for fold in folds]
    plain = [rows.row({"data": "esc10", "fold": fold, "network": "linear"}, partial(linear, fold, options)) for fold in folds]
    figures: dict[str, Any] = {kind: float(np.mean([row[kind] for row in networks])) for kind in ("float", "deployed")}
    sources = np.concatenate([row["sources"] for row in networks])[:, None]
    for kind, key in (("float", "right"), ("deployed", "right_deployed")):
        low, high = interval(np.concatenate([row[key] for row in networks]), sources)
        figures[f"{kind}, interval"] = f"{low:.1f} to {high:.1f} %"
    return figures | {"linear model": float(np.mean([row["linear"] for row in plain])), "folds": options.folds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="rows and networks, from which a second start goes on")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    report(measure(options), options.json)


if __name__ == "__main__":
    main()
