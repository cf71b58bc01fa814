"""Does L2 make embeddings tell classes apart, and does that help? `python -m benchmarks.discrimination [--data NAME ...] [--keep FILE]`.

Trains the small FD-fusion network, both modalities, once per place of the L2 layer and seed: none, spikes of each step, membranes of each
step, averages over time. What is trained and read is a part of the data that two cores can do (`--pairs`, `--tests`, `--epochs`). Of each
network, float and deployed in 8 bits in every way that its L2 layer has, a row has the accuracy and, by embedding, compactness,
separability and Fisher ratio (`snnfuse.measures.features`), of the spike counts of the last layer of each branch and of the fused one; with
"membranes" of the normalised potentials' sum, for there the branches have no spikes, and nothing is deployed. --docs writes docs/claims.md.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.fd_fusion_page import replace_figures, table
from benchmarks.rows import Kept, Row, fewer, paired, shown
from snnfuse.compile import Settings, compile, source_of
from snnfuse.data import AudioVisual, load
from snnfuse.data.samples import Samples
from snnfuse.hardware import Pipeline
from snnfuse.measures import Deployed, discriminate, embedding_nodes, of_model
from snnfuse.measures.runs import Run
from snnfuse.training import Recipe, calibration_of, train

DATA = ("mnist-fsdd", "nmnist-fsdd", "cifar-esc")
RULES = ("none", "per-step", "membrane", "time-average")
LOWERED = {"none": ("as it is",), "per-step": ("fold", "host", "microcode"), "membrane": (), "time-average": ("host",)}
EMBEDDINGS = {"image": "vision", "audio": "audio", "fused": "head"}
FIGURES = ("accuracy", "compactness", "separability", "fisher")
BEGIN, END = "<!-- figures: written by python -m benchmarks.discrimination --docs docs -->", "<!-- end of figures -->"


@cache
def part(name: str, data_dir: Path | None, pairs: int, tests: int) -> AudioVisual:
    """Of a data set, what is trained and tested on."""
    return fewer(load(name, data_dir), pairs, tests)


def measure(wanted: Row, options: argparse.Namespace) -> Iterator[Row]:
    """The rows of one data set, rule and seed."""
    data = part(wanted["data"], options.data_dir, options.pairs, options.tests)
    recipe = Recipe(epochs=wanted["epochs"], seed=wanted["seed"])
    model = train(data, recipe, l2=wanted["rule"]).model
    test = Samples(data.test.steps(), data.test.labels, "test part").named(model.inputs)
    floats = of_model(model)(test.inputs)
    yield {"lowered": "float", **figures(floats, float_embeddings(model, floats, test), test)}
    for lowered in LOWERED[wanted["rule"]]:
        pipeline = deployed(model, data, lowered)
        run, _ = Deployed(pipeline, None)(test.inputs)
        nodes = embedding_nodes(pipeline)
        yield {"lowered": lowered, **figures(run, {name: run.counts[nodes[name]] for name in EMBEDDINGS if name in nodes}, test)}


def float_embeddings(model: nn.Module, run: Run, test: Samples) -> dict[str, np.ndarray]:
    """By what they embed: spike counts of a part's last hidden layer, or where a branch has none of those the sum of its potentials."""
    found = {}
    for name, part in EMBEDDINGS.items():
        layers = [layer for layer in run.counts if layer.startswith(f"{part}.")]
        hidden = layers[:-1] if part == "head" else layers
        found[name] = summed_potentials(model, f"{part}_l2", test) if model.config.l2 == "membrane" and part != "head" else None
        if found[name] is None:
            found[name] = run.counts[hidden[-1]]
    return found


def summed_potentials(model: nn.Module, path: str, test: Samples) -> np.ndarray:
    """What an L2 layer puts out, summed over time."""
    from snnfuse.networks import run

    total: list[torch.Tensor] = []
    handle = model.get_submodule(path).register_forward_hook(lambda _, __, output: total.append(output.detach()))
    with torch.no_grad():
        run(model.eval(), *(torch.from_numpy(x) for x in test.inputs.values()))
    handle.remove()
    return torch.stack(total).sum(0).numpy()


def deployed(model: nn.Module, data: AudioVisual, lowered: str) -> Pipeline:
    """The 8-bit programs."""
    calibration = Samples(calibration_of(model, data, 0), None, "training part")
    settings = Settings(l2=lowered) if lowered in ("host", "microcode") and model.config.l2 == "per-step" else Settings()
    return compile(source_of(model), calibration, settings).pipeline


def figures(run: Run, embeddings: dict[str, np.ndarray], test: Samples) -> dict[str, Any]:
    """Accuracy in percent, and the geometry of each embedding."""
    found: dict[str, Any] = {"accuracy": 100 * run.accuracy(test.labels)}
    for name, values in embeddings.items():
        geometry = discriminate(values, test.labels)
        found |= {f"{name} {key}": getattr(geometry, key) for key in ("compactness", "separability", "fisher", "silent")}
    return found


def page(rows: Sequence[Row]) -> str:
    """Tables for the documentation."""
    parts = []
    for data in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == data]
        first = own[0]
        seeds = sorted({row["seed"] for row in own})
        parts.append(f"**{data}**: {first['pairs']} training pairs an epoch, {first['epochs']} epochs, {first['tests']} test pairs, "
                     f"seeds {', '.join(map(str, seeds))}.\n\n")  # fmt: skip
        parts.append(table(("L2 of", "lowered", "accuracy %", *(f"{name}: compact°, apart°, Fisher" for name in EMBEDDINGS)), lines(own)))
        parts.append("\n\nAgainst no L2, float, by seed: " + "; ".join(differences(own)) + ".\n\n")
    return "".join(parts)


def lines(own: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """A line per rule and lowering."""
    for rule in RULES:
        for lowered in ("float", *LOWERED[rule]):
            like = [row for row in own if row["rule"] == rule and row["lowered"] == lowered]
            if like:
                yield rule, lowered, shown(column(like, "accuracy"), 2), *(geometry_cell(like, name) for name in EMBEDDINGS)


def geometry_cell(like: Sequence[Row], name: str) -> str:
    return ", ".join(
        shown(column(like, f"{name} {key}"), digits) for key, digits in (("compactness", 1), ("separability", 1), ("fisher", 2))
    )


def column(like: Sequence[Row], key: str) -> list[float]:
    return [row[key] for row in like if row.get(key) is not None]


def differences(own: Sequence[Row]) -> Iterator[str]:
    for rule in RULES[1:]:
        found = [
            f"{words} {shown(paired(own, key, {'rule': rule, 'lowered': 'float'}, {'rule': 'none', 'lowered': 'float'}), digits)}"
            for words, key, digits in (("accuracy", "accuracy", 2), ("fused compactness", "fused compactness", 1),
                                       ("fused separability", "fused separability", 1), ("fused Fisher ratio", "fused fisher", 2))
        ]  # fmt: skip
        yield f"{rule}: {', '.join(found)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--data", action="append", choices=DATA, help="default: all of them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=2000, help="training pairs of an epoch, at most")
    parser.add_argument("--tests", type=int, default=400, help="test pairs, at most")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="rows, as JSON lines; what it has is not measured again")
    parser.add_argument("--minutes", type=float, help="after which nothing more is begun; what is missing is measured by the next call")
    parser.add_argument("--docs", type=Path, metavar="DIR", help="write the tables of claims.md there")
    options = parser.parse_args()
    size = {"epochs": options.epochs, "pairs": options.pairs, "tests": options.tests}
    wanted = [
        {"data": data, "rule": rule, "seed": seed, **size}
        for seed in range(options.seeds)
        for data in options.data or DATA
        for rule in RULES
    ]
    rows = Kept(options.keep).measured(wanted, lambda one: measure(one, options), options.minutes)
    text = page([row for row in rows if size.items() <= row.items()])
    print(text) if options.docs is None else replace_figures(options.docs / "claims.md", BEGIN, END, text)


if __name__ == "__main__":
    main()
