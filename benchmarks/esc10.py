"""Environmental sounds, five folds: `python -m benchmarks.esc10 --out DIR [--data-dir DIR] [--folds 5] [--json -]`.

Trains the audio network of FD-fusion on ESC-10's official folds, each tested once by the network of the others, as `snnfuse train
fd-fusion --data esc10 --split fold-K --preset esc10 --seed K` does. Exports each for Loihi 2 with 8-bit weights, calibrated on its training
clips, and measures both on the fold; fold 1's first clips run on Lava too, every spike and state compared. A class is the output with most
spikes, ties to the lowest index. The interval is of 95 %, over draws of the 400 clips' recordings. DIR keeps a row as soon as it is
measured, and the networks.

`--inner` is how features and recipe were chosen: networks of three folds, of which each reads the two others. No network of four folds,
hence no figure of the first command, had a part in the choice.

For comparison, two linear models (logistic regression, l2 0.02) are fitted on the same folds: on mean, deviation, mean change and three
quantiles of each of 64 log-mel bands over the clip, and on what the network reads.
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
from benchmarks.real_pairs import ROWS, interval, on_lava, rights
from benchmarks.rows import Kept
from snnfuse.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from snnfuse.compile import compile, source_of
from snnfuse.data import AudioVisual, Settings, load
from snnfuse.data.folders import build as folders
from snnfuse.data.folders import esc10
from snnfuse.data.samples import Samples
from snnfuse.hardware import Program
from snnfuse.measures import Deployed, of_model
from snnfuse.networks import preset_config
from snnfuse.training import calibration_of, recipe_for, train

PRESET = "esc10"
ON_LAVA = 8  # clips
LEFT_OUT = ((1, 2), (2, 3), (3, 4), (4, 5), (1, 5))


def trained(data: AudioVisual, seed: int) -> torch.nn.Module:
    """The network of the command line."""
    return train(data, replace(recipe_for("fd-fusion", "esc10"), seed=seed), **preset_config("fd-fusion", PRESET)).model


def exported(data: AudioVisual, fold: int, out: Path) -> tuple[torch.nn.Module, Program]:
    """A fold's network, trained or kept from before, and its program."""
    path = out / f"esc10-fold-{fold}.pt"
    if path.exists():
        model = load_checkpoint(path)
    else:
        model = trained(data, fold)
        save_checkpoint(model, path, metadata={"data": "esc10", "data_settings": asdict(data.settings)})
    samples = Samples(calibration_of(model, data, fold), None, "esc10, train part")
    return model, compile(source_of(model), samples).program


def measured(fold: int, options: argparse.Namespace) -> dict[str, Any]:
    """Which of a fold's clips are right, float and deployed."""
    data, start = load("esc10", options.data_dir, Settings(split=f"fold-{fold}")), time.process_time()
    model, program = exported(data, fold, options.out)
    seconds = time.process_time() - start
    test = {"audio": data.test.steps()["audio"]}
    floats = rights(of_model(model)(test).scores, data.test.labels)
    deployed = rights(Deployed(program, None)(test)[0].scores, data.test.labels)
    groups = data.test.pools["audio"].groups
    assert groups is not None
    return {
        "float": 100 * float(floats.mean()), "deployed": 100 * float(deployed.mean()), "seconds": seconds,
        "right": floats.tolist(), "right_deployed": deployed.tolist(), "sources": groups[data.test.index[:, 0]].tolist(),
    }  # fmt: skip


def compared(options: argparse.Namespace) -> dict[str, int]:
    """Emulator and Lava on the first clips of fold 1."""
    data = load("esc10", options.data_dir, Settings(split="fold-1"))
    return on_lava(exported(data, 1, options.out)[1], data.test, ON_LAVA)


def inner(left_out: tuple[int, int], options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy in % of a network of three folds, normalisation included, on the two others."""
    samples = esc10.clips_of(esc10.KIND, options.data_dir)
    folds, sources = esc10.folds_and_sources(samples)
    data = folders.build(esc10.KIND, esc10.CLASSES, samples, ~np.isin(folds, left_out), Settings(), groups=sources)
    scores = of_model(trained(data, 10 * left_out[0] + left_out[1]))({"audio": data.test.steps()["audio"]}).scores
    return {"float": 100 * float(rights(scores, data.test.labels).mean())}


def linear(fold: int, options: argparse.Namespace) -> dict[str, Any]:
    """Accuracies in % of linear models on statistics of the bands, and on what the network reads, the same folds."""
    frames = load("esc10", options.data_dir, Settings(split=f"fold-{fold}", features="log-mel", time=125))
    same = load("esc10", options.data_dir, Settings(split=f"fold-{fold}"))
    labels = [side.labels for side in (same.train, same.test)]
    bands = [statistics(side.values("audio")[:, :, -64:]) for side in (frames.train, frames.test)]
    return {"linear": fitted(bands, labels), "linear, same features": fitted([s.values("audio") for s in (same.train, same.test)], labels)}


def fitted(x: list[np.ndarray], labels: list[np.ndarray]) -> float:
    """Accuracy in % on the second part of a logistic regression on the first, whose deviations become one."""
    mean, std = x[0].mean(0), x[0].std(0) + 1e-3
    train_x, test_x = (torch.from_numpy((each - mean) / std).float() for each in x)
    y = [torch.from_numpy(each) for each in labels]
    weights = torch.zeros(train_x.shape[1] + 1, 10, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=60)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(train_x @ weights[1:] + weights[0], y[0]) + 0.01 * (weights**2).sum()
        value.backward()
        return value

    optimiser.step(loss)  # type: ignore[arg-type]  # LBFGS takes a closure that returns a tensor
    found = (test_x @ weights[1:] + weights[0]).argmax(1)
    return 100 * float((found == y[1]).float().mean())


def statistics(frames: np.ndarray) -> np.ndarray:
    """(clips, frames, bands) to (clips, 6 * bands): mean, deviation, mean change, and the quantiles 0.1, 0.5 and 0.9."""
    quantiles = np.quantile(frames, [0.1, 0.5, 0.9], axis=1).transpose(1, 0, 2).reshape(len(frames), -1)
    return np.concatenate([frames.mean(1), frames.std(1), np.abs(np.diff(frames, axis=1)).mean(1), quantiles], axis=1)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every fold, and the mean over them."""
    options.out.mkdir(parents=True, exist_ok=True)
    rows = Kept(options.out / ROWS)
    if options.inner:
        of = [rows.row({"data": "esc10", "left out": [*pair], "network": "spiking"}, partial(inner, pair, options)) for pair in LEFT_OUT]
        return {"float, three folds": float(np.mean([row["float"] for row in of]))}
    folds = range(1, options.folds + 1)
    networks = [rows.row({"data": "esc10", "fold": fold, "network": "spiking"}, partial(measured, fold, options)) for fold in folds]
    plain = [rows.row({"data": "esc10", "fold": fold, "network": "linear"}, partial(linear, fold, options)) for fold in folds]
    figures: dict[str, Any] = {kind: float(np.mean([row[kind] for row in networks])) for kind in ("float", "deployed")}
    sources = np.concatenate([row["sources"] for row in networks])[:, None]
    for kind, key in (("float", "right"), ("deployed", "right_deployed")):
        low, high = interval(np.concatenate([row[key] for row in networks]), sources)
        figures[f"{kind}, interval"] = f"{low:.1f} to {high:.1f} %"
    lava = rows.row({"data": "esc10", "fold": 1, "backend": "lava"}, partial(compared, options))
    return figures | {"Lava": lava, "folds": options.folds} | {
        name: float(np.mean([row[name] for row in plain])) for name in ("linear", "linear, same features")
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="rows and networks, from which a second start goes on")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--inner", action="store_true", help="networks of three folds, each read by the other two, in place of the figures")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    report(measure(options), options.json)


if __name__ == "__main__":
    main()
