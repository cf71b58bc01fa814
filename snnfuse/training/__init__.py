"""Train a network on a data set: seeded, validated on items held out of the training set, tested once.

`train` makes a float network; `fine_tune` goes on from one in the chip's arithmetic (`snnfuse.nn`), with the same loop, which is
Lightning's (pip install 'snnfuse[train]'). Importing this imports torch, but not Lightning.
"""

import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from torch import nn

from snnfuse.data import AudioVisual
from snnfuse.hardware.errors import InputError
from snnfuse.networks import build, input_names, taken
from snnfuse.nn import FixedPointNetwork, quantization_aware
from snnfuse.training.batches import tensors
from snnfuse.training.compute import Compute, is_main, require_lightning
from snnfuse.training.evaluation import evaluate
from snnfuse.training.objective import classification, decoder_of
from snnfuse.training.recipe import FINE_TUNING, Recipe, recipe_for
from snnfuse.training.results import Epoch, Progress, Report, Trained

CALIBRATION = 256  # training pairs that set the scales of the chip's integers

__all__ = [
    "CALIBRATION", "FINE_TUNING", "Compute", "Epoch", "Progress", "Recipe", "Report", "Trained", "calibration_of", "check_inputs",
    "check_tunable", "classification", "decoder_of", "evaluate", "fine_tune", "inputs_of", "is_main", "recipe_for", "require_lightning",
    "tensors", "train",
]  # fmt: skip


def unheard(*figures: object) -> None:
    """Report nothing: the default for `report` and `progress`."""


def train(
    data: AudioVisual,
    recipe: Recipe | None = None,
    *,
    architecture: str = "fd-fusion",
    compute: Compute = Compute(),
    log_dir: str | Path | None = None,
    resume: bool = False,
    report: Report = unheard,
    progress: Progress = unheard,
    **config: Any,
) -> Trained:
    """Build and train a network; the global random states are left as they were.

    Args:
        data: its training part trains and validates, its test part is used once, at the end.
        recipe: None: the architecture's own on these data.
        architecture: a name that `snnfuse.networks.names` has.
        compute: device, number of processes and precision. With several processes every one of them runs the whole program, and is given
            the same network; `is_main` tells which one is to write files.
        log_dir: a folder for a table, TensorBoard's curves and the state to go on from; None: none.
        resume: go on with the run that log_dir holds, if there is one; the result is that of a run that was never ended.
        report: called after each epoch by the first process.
        progress: called after each update by the first process with (updates done, all updates).
        config: the architecture's configuration; what the data decides is taken from them.

    Raises:
        EnvironmentProblem: Lightning is not installed, or there are too few GPUs.
        InputError: a recipe or configuration that cannot be followed, a loss that is no number, a folder that holds another run.
    """
    recipe = recipe or recipe_for(architecture, data.name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = _made(architecture, data, config)
    return _fitted(model, data, recipe, compute, log_dir, resume, report, progress)


def fine_tune(
    model: nn.Module | nir.NIRGraph,
    data: AudioVisual,
    recipe: Recipe = FINE_TUNING,
    *,
    compute: Compute = Compute(),
    log_dir: str | Path | None = None,
    resume: bool = False,
    report: Report = unheard,
    progress: Progress = unheard,
    **settings: Any,
) -> Trained:
    """Train a float network further in the chip's own arithmetic; the model given and the global random states stay as they are.

    Args:
        model: a trained one-step network, whatever its reset rule, or the float graph of any network.
        data, recipe, compute, log_dir, resume, report, progress: as for `train`.
        settings: as for `snnfuse.nn.quantization_aware`, above all `weight_bits` and `reset`.

    Returns:
        Trained: its model is a `FixedPointNetwork`, its accuracy that of the fixed-point Program.
    """
    if isinstance(model, FixedPointNetwork):
        raise InputError("this network is in the chip's arithmetic already; fine-tune the float one that it was made from")
    check_inputs(model, data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = quantization_aware(model, calibration_of(model, data, recipe.seed), **settings)
    check_classes(net, data)
    return _fitted(net, data, recipe, compute, log_dir, resume, report, progress)


def check_tunable(data: AudioVisual, *, architecture: str, **config: Any) -> None:
    """UnsupportedError for a network that `fine_tune` would refuse, whatever its weights: ask before it is trained.

    Args:
        data, architecture, config: as for `train`.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about weights that nobody has trained
        model = _made(architecture, data, config).eval()
        with suppress(InputError):  # likewise
            quantization_aware(model, {name: steps for name, steps in data.train.steps(slice(2)).items() if name in input_names(model)})


def names_of(model: nn.Module | nir.NIRGraph) -> tuple[str, ...]:
    """The names of what a network, or its graph, reads."""
    return tuple(model.inputs) if isinstance(model, nir.NIRGraph) else input_names(model)


def check_classes(net: FixedPointNetwork, data: AudioVisual) -> None:
    """InputError for classes of the data that are none of a network's outputs."""
    rule = net.rule
    classes = rule.classes(net.network.populations[rule.node].shape)
    if len(data.classes) > classes:
        raise InputError(f"{data.name}: labels hold {len(data.classes) - 1}, but the network's classes are 0..{classes - 1}")


def check_inputs(model: nn.Module | nir.NIRGraph, data: AudioVisual) -> None:
    """InputError for data that lack what a network reads."""
    missing = [name for name in names_of(model) if name not in data.shapes]
    if missing:
        raise InputError(
            f"the network reads {missing[0]}, and {data.name} has {' and '.join(data.shapes)} only: take a network of that alone "
            "(--modality of fd-fusion, --set fusion=... of s-cmrl), or other data"
        )


def _made(architecture: str, data: AudioVisual, config: dict[str, Any]) -> nn.Module:
    model = build(architecture, {**inputs_of(architecture, data), **config})
    check_inputs(model, data)
    return model


def _fitted(
    model: nn.Module, data: AudioVisual, recipe: Recipe, compute: Compute, log_dir: str | Path | None, resume: bool, report: Report,
    progress: Progress,
) -> Trained:  # fmt: skip
    require_lightning()
    if resume and log_dir is None:
        raise InputError("there is nothing to resume without log_dir, the folder of the run")
    from snnfuse.training.fitting import Watching, fit

    watching = Watching(report, progress, None if log_dir is None else Path(log_dir), resume)
    history = fit(model, data, recipe, compute, watching)
    accuracy = evaluate(model.to(compute.place()), data.test)
    return Trained(model.cpu(), accuracy, len(data.test), history)


def calibration_of(model: nn.Module | nir.NIRGraph, data: AudioVisual, seed: int) -> dict[str, np.ndarray]:
    """The training pairs that set scales, as a network's inputs (time, batch, *shape)."""
    number = min(CALIBRATION, len(data.train))
    chosen = np.sort(np.random.default_rng(seed).choice(len(data.train), number, replace=False))
    steps = data.train.steps(chosen)
    return {name: steps[name] for name in names_of(model)}


def inputs_of(architecture: str, data: AudioVisual) -> dict[str, Any]:
    """The part of a configuration that the data decides."""
    shapes, own = data.shapes, {"classes": len(data.classes)}
    if architecture == "s-cmrl":
        image, audio = shapes.get("image"), shapes.get("audio")
        # Of the size of what is there, what is missing is refused as missing, and not for its size.
        return own | {"image": image or audio, "audio": audio or (1, *shapes["image"][1:]), "steps": data.time}
    if architecture != "fd-fusion":
        return taken(architecture, own | shapes | {"steps": data.time})
    image = {"image": shapes["image"]} if "image" in shapes else {}
    return own | image | ({"audio": shapes["audio"][0] if len(shapes["audio"]) == 1 else shapes["audio"]} if "audio" in shapes else {})
