"""A training from its first update, or from where it was ended, to its best weights. Importing this imports Lightning."""

import json
import logging
import random
import signal
import threading
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from torch import nn

from snnfuse.data import AudioVisual, Pairs, hold_out
from snnfuse.hardware.errors import InputError
from snnfuse.networks import input_names
from snnfuse.nn import FixedPointNetwork
from snnfuse.training.augmentation import signals_of
from snnfuse.training.batches import EvaluationBatches, Share, TrainingBatches, in_time, tensors
from snnfuse.training.compute import Compute, is_main
from snnfuse.training.loop import Keeper, Training
from snnfuse.training.objective import through_time_of
from snnfuse.training.recipe import Recipe
from snnfuse.training.results import Epoch, Progress, Report
from snnfuse.training.run_folder import RunFolder

FEW = 8  # pairs by which it is seen whether a network can be folded
CHATTY = ("lightning.pytorch", "lightning.fabric", "lightning")


@dataclass(frozen=True)
class Watching:
    """Who is told, and where it is written.

    Attributes:
        report, progress: called after every epoch, and after every update.
        log_dir: the run's folder, see `snnfuse.training.run_folder`; None: nothing is written.
        resume: go on with the run that the folder holds, if it holds one.
    """

    report: Report
    progress: Progress
    log_dir: Path | None = None
    resume: bool = False


def fit(model: nn.Module, data: AudioVisual, recipe: Recipe, compute: Compute, watching: Watching) -> tuple[Epoch, ...]:
    """Train in place; at the end the model holds the weights of the best epoch (the later of equals), on the CPU.

    Raises:
        InputError: a recipe that these data do not allow, a loss that is no number, or a run's folder that is of another training.
        EnvironmentProblem: too few GPUs.
    """
    compute = compute.resolved()
    if isinstance(model, FixedPointNetwork) and compute.precision != "32":
        raise InputError(f"training in the chip's arithmetic is exact only with precision 32, not with {compute.precision}")
    kept, held = hold_out(data.train, recipe.held, recipe.seed)
    folder = None if watching.log_dir is None else RunFolder(watching.log_dir)
    keeper = Keeper(recipe, identity_of(model, data, recipe, compute), folder, watching.report, watching.progress)
    state = None
    if folder is not None and is_main_or_resuming(watching) and folder.open(watching.resume):
        keeper.load_state_dict(folder.read(keeper.state_key, keeper.identity))
        state = folder.state
    if not keeper.is_done:
        _train(model, data, (kept, held), compute, keeper, state)
    model.load_state_dict(keeper.weights)
    model.eval()
    return tuple(keeper.history)


def is_main_or_resuming(watching: Watching) -> bool:
    """Copies of this process start when the first one has made the folder: they only look whether to go on."""
    return is_main() or watching.resume


def identity_of(model: nn.Module, data: AudioVisual, recipe: Recipe, compute: Compute) -> dict[str, Any]:
    """Return what must be equal for a run to be resumed, JSON-able."""
    from snnfuse.checkpoints.checkpoint import describe_model

    described = describe_model(model) or (type(model).__name__, {})
    found = {
        "architecture": described[0],
        "configuration": described[1],
        "data": data.name,
        "data settings": asdict(data.settings),
        "training pairs": len(data.train),
        "training items": fingerprint(array for pool in data.train.pools.values() for array in (pool.items, pool.labels)),
        **started_from(model),
        "processes": compute.devices,
        "precision": compute.precision,
        **asdict(recipe),
    }
    return json.loads(json.dumps(found))


def started_from(model: nn.Module) -> dict[str, str]:
    """Of a network in the chip's arithmetic the float weights that it began with; any other begins with what the seed says."""
    if not isinstance(model, FixedPointNetwork):
        return {}
    return {"float weights": fingerprint(value.detach().cpu().numpy() for value in model.state_dict().values())}


def fingerprint(arrays: Iterable[NDArray]) -> str:
    """A checksum over what some arrays hold, 8 hexadecimal digits."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, found)
    return f"{found:08x}"


def _train(model: nn.Module, data: AudioVisual, sides: tuple[Pairs, Pairs], compute: Compute, keeper: Keeper, state: Path | None) -> None:
    """Run Lightning's loop; the best weights are the keeper's."""
    kept, held = sides
    if len(held) < compute.devices:  # one without any would wait for the others for ever
        raise InputError(f"{len(held)} held-out pairs are too few for {compute.devices} processes; raise held, or lower devices")
    share = Share(rank_of(compute), compute.devices)
    names = input_names(model)
    batches = TrainingBatches(kept, names, keeper.recipe, share, keeper.next_epoch)
    held_out = EvaluationBatches(held, names, share)
    updates = keeper.recipe.epochs * len(batches)
    # Lightning replaces batch norms where processes share theirs, so it gets a copy there.
    trained = deepcopy(model) if compute.devices > 1 else model
    how = through_time_of(model, tensors(kept, slice(FEW)))
    training = Training(trained.train(), keeper.recipe, signals_of(data, names), in_time(kept), updates, share, how)
    with quietly(), random_state_kept():
        trainer = Trainer(**settings_of(compute), max_epochs=keeper.recipe.epochs, callbacks=[keeper], logger=logger_of(keeper.folder))
        with interrupts_kept():
            trainer.fit(training, batches, held_out, ckpt_path=state, weights_only=True)


def settings_of(compute: Compute) -> dict[str, Any]:
    """Lightning's, all it does by itself and is not asked for turned off."""
    on_gpu = compute.accelerator == "gpu"
    return {
        "accelerator": compute.accelerator,
        "devices": compute.devices,
        "strategy": "ddp" if compute.devices > 1 else "auto",
        "precision": {"32": "32-true"}.get(compute.precision, compute.precision),
        "sync_batchnorm": on_gpu and compute.devices > 1,  # torch has it on GPUs only
        "deterministic": "warn" if on_gpu else None,
        "use_distributed_sampler": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "inference_mode": False,  # neurons keep their state between steps, and torch forbids to train on such a one
    }


def rank_of(compute: Compute) -> int:
    """Return the rank of this process, also before Lightning has started the others."""
    import os

    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) if compute.devices > 1 else 0


def logger_of(folder: RunFolder | None) -> TensorBoardLogger | bool:
    """TensorBoard's, into the run's folder itself."""
    return False if folder is None else TensorBoardLogger(folder.path, name="", version="")


@contextmanager
def quietly() -> Iterator[None]:
    """Silence Lightning's remarks on hardware, tips and workers; its errors stay."""
    loggers = [logging.getLogger(name) for name in CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Restore all random states, and torch's determinism, afterwards."""
    python, numpy, strict = random.getstate(), np.random.get_state(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Ctrl-C stays a KeyboardInterrupt: Lightning makes sys.exit(1) of it and ignores every later one."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)
