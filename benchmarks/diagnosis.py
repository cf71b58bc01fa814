"""Seconds of a diagnosis: `python -m benchmarks.diagnosis [--samples 64] [--folder out/diagnosis] [--narrow] [--json FILE]`.

A spiking ResNet18 of 11.2 million weights for 32 x 32 images, T = 4, weights as drawn and batch norms at the statistics of its data, so
that every layer fires. Its bundle is made once and kept in the folder; with --narrow one of width 8, to try it out.
"""

import argparse
import json
import resource
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from snnfuse import diagnose, networks
from snnfuse.compile import compile, save, source_of
from snnfuse.export.bundle.bundle import read_bundle
from snnfuse.export.targets import find_target
from snnfuse.report import whole_page

BOARD = "kapoho-point"  # the smallest that holds it
STEPS, CALIBRATION, CLASSES, IMAGE = 4, 16, 10, (3, 32, 32)
WARM = 8  # batches from which batch norms take their statistics


def images(number: int, seed: int) -> NDArray[np.float64]:
    """Smooth images, (time, batch, 3, 32, 32), the same on every step."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 1, (number, IMAGE[0], 8, 8)).repeat(4, 2).repeat(4, 3)
    return np.broadcast_to(coarse + rng.normal(0, 0.3, (number, *IMAGE)), (STEPS, number, *IMAGE)).copy()


def resnet18(width: int) -> torch.nn.Module:
    """A network whose layers all fire."""
    torch.manual_seed(0)
    model = networks.build("fd-fusion", {"modality": "vision", "vision": "resnet", "image": IMAGE, "width": width, "classes": CLASSES})
    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # the mean over all batches
    model.train()
    with torch.no_grad():
        for seed in range(WARM):
            networks.run(model, torch.from_numpy(images(32, 100 + seed)).float())
    return model.eval()


def main() -> None:
    """Make the bundle if it is not there, diagnose it, draw its page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path("out/diagnosis"))
    parser.add_argument("--narrow", action="store_true")
    parser.add_argument("--all-layers", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    path = options.folder / ("narrow" if options.narrow else "resnet18")
    if not path.exists():
        began = time.perf_counter()
        save(
            path,
            compile(
                source_of(resnet18(8 if options.narrow else 64)), {"image": images(CALIBRATION, 1)}, target=find_target("loihi2", BOARD)
            ),
        )
        print(f"exported in {time.perf_counter() - began:.1f} s", flush=True)
    bundle = read_bundle(path)
    sizes = {(c.source, c.target, c.port): np.asarray(c.synapse.values).size for c in bundle.program.connections}
    weights = sum(sizes.values())  # those of several groups once
    x, labels = images(options.samples, 2), np.random.default_rng(3).integers(0, CLASSES, options.samples)
    began, used = time.perf_counter(), time.process_time()
    found = diagnose(bundle, x, labels, all_layers=options.all_layers)
    wall, process = time.perf_counter() - began, time.process_time() - used
    print(found)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{weights} weights, {options.samples} samples: {wall:.1f} s, {process:.1f} s of processor time, {memory:.1f} GB at most")
    began = time.perf_counter()
    page = len(whole_page(bundle, path.name))
    print(f"page: {page / 2**20:.2f} MB in {time.perf_counter() - began:.1f} s")
    figures = {"weights": weights, "samples": options.samples, "seconds": wall, "process_seconds": process, "gigabytes": memory}
    if options.json:
        Path(options.json).write_text(json.dumps(figures | {"page_bytes": page}, indent=2) + "\n")


if __name__ == "__main__":
    main()
