"""Does L2 make embeddings tell classes apart, and does that help? `python -m benchmarks.discrimination [--data NAME ...] [--keep FILE]`.

Trains the small FD-fusion network, both modalities, once per place of the L2 layer and seed: none, spikes of each step, membranes of each
step, averages over time. What is trained and read is a part of the data that two cores can do (`--pairs`, `--tests`, `--shown`). Of each
network, float and deployed in 8 bits in every way that its L2 layer has, a row has the accuracy and, by embedding, compactness,
separability and Fisher ratio (`snnfuse.measures.features`), of the spike counts of the last layer of each branch and of the fused one; with
"membranes" of the normalised potentials' sum, for there the branches have no spikes, and nothing is deployed. --docs writes docs/claims.md.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import claims
from benchmarks.rows import Row, epochs
from snnfuse.compile import Settings, compile, source_of
from snnfuse.data import AudioVisual
from snnfuse.data.samples import Samples
from snnfuse.hardware import Pipeline
from snnfuse.measures import Deployed, embedding_nodes, of_model
from snnfuse.measures.runs import Run
from snnfuse.training import Recipe, calibration_of, train

RULES = ("none", "per-step", "membrane", "time-average")
LOWERED = {"none": ("as it is",), "per-step": ("fold", "host", "microcode"), "membrane": (), "time-average": ("host",)}
EMBEDDINGS = {"image": "vision", "audio": "audio", "fused": "head"}
BEGIN, END = "<!-- figures: written by python -m benchmarks.discrimination --docs docs -->", "<!-- end of figures -->"


def measure(wanted: Row, options: argparse.Namespace) -> Iterator[Row]:
    """The rows of one data set, rule and seed."""
    data = claims.part(wanted["data"], options.data_dir, options.pairs, options.tests)
    recipe = Recipe(epochs=epochs(wanted["shown"], data), seed=wanted["seed"])
    model = train(data, recipe, l2=wanted["rule"]).model
    test = Samples(data.test.steps(), data.test.labels, "test part").named(model.inputs)
    floats = of_model(model)(test.inputs)
    yield {"lowered": "float", **figures(floats, float_embeddings(model, floats, test), test)}
    for lowered in LOWERED[wanted["rule"]] if wanted["seed"] < options.deployed_seeds else ():
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
    for name, each in embeddings.items():
        found |= claims.geometry(name, each, test.labels)
    return found


def tables(own: Sequence[Row]) -> Iterator[str]:
    """Of one data set: a line per rule and lowering, and what each rule is above none."""
    columns = {"accuracy %": claims.mean_of("accuracy")} | {
        f"{name}: compact°, apart°, Fisher": claims.geometry_of(name) for name in EMBEDDINGS
    }
    kinds = [(rule, lowered) for rule in RULES for lowered in ("float", *LOWERED[rule])]
    groups = [(kind, [row for row in own if (row["rule"], row["lowered"]) == kind]) for kind in kinds]
    yield claims.lines(groups, ("L2 of", "lowered"), columns)
    yield "Less no L2, by seed, float to float and 8 bits to 8 bits:"
    gains = {"accuracy": gain_of(own, "accuracy", 2)} | {f"{name}: compact°, apart°, Fisher": gains_of(own, name) for name in EMBEDDINGS}
    yield claims.lines(groups[2:], ("L2 of", "lowered"), gains)


def gain_of(own: Sequence[Row], key: str, digits: int) -> claims.Cell:
    """What the network with L2 has more than the one without, both float or both deployed."""

    def cell(like: Sequence[Row]) -> str:
        one = {name: like[0][name] for name in ("rule", "lowered")}
        return claims.gain(own, one, {"rule": "none", "lowered": "float" if one["lowered"] == "float" else "as it is"}, key, digits)

    return cell


def gains_of(own: Sequence[Row], name: str) -> claims.Cell:
    """Of one embedding."""
    cells = [gain_of(own, f"{name} {key}", digits) for key, digits in claims.GEOMETRY]
    return lambda like: ", ".join(cell(like) for cell in cells)


def main() -> None:
    options = claims.parser(__doc__, shown=2000, pairs=1000, tests=400).parse_args()
    found = claims.rows(options, "rule", RULES, lambda one: measure(one, options))
    claims.publish(claims.sections(found, tables), options, BEGIN, END)


if __name__ == "__main__":
    main()
