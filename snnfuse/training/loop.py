"""The training loop, as Lightning has it. Importing this imports Lightning."""

import random
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.files import whole_file
from snnfuse.networks import run_folded
from snnfuse.nn import FixedPointNetwork
from snnfuse.training.augmentation import Signals, augmented, mixed
from snnfuse.training.batches import InTime, Share
from snnfuse.training.evaluation import Spikes, count_spikes, right_of
from snnfuse.training.objective import ThroughTime, loss_of
from snnfuse.training.recipe import Recipe
from snnfuse.training.results import Epoch, Progress, Report
from snnfuse.training.run_folder import RunFolder
from snnfuse.training.schedules import schedule_of


class Training(LightningModule):
    """A network in training.

    Args:
        model: the network.
        recipe: how.
        signals: what its inputs are, for augmentation.
        steps_of: what makes inputs over time of a batch's values.
        updates: in all.
        share: this process's part of every batch.
        through_time: how it is run.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        signals: Signals,
        steps_of: InTime,
        updates: int,
        share: Share,
        through_time: ThroughTime = run_folded,
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.signals, self.steps_of, self.updates, self.share = model, recipe, signals, steps_of, updates, share
        self.through_time = through_time
        self.losses: list[Tensor] = []
        self.found, self.spikes, self.number = [0, 0], Spikes(), 1

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW and its schedule, stepped after every update."""
        whole = [{"params": [p for p in self.model.parameters() if p.requires_grad], "lr": self.recipe.lr}]
        groups = self.model.parameter_groups(self.recipe.lr) if isinstance(self.model, FixedPointNetwork) else whole
        optimiser = torch.optim.AdamW(groups, self.recipe.lr, weight_decay=self.recipe.weight_decay)
        schedule = schedule_of(optimiser, self.recipe, self.updates)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Every epoch of every process draws random numbers of its own, whatever came before: so a resumed run is the same run."""
        seed_all(self.recipe.seed, self.number, self.share.rank)
        self.losses = []

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        """The loss of one update."""
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            values, labels = augmented(batch["values"], self.signals, self.recipe, self.steps_of.timed), [(batch["labels"], 1.0)]
            if self.recipe.mixup:
                values, other, w = mixed(values, self.recipe.mixup)
                labels = [(batch["labels"], w), (batch["labels"][other], 1 - w)]
            steps = self.steps_of(values)
        loss = loss_of(self.model, steps, labels, self.recipe, self.through_time) * batch["weight"]
        self.losses.append(loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start counting; batch norm's statistics are the first process's everywhere, as in training and in the checkpoint."""
        self.found, self.spikes = [0, 0], Spikes()
        if self.share.world > 1:
            for buffer in self.model.buffers():
                if buffer.numel():
                    torch.distributed.broadcast(buffer, 0)

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        """Count what is right, step by step as the network is defined, in full precision."""
        with count_spikes(self.model) as seen, torch.autocast(self.device.type, enabled=False):
            self.found[0] += right_of(self.model, self.steps_of(batch["values"]), batch["labels"])
        self.found[1] += len(batch["labels"])
        self.spikes.spikes, self.spikes.places = self.spikes.spikes + seen.spikes, self.spikes.places + seen.places

    def figures(self) -> tuple[float, float, float]:
        """Of the epoch, over all processes: loss, accuracy on held-out items, spike rate."""
        loss = torch.stack(self.losses).double().mean()
        counts = torch.tensor([*self.found, self.spikes.spikes, self.spikes.places], dtype=torch.float64, device=self.device)
        if self.share.world > 1:
            torch.distributed.all_reduce(counts)
            torch.distributed.all_reduce(loss)
            loss /= self.share.world
        right, held, spikes, places = counts.tolist()
        return loss.item(), right / held, spikes / places if places else 0.0


def seed_all(*entropy: int) -> None:
    """Seed torch (all devices), NumPy and random from some integers."""
    state = np.random.SeedSequence(entropy).generate_state(3, np.uint64)
    torch.manual_seed(int(state[0]) >> 1)
    np.random.seed(int(state[1]) & 0xFFFFFFFF)
    random.seed(int(state[2]))


class Keeper(Callback):
    """Keeps the history and the best weights, ends a training that no longer gets better, and writes it all down.

    Args:
        recipe: its epochs and patience.
        identity: what tells this training from others, JSON-able.
        folder: where to write; None: nowhere.
        report, progress: called after every epoch, and after every update, by the first process.
    """

    def __init__(self, recipe: Recipe, identity: dict[str, Any], folder: RunFolder | None, report: Report, progress: Progress) -> None:
        self.recipe, self.identity, self.folder, self.report, self.progress = recipe, identity, folder, report, progress
        self.history: list[Epoch] = []
        self.best, self.best_number = -1.0, 0
        self.weights: dict[str, Tensor] = {}

    @property
    def state_key(self) -> str:
        """The name of its state in a state file."""
        return "snnfuse"

    @property
    def is_done(self) -> bool:
        """True once training has ended, by its epochs or by its patience."""
        since = len(self.history) - self.best_number
        return len(self.history) >= self.recipe.epochs or (self.recipe.patience is not None and since >= self.recipe.patience)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and containers only."""
        return {
            "identity": self.identity, "history": [asdict(epoch) for epoch in self.history], "best": self.best,
            "best_number": self.best_number, "weights": self.weights,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.history = [Epoch(**row) for row in state_dict["history"]]
        self.best, self.best_number, self.weights = (state_dict[name] for name in ("best", "best_number", "weights"))

    def next_epoch(self) -> int:
        """The number of the epoch that is under way, from 1."""
        return len(self.history) + 1

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Called before the module's own hook, which seeds with it."""
        _training(pl_module).number = self.next_epoch()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Say how far it is."""
        if trainer.is_global_zero:
            self.progress(trainer.global_step, _training(pl_module).updates)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After training and validation of an epoch."""
        loss, validation, spike_rate = _training(pl_module).figures()
        epoch = Epoch(self.next_epoch(), self.recipe.epochs, loss, validation, learning_rate(trainer), spike_rate)
        if not np.isfinite(loss):
            message = f"the loss is {loss} in epoch {epoch.number}; train with a lower learning rate than {self.recipe.lr:g}"
            raise InputError(message)
        self._keep(epoch, _training(pl_module).model)
        if self.is_done:
            trainer.should_stop = True
        self._write(epoch, trainer)
        if trainer.is_global_zero:
            self.report(epoch)

    def _keep(self, epoch: Epoch, model: nn.Module) -> None:
        """The later of equals is the best."""
        # Patience waits for a result that is better, not for one as good: equal ones in a row would train on for ever.
        improved = epoch.validation > self.best
        self.history.append(epoch)
        if epoch.validation >= self.best:
            self.weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        if improved:
            self.best, self.best_number = epoch.validation, epoch.number

    def _write(self, epoch: Epoch, trainer: Trainer) -> None:
        for logger in trainer.loggers:
            logger.log_metrics({k: v for k, v in asdict(epoch).items() if k not in ("number", "total")}, epoch.number)
            logger.save()
        if self.folder is None:
            return
        first = trainer.is_global_zero
        with whole_file(self.folder.state) if first else nullcontext(self.folder.state) as unfinished:
            trainer.save_checkpoint(unfinished)  # every process must call it, the first one writes
        if first:
            self.folder.write_table(self.history)


def _training(module: LightningModule) -> Training:
    return cast(Training, module)  # the one that `fit` gave the trainer


def learning_rate(trainer: Trainer) -> float:
    """Return the learning rate of the first group of parameters."""
    return trainer.optimizers[0].param_groups[0]["lr"]
