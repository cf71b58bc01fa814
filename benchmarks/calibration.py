"""What calibration's constants are worth: `python -m benchmarks.calibration [--data-dir DIR] [--bits 8 4] [--json -]`.

Quantizes the Braille graph of `benchmarks.braille` with every tuned constant as it is, and with each one lower and higher while the others
stay: spikes that differ from the float network's and classes that are right, on the 350 recordings that calibrated nothing, and bits of
weights. A constant that changes nothing here is a plain choice for this network; what it would change elsewhere is not known.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nir
import numpy as np

from benchmarks.braille import load, percent_right, report, split
from snnfuse.export import lower, measure_agreement, quantize
from snnfuse.export.quantization import (
    calibration,
    candidates,
    channel_scaling,
    error_feedback,
    fed_population,
    membrane_moments,
    output_distance,
    output_search,
    population_fits,
    rounding,
)
from snnfuse.hardware import emulate

# module, constant, and what it is changed to; one that error feedback reads changes nothing where no input is analog, as here
VARIED: tuple[tuple[Any, str, tuple[Any, ...]], ...] = (
    (candidates, "HEADROOM", (1.2, 2.0)),
    (candidates, "SCALES", (8, 32)),
    (candidates, "NEARBY", (1.01, 1.2)),
    (candidates, "SPAN", (16, 4096)),
    (candidates, "DYADIC", (1 << 8, 1 << 16)),
    (candidates, "REACHES", ((1.0,), tuple(2.0 ** (-i / 4) for i in range(49)))),
    (candidates, "TRIED", (1, 4)),
    (candidates, "USUAL", (0.9, 1.0)),
    (candidates, "SPLIT_BITS", (2, 8)),
    (calibration, "ENOUGH", (0.0, 0.02)),
    (calibration, "WORTH", (0.5, 1.0)),
    (calibration, "GAIN", (0.0, 0.1)),
    (fed_population, "WINDOW", (8, 128)),
    (calibration, "NOISE", (1.0, 1.5)),
    (channel_scaling, "LEAST_REACH", (1 / 32, 1 / 2)),
    (population_fits, "SEARCH_SAMPLES", (24, 384)),
    (calibration, "SHORT", (1, 4)),
    (calibration, "FIRST_SAMPLES", (6, 1 << 20)),
    (calibration, "LAST_SCALES", (2, 10)),
    (calibration, "SATURATED", (0.1, 1e9)),
    (calibration, "LIKE", (1.0, 3.0)),
    (calibration, "HOPELESS", (1.0, 8.0)),
    (fed_population, "TELLING", (50, 5000)),
    (rounding, "FINER", (1.0,)),
    (membrane_moments, "SLOPE", (0.0, 25.0)),
    (membrane_moments, "DAMPING", (0.001, 0.1)),
    (error_feedback, "SWEEPS", (0, 16)),
    (error_feedback, "DAMPING", (0.001, 0.1)),
    (output_distance, "NEAR", (0.0, 1e9)),
    (output_search, "JUDGED", (32, 512)),
    (output_search, "MATTERS", (0.0, 0.5)),
    (output_search, "ROUNDS", (1, 3)),
)


def figures(graph: nir.NIRGraph, spikes: np.ndarray, labels: np.ndarray, bits: int) -> dict[str, Any]:
    """Of one program: differing spikes and right classes, in per cent, bits of weights, and seconds of quantization."""
    known, test = split(labels)
    start = time.perf_counter()
    program = quantize(graph, spikes[:, known], weight_bits=bits)
    seconds = time.perf_counter() - start
    x = {"input": spikes[:, test]}
    layers = measure_agreement(lower(graph), program, x)
    differing = sum(layer.mismatches for layer in layers) / sum(layer.float_spikes for layer in layers)
    right = percent_right(program.decode(emulate(program, program.encode(x))), labels[test])
    stored = sum(c.synapse.values.size * c.synapse.bits for c in program.connections)
    return {"spikes differ, %": round(100 * differing, 3), "right, %": round(right, 2), "bits": stored, "seconds": round(seconds, 1)}


def variations() -> Iterator[tuple[str, Any, str, Any]]:
    """What to call each, the module, the constant and the value."""
    for module, name, values in VARIED:
        for value in values:
            shown = f"{len(value)} values" if isinstance(value, tuple) else f"{value:g}"
            yield f"{module.__name__.rpartition('.')[2]}.{name} = {shown}", module, name, value


def measure(folder: Path, widths: list[int]) -> dict[str, Any]:
    """All figures of this page, by bits of weights."""
    graph, spikes, labels = load(folder)
    figures(graph, spikes, labels, 8)  # compiles the emulator
    found: dict[str, Any] = {}
    for bits in widths:
        found[f"{bits} bits, as it is"] = figures(graph, spikes, labels, bits)
        for words, module, name, value in variations():
            kept = getattr(module, name)
            setattr(module, name, value)
            found[f"{bits} bits, {words}"] = figures(graph, spikes, labels, bits)
            print(f"{bits} bits, {words}: {found[f'{bits} bits, {words}']}", file=sys.stderr, flush=True)
            setattr(module, name, kept)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SNNFUSE_DATA", "../shared/data")))
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4])
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    report(measure(options.data_dir, options.bits), options.json)


if __name__ == "__main__":
    main()
