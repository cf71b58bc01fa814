"""How many bits the fused network needs: `python -m benchmarks.bit_widths [--data-dir DIR] [--search] [--json -]`.

Trains the small FD-fusion network once, as `benchmarks.mnist_fsdd` does, exports it with 8, 6, 4, 3, 2 and 1 bits per weight, calibrated on
256 training pairs, and measures each on all 2,000 test pairs. `--search` then finds the cheapest bits within 0.5 points, per layer.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.braille import report
from benchmarks.mnist_fsdd import ALL, CALIBRATION, DATA
from snnfuse.checkpoints.checkpoint import load_checkpoint
from snnfuse.compile import Settings, compile, source_of
from snnfuse.compile import accuracy as accuracies
from snnfuse.compile.tracing import trace_module
from snnfuse.data import load
from snnfuse.data.samples import Samples, draw_samples
from snnfuse.export.staging.staged import StagedGraph
from snnfuse.hardware import emulate
from snnfuse.hardware.ir.program import Program
from snnfuse.training import Recipe, train

BITS = (8, 6, 4, 3, 2, 1)
MAX_DROP = 0.5


def percent(program: Program, test: Samples) -> float:
    return 100 * accuracies.program_accuracy(program, emulate(program, program.encode(test.inputs)), test)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures of this page."""
    if options.model:
        model = load_checkpoint(options.model)
    else:
        model = train(load(DATA, options.data_dir), Recipe(epochs=options.epochs, seed=options.seed), modality="fusion").model
    calibration = draw_samples(DATA, CALIBRATION, data_dir=options.data_dir).named(model.inputs)
    test = draw_samples(DATA, ALL, part="test", data_dir=options.data_dir).named(model.inputs)
    graph = trace_module(model, calibration.shapes, Settings())[0]
    source = source_of(graph)
    figures: dict[str, Any] = {"test samples": len(test)}
    for groups in (1, options.max_groups):
        for bits in options.bits:
            compiled = compile(source, calibration, Settings(weight_bits=bits, max_groups=groups))
            figures.setdefault("float", 100 * accuracies.float_accuracy(StagedGraph((graph,)), compiled.program, test))
            figures[f"{bits} bits, up to {groups} groups"] = percent(compiled.program, test)
            figures[f"{bits} bits, up to {groups} groups, bytes"] = sum(layer.memory for layer in compiled.stages[0].resources.layers)
    if options.search:
        compiled = compile(source, calibration, Settings(max_drop=MAX_DROP, max_groups=options.max_groups))
        figures[f"searched, at most {MAX_DROP} points on held-out calibration data"] = percent(compiled.program, test)
        figures["searched, bytes"] = compiled.report["search"]["taken"]["bytes"]
        figures["searched, weights"] = str(compiled.report["search"]["taken"]["weights"])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--model", type=Path, help="a checkpoint of the network instead of training it")
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bits", type=int, nargs="+", default=BITS)
    parser.add_argument("--max-groups", type=int, default=2)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    report(measure(options), options.json)


if __name__ == "__main__":
    main()
