"""Training in the chip's own arithmetic: `python -m benchmarks.qat [--data-dir DIR] [--only PART] [--json -]`.

mnist-fsdd: the small FD-fusion network is trained in floating point with the settings of `snnfuse train`, then fine-tuned with those of
`snnfuse train --qat` at 8, 4 and 2 bits, one synapse group per projection, and measured on all 2,000 test pairs. A second one, trained
with snnTorch's default, reset by subtraction one step later, is fine-tuned towards the chip's reset to zero.

Braille: the NIR paper's recurrent graph at 4 bits, up to two synapse groups per projection, fine-tuned on the ten recordings of each
class that calibrate it and on nothing else, and measured on the other 350. It learns from the spikes of the float network on those 70
recordings, without their labels (`snnfuse.nn.imitate`).

Scales (`--only scales`, and only then): the Braille graph at 4, 3, 2 and 1 bits, calibrated and tuned like that on 70 recordings drawn by
three seeds and measured on the other 350, with threshold scales that stay and with ones that are trained (`learn_scales`).

A class is the output with most spikes, ties to the lowest index. After each training the module is compared with the emulator on its
whole test set: every spike and every state of every layer, `==`.
"""

import argparse
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import braille
from benchmarks.braille import percent_right, report
from snnfuse import training
from snnfuse.data import AudioVisual, load
from snnfuse.export import lower, simulate
from snnfuse.hardware import emulate
from snnfuse.networks import Neuron
from snnfuse.nn import FixedPointNetwork, imitate, quantization_aware
from snnfuse.training import FINE_TUNING, Recipe, Trained, fine_tune

DATA = "mnist-fsdd"
BITS = (8, 4, 2)
DELAYED = {"reset": "subtract", "reset_delay": True}  # snnTorch's default
BRAILLE_BITS, BRAILLE_GROUPS = 4, 2
SCALES_BITS, SCALES_SEEDS, SCALES_KNOWN = (4, 3, 2, 1), (0, 1, 2), 70


def differences(net: FixedPointNetwork, x: Mapping[str, NDArray], samples: int = 250) -> dict[str, int]:
    """Spikes and states of every layer, module against emulator, samples at a time."""
    program = net.program()
    compared = wrong = 0
    size = next(iter(x.values())).shape[1]
    for part in np.split(np.arange(size), range(samples, size, samples)):
        chosen = {name: values[:, part] for name, values in x.items()}
        recording = emulate(program, program.encode(chosen), "all", states=True)
        with torch.no_grad():
            run = net.run({name: torch.from_numpy(values) for name, values in chosen.items()}, states=True)
        for name in run.spikes:
            expected = {"spikes": recording.spikes[name], **recording.states[name]}
            for variable, values in expected.items():
                found = getattr(run, variable)[name].numpy()
                compared, wrong = compared + values.size, wrong + int((found != values).sum())
    return {"compared": compared, "mismatches": wrong}


def tuned(model: torch.nn.Module, data: AudioVisual, recipe: Recipe, **settings: Any) -> tuple[Trained, dict[str, Any]]:
    """A network fine-tuned, and what came of it."""
    start = time.perf_counter()
    trained = fine_tune(model, data, recipe, **settings)
    figures = {"accuracy": 100 * trained.accuracy, "training": f"{time.perf_counter() - start:.0f} s"}
    test = data.test.steps()
    return trained, figures | {"module against emulator": differences(trained.model, {n: test[n] for n in trained.model.inputs})}


def before(model: torch.nn.Module, data: AudioVisual, **settings: Any) -> float:
    """Accuracy in chip arithmetic without training, in %."""
    net = quantization_aware(model, training.calibration_of(model, data, 0), **settings)
    return 100 * training.evaluate(net, data.test)


def measure_fusion(options: argparse.Namespace) -> dict[str, Any]:
    """mnist-fsdd, all figures."""
    data, floats = load(DATA, options.data_dir), Recipe(epochs=options.epochs, seed=options.seed)
    tuning = replace(FINE_TUNING, epochs=options.qat_epochs, seed=options.seed)
    model = training.train(data, floats)
    figures: dict[str, Any] = {"test samples": len(data.test), "float": 100 * model.accuracy}
    for bits in options.bits:
        figures[f"{bits} bits, not trained"] = before(model.model, data, weight_bits=bits)
        figures[f"{bits} bits, fine-tuned"] = tuned(model.model, data, tuning, weight_bits=bits)[1]
    neurons = {"neuron": Neuron(**DELAYED), "audio_neuron": Neuron(beta=0.95, **DELAYED)}
    delayed = training.train(data, floats, **neurons)
    figures["reset by subtraction, one step later: float"] = 100 * delayed.accuracy
    figures["... reset to zero, 4 bits, not trained"] = before(delayed.model, data, weight_bits=4, reset="zero")
    figures["... reset to zero, 4 bits, fine-tuned"] = tuned(delayed.model, data, tuning, weight_bits=4, reset="zero")[1]
    return figures


def measure_braille(options: argparse.Namespace) -> dict[str, Any]:
    """Braille, all figures."""
    graph, spikes, labels = braille.load(braille_folder(options.data_dir))
    calibration, test = braille.split(labels)
    x, y = spikes[:, test], labels[test]
    floats = simulate(lower(graph), {"input": x}).spikes["lif2"].sum(0).argmax(1)
    figures: dict[str, Any] = {"calibration samples": len(calibration), "test samples": len(test), "float": percent_right(floats, y)}
    net = quantization_aware(graph, spikes[:, calibration], weight_bits=BRAILLE_BITS, max_groups=BRAILLE_GROUPS)
    figures["4 bits, not trained"] = right(net, x, y)
    start = time.perf_counter()
    imitate(net, spikes[:, calibration], seed=options.seed)
    figures["4 bits, fine-tuned"] = right(net, x, y)
    figures["training"] = f"{time.perf_counter() - start:.0f} s"
    figures["module against emulator"] = differences(net, {"input": x})
    return figures


def measure_scales(options: argparse.Namespace) -> dict[str, Any]:
    """Braille, threshold scales that stay and that are trained: per cent right, by seed, and points lost against float in the mean."""
    graph, spikes, labels = braille.load(braille_folder(options.data_dir))
    floats = simulate(lower(graph), {"input": spikes}).spikes["lif2"].sum(0).argmax(1)
    figures: dict[str, Any] = {}
    for bits, learns in product(SCALES_BITS, (False, True)):
        found, lost = [], []
        for seed in SCALES_SEEDS:
            order = np.random.default_rng(seed).permutation(len(labels))
            known, test = np.sort(order[:SCALES_KNOWN]), np.sort(order[SCALES_KNOWN:])
            net = quantization_aware(graph, spikes[:, known], weight_bits=bits, max_groups=BRAILLE_GROUPS, learn_scales=learns)
            imitate(net, spikes[:, known], seed=options.seed)
            found.append(right(net, spikes[:, test], labels[test]))
            lost.append(percent_right(floats[test], labels[test]) - found[-1])
        each = ", ".join(f"{accuracy:.2f}" for accuracy in found)
        figures[f"{bits} bits, scales {'trained' if learns else 'kept'}"] = f"{each} % right, {np.mean(lost):.2f} points below float"
        print(f"{bits} bits, scales {'trained' if learns else 'kept'}: {each}", flush=True)
    return figures


def right(net: FixedPointNetwork, x: NDArray, y: NDArray) -> float:
    """Accuracy of the program, in %."""
    program = net.program()
    return percent_right(program.decode(emulate(program, program.encode(x))), y)


def braille_folder(given: Path | None) -> Path:
    """Where its data lies."""
    return given or Path(os.environ.get("SNNFUSE_DATA", "../shared/data"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--only", choices=("fusion", "braille", "scales"))
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--qat-epochs", type=int, default=FINE_TUNING.epochs)
    parser.add_argument("--bits", type=int, nargs="+", default=BITS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    parts = {"fusion": ("mnist-fsdd", measure_fusion), "braille": ("Braille", measure_braille), "scales": ("Braille", measure_scales)}
    chosen = (options.only,) if options.only else ("fusion", "braille")
    measured = {name: run(options) for name, run in (parts[key] for key in chosen)}
    report({f"{name}, {what}": value for name, figures in measured.items() for what, value in figures.items()}, options.json)


if __name__ == "__main__":
    main()
