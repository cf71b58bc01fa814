"""Sensors that fail, on real images and real speech: `python -m benchmarks.fd_fusion [--seeds 3] [--keep DIR] [--docs docs] [--json -]`.

Trains the small FD-fusion network on mnist-fsdd, and each modality alone, all with noise in training, the fused one with sensors missing
too. Measured on all 2,000 test pairs, in float and with the 8-bit program on the emulator, as means over seeds: clean sensors; images
with noise, and covered in part; recordings with white noise at a true signal-to-noise ratio; a sensor missing; a sensor late. Where each
modality alone is nearest to 85 %, both sensors are made that bad at once. A class is the output with most spikes, ties to the lowest
index. The fused program's first test pairs run on Lava too, every spike and state of every layer compared. As a control of what 8 bits
cost, the same float networks are measured with their weights rounded to float16, which is no quantization to speak of.

--keep DIR keeps what was trained, and goes on from it; --docs DIR writes the table of modalities.md, and modalities.svg beside it.
"""

import argparse
import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.braille import report
from benchmarks.fd_fusion_page import write_page
from snnfuse.checkpoints.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from snnfuse.compile import compile, source_of
from snnfuse.data import AudioVisual, Pool, Settings, corruptions, load, make_pairs
from snnfuse.data.samples import Samples
from snnfuse.hardware import Program, compare, emulate
from snnfuse.hardware.backends.lava import simulate_on_lava
from snnfuse.measures import Condition, Deployed, measure_modalities, of_model
from snnfuse.measures.conditions import CLEAN, IMAGE, LATE, MISSING, OCCLUSION, RECORDING
from snnfuse.report.contents import TestPart
from snnfuse.training import Recipe, train

DATA = "mnist-fsdd"
MODALITIES = ("fusion", "vision", "audio")
HEARD_AT = (15.0, 10.0, 5.0, 0.0, -5.0)  # dB of the noisy copies of every training recording
NOISE_SEED = 1  # of these copies; test recordings have another
NOISY = {"image_noise": 0.6, "occlusion": 0.2}
RECIPES = {
    "fusion": Recipe(epochs=14, drop_modality=0.25, **NOISY),
    "vision": Recipe(epochs=12, **NOISY),
    "audio": Recipe(epochs=20),
}
LEVELS = {
    ("image", IMAGE): (0.25, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5),
    ("image", OCCLUSION): (0.05, 0.1, 0.15, 0.25, 0.5),
    ("audio", RECORDING): (20.0, 10.0, 5.0, 2.5, 0.0, -5.0, -10.0),
    ("image", LATE): (1, 2, 4),
    ("audio", LATE): (1, 2, 4),
}
INPUTS = {"vision": "image", "audio": "audio"}
EMBEDDINGS = {"vision": "vision.9", "audio": "audio.5", "fused": "head.3"}
WANTED = 0.85  # accuracy of a modality alone at which fusion is compared with it
CALIBRATION = 256
RUNS = ("float", "deployed", "float16")
GOAL = 0.3  # points that 8 bits may lose


@dataclass(frozen=True, eq=False)
class Network:
    """One trained network: its float model, and its program."""

    modality: str
    seed: int
    model: nn.Module
    program: Program


def training_data(data_dir: Path | None) -> AudioVisual:
    """The data set with noisy copies of every training recording, which a split keeps together; the test part is as recorded."""
    data = load(DATA, data_dir)
    heard = [data, *(load(DATA, data_dir, Settings(snr_db=snr, seed=NOISE_SEED)) for snr in HEARD_AT)]
    audio = joined([each.train.pools["audio"] for each in heard])
    return replace(data, train=make_pairs({"image": data.train.pools["image"], "audio": audio}, data.time, 0))


def joined(copies: Sequence[Pool]) -> Pool:
    """Several copies of the same items as one pool, the copies of an item in one group."""
    groups = np.tile(np.arange(len(copies[0])), len(copies))
    items, labels = (np.concatenate([getattr(pool, name) for pool in copies]) for name in ("items", "labels"))
    return replace(copies[0], items=items, labels=labels, groups=groups)


def trained(modality: str, seed: int, data: AudioVisual, keep: Path | None) -> nn.Module:
    """A network, trained now or kept from before with the same recipe."""
    recipe = replace(RECIPES[modality], seed=seed)
    path = None if keep is None else keep / f"{modality}-{seed}.pt"
    made = {"benchmark": "fd_fusion", "modality": modality, "recipe": asdict(recipe), "heard_at": list(HEARD_AT)}
    if path is not None and path.exists() and read_metadata(path) == made:
        return load_checkpoint(path)
    start = time.perf_counter()
    model = train(data, recipe, modality=modality).model
    say(f"trained {modality}, seed {seed}: {time.perf_counter() - start:.0f} s")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(model, path, metadata=made)
    return model


def deploy(modality: str, seed: int, model: nn.Module, data: AudioVisual) -> Network:
    """The 8-bit program, calibrated on training pairs of which half of the images are noisy, as some recordings are."""
    chosen = np.sort(np.random.default_rng(seed).choice(len(data.train), CALIBRATION, replace=False))
    steps, sigma = data.train.steps(chosen), np.where(np.arange(CALIBRATION) % 2, 0.5, 0.0)
    steps["image"] = corruptions.image_noise(steps["image"], sigma, seed)
    samples = Samples(steps, data.train.labels[chosen], f"{DATA}, train part").named(model.inputs)
    compiled = compile(source_of(model), samples)
    return Network(modality, seed, model, compiled.program)


def conditions(modality: str) -> list[Condition]:
    """Clean; what may be wrong with the sensors that a network has; and one missing, of two."""
    names = [INPUTS[modality]] if modality in INPUTS else ["image", "audio"]
    missing = [Condition(MISSING, name) for name in names] if len(names) > 1 else []
    return [Condition(CLEAN), *missing] + [Condition(k, n, level) for (n, k), levels in LEVELS.items() if n in names for level in levels]


def measured(network: Network, read: Any, over: Sequence[Condition], board: str | None = None) -> dict[str, Any]:
    """Rows and features of a network, as `measure_modalities` gives them; board: for modelled energy, None for none."""
    embeddings = {name: node for name, node in EMBEDDINGS.items() if node in network.program.neurons}
    if network.modality != "fusion":
        embeddings = {network.modality: EMBEDDINGS[network.modality]}
    own, runners = tuple(network.model.inputs), {"floats": of_model(network.model), "deployed": Deployed(network.program, board)}
    found = measure_modalities(lambda snr: read(snr).named(own), over, embeddings=embeddings, **runners)
    control = measure_modalities(lambda snr: read(snr).named(own), over, floats=of_model(halved(network.model)), deployed=None)
    rows = [row | {"float16": other["float"]} for row, other in zip(found["rows"], control["rows"])]
    return found | {"rows": rows}


def halved(model: nn.Module) -> nn.Module:
    """A copy with its parameters rounded to float16: each changes by 1 in 4,000 at most."""
    made = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(parameter.half())
    return made


def nearest(rows: Sequence[Mapping[str, Any]], kind: str) -> float:
    """The level at which a modality alone is nearest to `WANTED`."""
    return min((row for row in rows if row["kind"] == kind), key=lambda row: abs(row["float"] - WANTED))["level"]


def mean_rows(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of several seeds as one: each of `RUNS` and its seeds' values, in [0, 1]; spikes; energy where it was modelled."""
    rows = []
    for each in zip(*(result["rows"] for result in results)):
        row: dict[str, Any] = {key: each[0][key] for key in ("name", "kind", "input", "level", "unit", "samples")}
        for run in RUNS:
            values, spikes = ([result[run][key] for result in each] for key in ("accuracy", "spikes"))
            row |= {run: float(np.mean(values)), f"{run}_seeds": values, f"{run}_spikes": float(np.mean(spikes))}
        rows.append(row | {"energy": each[0]["deployed"]["energy"]})
    return rows


def both_bad(fused: Sequence[Network], read: Any, levels: Mapping[str, float]) -> list[dict[str, Any]]:
    """Both sensors noisy at once: every level of the images' noises, with recordings where audio alone is near `WANTED`."""
    rows, heard = [], Condition(RECORDING, "audio", levels[RECORDING])
    for kind in (IMAGE, OCCLUSION):
        for level in LEVELS["image", kind]:
            seen = Condition(kind, "image", level)

            def spoilt(snr: float | None, seen: Condition = seen) -> Samples:
                clean = read(snr)
                return replace(clean, inputs=seen.apply(clean.inputs, 0))

            (row,) = mean_rows([measured(network, spoilt, [heard]) for network in fused])
            rows.append(row | {"name": f"{seen.name}; {heard.name} dB", "kind": f"{kind}, both", "input": "image", "level": level})
    return rows


def fusion_gain(rows: Mapping[str, Sequence[Mapping[str, Any]]], levels: Mapping[str, float]) -> list[dict[str, Any]]:
    """Where each modality alone is nearest to `WANTED`: fusion against the better one, percentage points."""
    found = []
    for kind in (IMAGE, OCCLUSION):
        alone = {"vision": one(rows["vision"], kind, levels[kind]), "audio": one(rows["audio"], RECORDING, levels[RECORDING])}
        fused = one(rows["both"], f"{kind}, both", levels[kind])
        for run in ("float", "deployed"):
            figures = {name: 100 * row[run] for name, row in alone.items()}
            best = max(figures.values())
            found.append({"images": f"{kind} {levels[kind]:g}", "recordings": f"{levels[RECORDING]:g} dB", "run": run} | figures
                         | {"fused": 100 * fused[run], "points": 100 * fused[run] - best})  # fmt: skip
    return found


def apart(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """By network and run, how far it is from float over all conditions, in points: rms, the most that it loses and gains, and in how many
    conditions it loses more than `GOAL`."""
    found = []
    for which, of in rows.items():
        for run in RUNS[1:]:
            points = np.round([100 * (row[run] - row["float"]) for row in of], 9)
            figures = {"rms": float(np.sqrt((points**2).mean())), "lost": max(0.0, -points.min()), "gained": max(0.0, points.max())}
            worst = of[int(points.argmin())]["name"] if points.min() < 0 else None
            short = int((points < -GOAL).sum())
            found.append({"network": which, "run": run, "conditions": len(points), "short": short, "worst": worst} | figures)
    return found


def one(rows: Sequence[Mapping[str, Any]], kind: str, level: float | None = None, sensor: str | None = None) -> Mapping[str, Any]:
    """The row of a condition."""
    return next(row for row in rows if row["kind"] == kind and row["level"] == level and sensor in (None, row["input"]))


def on_lava(network: Network, read: Any, number: int) -> dict[str, int]:
    """Every spike and state of every layer, emulator against Lava."""
    program = network.program
    events = program.encode(read(None).named(tuple(program.inputs)).select(slice(number)).inputs)
    result = compare(emulate(program, events, "all", states=True), simulate_on_lava(program, events, "all", states=True))
    return {"samples": number, "compared": result.compared, "mismatches": result.mismatches}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, JSON-able."""
    data, seeds = training_data(options.data_dir), range(options.seeds)
    models = {(m, seed): trained(m, seed, data, options.keep) for seed in seeds for m in MODALITIES}
    networks = {m: [deploy(m, seed, models[m, seed], data) for seed in seeds] for m in MODALITIES}
    read = TestPart(DATA, options.data_dir, ("image", "audio"))
    results: dict[str, list[dict[str, Any]]] = {}
    for modality in MODALITIES:
        boards = ["oheo-gulch" if modality == "fusion" and not seed else None for seed in seeds]
        results[modality] = [measured(n, read, conditions(modality), board) for n, board in zip(networks[modality], boards)]
        say(f"measured {modality}")
    rows = {modality: mean_rows(found) for modality, found in results.items()}
    levels = {kind: nearest(rows["vision"], kind) for kind in (IMAGE, OCCLUSION)} | {RECORDING: nearest(rows["audio"], RECORDING)}
    rows["both"] = both_bad(networks["fusion"], read, levels)
    return {
        "seeds": options.seeds,
        "samples": len(read(None)),
        "recipes": {name: asdict(recipe) for name, recipe in RECIPES.items()},
        "rows": rows,
        "fusion gain": fusion_gain(rows, levels),
        "apart from float": apart(rows),
        "features": {modality: [found["features"] for found in of] for modality, of in results.items()},
        "emulator against Lava": on_lava(networks["fusion"][0], read, options.lava) if options.lava else None,
    }


def say(text: str) -> None:
    """Progress, on standard error."""
    import sys

    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep trained networks, and go on from them")
    parser.add_argument("--lava", type=int, default=64, metavar="SAMPLES")
    parser.add_argument("--docs", type=Path, metavar="DIR", help="write the table of DIR/modalities.md, and DIR/modalities.svg")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    found = measure(options)
    if options.docs:
        write_page(options.docs, found)
    report(found, options.json)


if __name__ == "__main__":
    main()
