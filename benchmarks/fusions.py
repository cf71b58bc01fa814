"""S-CMRL against its rivals, with and without semantic alignment, and binary attention beside it, on the same data.

    python -m benchmarks.fusions [--data NAME ...] [--seeds 3] [--keep FILE] [--docs docs]

Trains each fusion on a part of the data that two cores can do (`--channels`, `--pairs`, `--shown`), in batches of 16, one cycle up to
5e-3, the rest as published; the epoch is chosen on held-out training items. A row has the float accuracy on the test pairs, and where a
fusion has residuals of both modalities how well these tell classes apart (`snnfuse.measures.features`), and how near those of one class are
across modalities: the mean cosine of an image's and a sound's mean residual, of the same class and of others. S-CMRL and query-key are
deployed in 8 bits too: accuracy, neurons, cores of kapoho-point, and modelled dynamic energy, microjoules an inference. Means and
differences by seed with 95 % intervals over seeds (Student's t). --docs writes docs/claims.md.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import claims
from benchmarks.fd_fusion_page import table
from benchmarks.rows import Row, epochs
from snnfuse.compile import compile, source_of
from snnfuse.data import AudioVisual, Settings
from snnfuse.data.samples import Samples
from snnfuse.hardware.chip import check_chip
from snnfuse.measures import Deployed
from snnfuse.training import Trained, calibration_of, recipe_for, train

BOARD = "kapoho-point"
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
SHORT = {"batch_size": 16, "lr": 5e-3, "schedule": "one-cycle", "warmup": 0, "warmup_lr": 0.0, "final_lr": 0.0}
CHIP = ("neurons", "cores", "synapses", "spikes")
GAINS = {
    "accuracy": ("accuracy", 2), "Fisher ratio of image": ("image fisher", 2), "Fisher ratio of sound": ("audio fisher", 2),
    "cosine, one class": ("same", 2), "cosine, two": ("other", 2),
}  # fmt: skip
BEGIN, END = "<!-- figures: written by python -m benchmarks.fusions --docs docs -->", "<!-- end of fusions -->"


def measure(wanted: Row, options: argparse.Namespace) -> Iterator[Row]:
    """The row of one data set, fusion and seed."""
    data = claims.part(wanted["data"], options.data_dir, options.pairs, options.tests, SETTINGS)
    trained = short_training(data, wanted, **FORMS[wanted["form"]])
    row: Row = {"accuracy": 100 * trained.accuracy, "parameters": sum(p.numel() for p in trained.model.parameters())}
    row |= residuals(trained.model, data)
    if wanted["form"] in DEPLOYED and wanted["seed"] < options.deployed_seeds:
        row |= on_chip(trained.model, data)
    yield row


def short_training(data: AudioVisual, wanted: Row, alignment: float | None = None, **form: Any) -> Trained:
    """Of a small S-CMRL of a form, with a row's channels and seed, over the pairs that it shows; alignment None: as published."""
    recipe = replace(recipe_for("s-cmrl", data.name), epochs=epochs(wanted["shown"], data), seed=wanted["seed"], **SHORT)
    recipe = recipe if alignment is None else replace(recipe, alignment=alignment)
    return train(data, recipe, architecture="s-cmrl", channels=wanted["channels"], heads=wanted["channels"] // 4, **form)


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
        found |= claims.geometry(name, each, data.test.labels)
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


def tables(own: Sequence[Row]) -> Iterator[str]:
    """Of one data set: a line per fusion, what alignment does, and what the deployed programs take."""

    def above(like: Sequence[Row]) -> str:
        form = like[0]["form"]
        return "" if form == "addition" else claims.gain(own, {"form": form}, {"form": "addition"}, "accuracy", 2)

    columns: claims.Columns = {
        "parameters": claims.first_of("parameters"), "seeds": lambda like: str(len(like)),
        "accuracy %": claims.mean_of("accuracy"), "above addition": above,
        "residual of image: compact°, apart°, Fisher": claims.geometry_of("image"), "of sound": claims.geometry_of("audio"),
        "cosine same / other": claims.mean_of("same", "other"),
    }  # fmt: skip
    groups = [((form,), [row for row in own if row["form"] == form]) for form in FORMS]
    yield claims.lines(groups, ("fusion",), columns)
    found = [claims.gain(own, {"form": "S-CMRL"}, {"form": "S-CMRL, not aligned"}, key, digits) for key, digits in GAINS.values()]
    yield table(("aligned less not, by seed", *GAINS), [("S-CMRL", *found)])
    if any("8 bits" in row for row in own):
        chip: claims.Columns = {"accuracy %": claims.mean_of("8 bits")} | {key: claims.first_of(key) for key in CHIP}
        deployed = [(words, [row for row in like if "8 bits" in row]) for words, like in groups]
        yield claims.lines(deployed, ("deployed, 8 bits",), {**chip, "dynamic µJ, modelled": energy})


def energy(like: Sequence[Row]) -> str:
    """Of one seed."""
    return "; ".join(f"{model} {low:.1f} to {high:.1f}" for model, (low, high) in like[0]["energy"].items())


def main() -> None:
    parser = claims.parser(__doc__, shown=6000, channels=16, pairs=3000, tests=400)
    parser.add_argument("--form", action="append", choices=tuple(FORMS), help="default: all of them")
    options = parser.parse_args()
    found = claims.rows(options, "form", options.form or tuple(FORMS), lambda one: measure(one, options))
    claims.publish(claims.sections(found, tables), options, BEGIN, END)


if __name__ == "__main__":
    main()
