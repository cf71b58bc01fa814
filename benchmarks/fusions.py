"""S-CMRL against its rivals, with and without semantic alignment, and binary attention beside it, on the same data.

    python -m benchmarks.fusions [--data NAME ...] [--seeds 3] [--keep FILE] [--docs docs]

Trains each fusion on a part of the data that two cores can do (`--channels`, `--pairs`, `--epochs`), in batches of 16, one cycle up to
3e-3, the rest as published; the epoch is chosen on held-out training items. A row has the float accuracy on the test pairs, and where a
fusion has residuals of both modalities how well these tell classes apart (`snnfuse.measures.features`), and how near those of one class are
across modalities: the mean cosine of an image's and a sound's mean residual, of the same class and of others. S-CMRL and query-key are
deployed in 8 bits too: accuracy, neurons, cores of kapoho-point, and modelled dynamic energy, microjoules an inference. Means and
differences by seed with 95 % intervals over seeds (Student's t). --docs writes docs/claims.md.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.fd_fusion_page import replace_figures, table
from benchmarks.rows import Kept, Row, fewer, paired, shown
from snnfuse.compile import compile, source_of
from snnfuse.data import AudioVisual, Settings, load
from snnfuse.data.samples import Samples
from snnfuse.hardware.chip import check_chip
from snnfuse.measures import Deployed, discriminate
from snnfuse.training import calibration_of, recipe_for, train

DATA, BOARD = ("mnist-fsdd", "nmnist-fsdd", "cifar-esc"), "kapoho-point"
SETTINGS = Settings(audio="picture", time=4)
FORMS: dict[str, dict[str, Any]] = {
    "S-CMRL": {"fusion": "spatio-temporal"},
    "S-CMRL, not aligned": {"fusion": "spatio-temporal", "alignment": 0.0},
    "query-key": {"fusion": "query-key"},
    "addition": {"fusion": "add"},
    "SCA": {"fusion": "sca"},
    "CMCI": {"fusion": "cmci"},
    "weight attention": {"fusion": "weight-attention"},
}
DEPLOYED = ("S-CMRL", "query-key")
SHORT = {"batch_size": 16, "lr": 3e-3, "schedule": "one-cycle", "warmup": 0, "warmup_lr": 0.0, "final_lr": 0.0}
BEGIN, END = "<!-- figures: written by python -m benchmarks.fusions --docs docs -->", "<!-- end of fusions -->"


@cache
def part(name: str, data_dir: Path | None, pairs: int, tests: int) -> AudioVisual:
    """Of a data set, what is trained and tested on."""
    return fewer(load(name, data_dir, SETTINGS), pairs, tests)


def measure(wanted: Row, options: argparse.Namespace) -> Iterator[Row]:
    """The row of one data set, fusion and seed."""
    name = wanted["data"]
    data = part(name, options.data_dir, options.pairs, options.tests)
    form = dict(FORMS[wanted["form"]])
    recipe = replace(recipe_for("s-cmrl", name), epochs=wanted["epochs"], seed=wanted["seed"], **SHORT)
    recipe = replace(recipe, alignment=form.pop("alignment", recipe.alignment))
    config = {"channels": wanted["channels"], "heads": wanted["channels"] // 4, **form}
    trained = train(data, recipe, architecture="s-cmrl", **config)
    row: Row = {"accuracy": 100 * trained.accuracy, "parameters": sum(p.numel() for p in trained.model.parameters())}
    row |= residuals(trained.model, data)
    if wanted["form"] in DEPLOYED and wanted["seed"] < options.deployed_seeds:
        row |= on_chip(trained.model, data)
    yield row


def residuals(model: nn.Module, data: AudioVisual) -> dict[str, Any]:
    """Geometry of what the alignment loss aligns; nothing of fusions without it."""
    if model.config.fusion not in ("spatio-temporal", "query-key"):
        return {}
    kept: dict[str, list[np.ndarray]] = {"image": [], "audio": []}
    with torch.no_grad():
        for start in range(0, len(data.test), 100):
            steps = data.test.steps(np.arange(start, min(start + 100, len(data.test))))
            _, features = model.eval().training_outputs(*(torch.from_numpy(steps[name]) for name in ("image", "audio")))
            for name, values in features.items():
                kept[name].append(values.numpy())
    found: dict[str, Any] = {}
    values = {name: np.concatenate(parts) for name, parts in kept.items()}
    for name, each in values.items():
        geometry = discriminate(each, data.test.labels)
        found |= {f"{name} {key}": getattr(geometry, key) for key in ("compactness", "separability", "fisher", "silent")}
    return found | across(values["image"], values["audio"], data.test.labels)


def across(image: np.ndarray, audio: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Mean cosine between modalities, of pairs of one class and of two; silent ones are left out."""
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-30) for x in (image, audio))
    live = np.outer(np.linalg.norm(image, axis=1) > 0, np.linalg.norm(audio, axis=1) > 0)
    cosines, same = a @ b.T, labels[:, None] == labels[None, :]
    return {
        name: float(cosines[chosen & live].mean()) if (chosen & live).any() else None for name, chosen in (("same", same), ("other", ~same))
    }


def on_chip(model: nn.Module, data: AudioVisual) -> dict[str, Any]:
    """Of the 8-bit program."""
    pipeline = compile(source_of(model), Samples(calibration_of(model, data, 0), None, "training part")).pipeline
    test = Samples(data.test.steps(), data.test.labels, "test part").named(tuple(pipeline.programs[0].inputs))
    run, more = Deployed(pipeline, BOARD)(test.inputs)
    layers = [layer for program in pipeline.programs for layer in check_chip(program, BOARD).layers]
    return {
        "8 bits": 100 * run.accuracy(test.labels), "neurons": sum(layer.neurons for layer in layers),
        "cores": sum(layer.cores for layer in layers), "synapses": sum(layer.synapses for layer in layers),
        "spikes": sum(run.spikes.values()), "energy": more["energy"],
    }  # fmt: skip


def page(rows: Sequence[Row]) -> str:
    """Tables for the documentation."""
    parts = []
    for data in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == data]
        first, seeds = own[0], sorted({row["seed"] for row in own})
        parts.append(f"**{data}**: {first['pairs']} training pairs an epoch, {first['epochs']} epochs, {first['channels']} channels, "
                     f"{first['tests']} test pairs, seeds {', '.join(map(str, seeds))}.\n\n")  # fmt: skip
        head = (
            "fusion",
            "parameters",
            "accuracy %",
            "above addition",
            "residual of image: compact°, apart°, Fisher",
            "of sound",
            "cosine same / other",
        )
        parts.append(table(head, list(lines(own))))
        aligned = [("accuracy", "accuracy", 2), ("Fisher ratio of image", "image fisher", 2), ("of sound", "audio fisher", 2)]
        found = (
            f"{words} {shown(paired(own, key, {'form': 'S-CMRL'}, {'form': 'S-CMRL, not aligned'}), digits)}"
            for words, key, digits in aligned
        )
        parts.append(f"\n\nWith alignment less without, by seed: {'; '.join(found)}.\n\n")
        if chips := list(chip_lines(own)):
            parts.append(
                table(("deployed, 8 bits", "accuracy %", "neurons", "cores", "synapses", "spikes", "dynamic µJ, modelled"), chips) + "\n\n"
            )
    return "".join(parts)


def lines(own: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for form in FORMS:
        like = [row for row in own if row["form"] == form]
        if like:
            above = "" if form == "addition" else shown(paired(own, "accuracy", {"form": form}, {"form": "addition"}), 2)
            cosine = " / ".join(shown(column(like, key), 2) for key in ("same", "other")) if column(like, "same") else ""
            yield (
                form,
                f"{like[0]['parameters']:,}",
                shown(column(like, "accuracy"), 2),
                above,
                *map(lambda n: cell(like, n), ("image", "audio")),
                cosine,
            )


def cell(like: Sequence[Row], name: str) -> str:
    keys = (("compactness", 1), ("separability", 1), ("fisher", 2))
    return ", ".join(shown(column(like, f"{name} {key}"), digits) for key, digits in keys) if column(like, f"{name} compactness") else ""


def chip_lines(own: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for form in DEPLOYED:
        like = [row for row in own if row["form"] == form and "8 bits" in row]
        if like:
            row = like[0]
            energy = "; ".join(f"{model} {low:.1f} to {high:.1f}" for model, (low, high) in row["energy"].items())
            yield (
                form,
                shown(column(like, "8 bits"), 2),
                f"{row['neurons']:,}",
                str(row["cores"]),
                f"{row['synapses']:,}",
                f"{row['spikes']:,.0f}",
                energy,
            )


def column(like: Sequence[Row], key: str) -> list[float]:
    return [row[key] for row in like if row.get(key) is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="default: $SNNFUSE_DATA, else ../shared/data")
    parser.add_argument("--data", action="append", choices=DATA, help="default: all of them")
    parser.add_argument("--form", action="append", choices=tuple(FORMS), help="default: all of them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--deployed-seeds", type=int, default=1, help="seeds that are deployed too")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=1500, help="training pairs of an epoch, at most")
    parser.add_argument("--tests", type=int, default=400, help="test pairs, at most")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="rows, as JSON lines; what it has is not measured again")
    parser.add_argument("--minutes", type=float, help="after which nothing more is begun; what is missing is measured by the next call")
    parser.add_argument("--docs", type=Path, metavar="DIR", help="write the tables of claims.md there")
    options = parser.parse_args()
    size = {name: getattr(options, name) for name in ("epochs", "channels", "pairs", "tests")}
    sets, forms = options.data or DATA, options.form or FORMS
    wanted = [{"data": data, "form": form, "seed": seed, **size} for seed in range(options.seeds) for data in sets for form in forms]
    rows = Kept(options.keep).measured(wanted, lambda one: measure(one, options), options.minutes)
    text = page([row for row in rows if size.items() <= row.items()])
    print(text) if options.docs is None else replace_figures(options.docs / "claims.md", BEGIN, END, text)


if __name__ == "__main__":
    main()
