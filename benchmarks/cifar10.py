"""Do the block and the L2 layer of L2-ActSpikeNet earn their place? `python -m benchmarks.cifar10 [--seeds 3] [--keep DIR] [--json -]`.

Trains the narrow spiking ResNet (preset "narrow-cifar", vision alone, T = 4) on the CIFAR-10 images that lie in the data folder, in two
forms that differ in nothing else: with the ActAfterAddition block and the L2 layer, and with the standard block and without it; with
--parts also with each of them alone. The epoch is chosen on held-out training images; every test image is then read once. A class is
the output with most spikes, ties to the lowest index. The program of each form's first seed is measured on the test images too. --keep
DIR keeps what was trained, and goes on from it.
"""

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from benchmarks.braille import report
from snnfuse.checkpoints.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from snnfuse.compile import accuracy as accuracies
from snnfuse.compile import compile, source_of
from snnfuse.data import AudioVisual, Settings, load
from snnfuse.data.samples import Samples
from snnfuse.hardware import emulate
from snnfuse.networks import Neuron, preset_config
from snnfuse.training import Recipe, evaluate, train

DATA, PRESET = "cifar10", "narrow-cifar"
TIME_STEPS = 4
FORMS = {  # the paper's, and what it is compared with
    "act-after-addition, L2": {"block": "act-after-addition", "l2": "per-step"},
    "standard, no L2": {"block": "standard", "l2": "none"},
}
PARTS = {  # one change at a time
    "act-after-addition, no L2": {"block": "act-after-addition", "l2": "none"},
    "standard, L2": {"block": "standard", "l2": "per-step"},
}
NEURON = Neuron(slope=2.0)  # a wider surrogate gradient: of two tried for two epochs, the one that learns in a few
CALIBRATION = 128


def trained(form: str, recipe: Recipe, data: AudioVisual, keep: Path | None) -> nn.Module:
    """A network of one form, trained now or kept from before with the same recipe."""
    path = None if keep is None else keep / f"{form.replace(', ', '-').replace(' ', '-')}-{recipe.seed}.pt"
    made = {"benchmark": "cifar10", "form": form, "recipe": asdict(recipe)}
    if path is not None and path.exists() and read_metadata(path) == made:
        return load_checkpoint(path)
    start = time.perf_counter()
    config = {**preset_config("fd-fusion", PRESET), "modality": "vision", "neuron": NEURON, **(FORMS | PARTS)[form]}
    model = train(data, recipe, architecture="fd-fusion", **config).model
    print(f"trained {form}, seed {recipe.seed}: {time.perf_counter() - start:.0f} s", flush=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(model, path, metadata=made)
    return model


def deployed(model: nn.Module, data: AudioVisual) -> float:
    """Accuracy of the 8-bit program on all test images, in percent."""
    chosen = np.sort(np.random.default_rng(0).choice(len(data.train), CALIBRATION, replace=False))
    calibration = Samples(data.train.steps(chosen), data.train.labels[chosen], f"{DATA}, train part").named(model.inputs)
    program = compile(source_of(model), calibration).program
    test = Samples(data.test.steps(), data.test.labels, f"{DATA}, test part").named(model.inputs)
    return 100 * accuracies.program_accuracy(program, emulate(program, program.encode(test.inputs)), test)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every form and seed; figures in percent."""
    data = load(DATA, options.data_dir, Settings(time=TIME_STEPS))
    recipe = Recipe(epochs=options.epochs, lr=options.lr)
    figures: dict[str, Any] = {"training images": len(data.train), "test images": len(data.test), "epochs": options.epochs}
    for form in FORMS | PARTS if options.parts else FORMS:
        models = [trained(form, replace(recipe, seed=seed), data, options.keep) for seed in range(options.seeds)]
        accuracy = [100 * evaluate(model, data.test) for model in models]
        figures[form] = {
            "test, by seed": [round(value, 2) for value in accuracy],
            "mean": round(float(np.mean(accuracy)), 2),
            "8 bits deployed, seed 0": round(deployed(models[0], data), 2),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--parts", action="store_true", help="also the block without L2, and L2 without the block")
    parser.add_argument("--keep", type=Path, metavar="DIR")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    report(measure(options), options.json)


if __name__ == "__main__":
    main()
