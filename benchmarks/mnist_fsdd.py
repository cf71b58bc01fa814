"""Real images and real speech, from training to Lava: `python -m benchmarks.mnist_fsdd [--data-dir DIR] [--lava SAMPLES] [--json -]`.

Trains the small FD-fusion network and each modality alone, with the settings of `snnfuse train`; exports the fused one for
Loihi 2 with 8-bit weights, calibrated on 256 training pairs; and measures everything on all 2,000 test pairs. A class is the
output with most spikes, ties to the lowest index. The first test pairs also run on Lava, every spike and state of every layer
compared.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.braille import report
from snnfuse.compile import Settings, compile, source_of
from snnfuse.compile import accuracy as accuracies
from snnfuse.data import load
from snnfuse.data.samples import draw_samples
from snnfuse.export.bundle.compiled import Compiled
from snnfuse.hardware import compare, emulate
from snnfuse.hardware.backends.lava import simulate_on_lava
from snnfuse.training import Recipe, Trained, train

DATA = "mnist-fsdd"
CALIBRATION = 256
ALL = 10**9


def train_all(epochs: int, seed: int, data_dir: Path | None) -> dict[str, tuple[Trained, float]]:
    """A network per modality, and the seconds its training took."""
    data, trained = load(DATA, data_dir), {}
    for modality in ("fusion", "vision", "audio"):
        start = time.perf_counter()
        result = train(data, Recipe(epochs=epochs, seed=seed), modality=modality)
        trained[modality] = result, time.perf_counter() - start
    return trained


def deploy(fused: Trained, data_dir: Path | None, weight_bits: int) -> Compiled:
    """What snnfuse-export does with the checkpoint."""
    calibration = draw_samples(DATA, CALIBRATION, data_dir=data_dir).named(fused.model.inputs)
    return compile(source_of(fused.model), calibration, Settings(weight_bits=weight_bits))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures of this page."""
    trained = train_all(options.epochs, options.seed, options.data_dir)
    compiled = deploy(trained["fusion"][0], options.data_dir, options.weight_bits)
    program = compiled.program
    test = draw_samples(DATA, ALL, part="test", data_dir=options.data_dir).named(tuple(program.inputs))
    figures: dict[str, Any] = {"test samples": len(test), "decoder": accuracies.describe_decoder(program)}
    for modality, (result, seconds) in trained.items():
        figures[f"float, {modality}"] = 100 * result.accuracy
        figures[f"training, {modality}"] = f"{seconds:.0f} s"
    deployed = emulate(program, program.encode(test.inputs))
    figures[f"deployed, {options.weight_bits} bits"] = 100 * accuracies.program_accuracy(program, deployed, test)
    figures["ledger"] = [f"{entry.node}: {entry.change}: {entry.effect}" for entry in program.ledger]
    few = test.select(slice(options.lava))
    events = program.encode(few.inputs)
    result = compare(emulate(program, events, "all", states=True), simulate_on_lava(program, events, "all", states=True))
    figures["emulator against Lava"] = {"samples": len(few), "compared": result.compared, "mismatches": result.mismatches}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weight-bits", type=int, default=8)
    parser.add_argument("--lava", type=int, default=32, metavar="SAMPLES")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    report(measure(options), options.json)


if __name__ == "__main__":
    main()
