"""A real pretrained recurrent graph, deployed: `python -m benchmarks.braille [--data-dir DIR] [--lava SAMPLES] [--json -]`.

The graph (12-38-7, CubaLIF, recurrent, trained in snnTorch) and its snnTorch / Lava accuracies are the NIR paper's; the 420
tactile recordings are a subset of its task's. The graph is calibrated on the first ten recordings of each class and measured on
the other 350. A class is the output with most spikes, ties to the lowest index.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import nir
import numpy as np

from snnfuse.export import lower, quantize, simulate
from snnfuse.export.lowering.nir_file import read_graph
from snnfuse.hardware import compare, emulate
from snnfuse.hardware.backends.lava import simulate_on_lava

PER_CLASS = 10
GRAPH, RECORDINGS = "nir_paper/braille_noDelay_bias_zero.nir", "braille/braille_dev.npz"
PUBLISHED = {"snnTorch": 95.0, "Lava": 48.6}  # %, test accuracy of this graph in the NIR paper


def load(folder: Path) -> tuple[nir.NIRGraph, np.ndarray, np.ndarray]:
    """The graph, spikes (256, 420, 12) of 0 and 1, and labels (420,)."""
    with np.load(folder / RECORDINGS) as data:
        spikes = np.unpackbits(data["spikes"], axis=-1, count=12)
        labels = data["labels"]
    return read_graph(folder / GRAPH), spikes.transpose(1, 0, 2).astype(float), labels


def split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the first ten of each class, and of the rest."""
    first = np.sort(np.concatenate([np.flatnonzero(labels == c)[:PER_CLASS] for c in np.unique(labels)]))
    return first, np.setdiff1d(np.arange(len(labels)), first)


def percent_right(classes: np.ndarray, labels: np.ndarray) -> float:
    return 100 * float((classes == labels).mean())


def measure(folder: Path, lava_samples: int) -> dict:
    """All figures of this page."""
    graph, spikes, labels = load(folder)
    calibration, test = split(labels)
    x, y = spikes[:, test], labels[test]
    floats = simulate(lower(graph), {"input": x}).spikes["lif2"].sum(0).argmax(1)
    figures: dict = {"calibration samples": len(calibration), "test samples": len(test), "float": percent_right(floats, y)}
    for name, groups in (("deployed, one synapse group", 1), ("deployed", 2)):
        program = quantize(graph, spikes[:, calibration], max_groups=groups)
        figures[name] = percent_right(program.decode(emulate(program, program.encode(x))), y)
    figures["ledger"] = [f"{entry.node}: {entry.change}: {entry.effect}" for entry in program.ledger]
    figures["published"] = PUBLISHED
    if lava_samples:
        events = program.encode(x[:, :lava_samples])
        result = compare(emulate(program, events, "all", states=True), simulate_on_lava(program, events, record="all", states=True))
        figures["emulator against Lava"] = {"samples": lava_samples, "compared": result.compared, "mismatches": result.mismatches}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("SNNFUSE_DATA", "../shared/data")))
    parser.add_argument("--lava", type=int, default=8, metavar="SAMPLES", help="samples to run on Lava too (default 8)")
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")
    options = parser.parse_args()
    if not (options.data_dir / GRAPH).exists():
        sys.exit(f"error: no {GRAPH} in {options.data_dir}; give the folder with --data-dir")
    report(measure(options.data_dir, options.lava), options.json)


def report(figures: dict, json_to: str | None) -> None:
    """Print figures as lines, or as JSON."""
    if json_to == "-":
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        for line in value if isinstance(value, list) else [value]:
            print(f"{name}: {line:.2f} %" if isinstance(line, float) else f"{name}: {line}")
    if json_to:
        Path(json_to).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
