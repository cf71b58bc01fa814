"""The learning rate over the updates of a training."""

from math import cos, pi

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from snnfuse.training.recipe import Recipe

RISE = 0.1  # of a cycle, up to its highest rate


def schedule_of(optimiser: torch.optim.Optimizer, recipe: Recipe, updates: int) -> LRScheduler:
    """Return the schedule that the recipe asks for; every group of parameters keeps its own highest learning rate."""
    if recipe.schedule == "one-cycle":
        return _one_cycle(optimiser, updates)
    warmup = updates * recipe.warmup // recipe.epochs
    first, last = recipe.warmup_lr / recipe.lr, recipe.final_lr / recipe.lr
    return LambdaLR(optimiser, lambda update: cosine(update, updates, warmup, first, last))


def _one_cycle(optimiser: torch.optim.Optimizer, updates: int) -> LRScheduler:
    """Up over a tenth of the updates, one at least: OneCycleLR divides by the updates that it rises over, and by those it falls over."""
    if updates < 3:
        return LambdaLR(optimiser, lambda update: 1.0)
    rise = RISE if RISE * updates > 1 else 2 / updates
    return OneCycleLR(optimiser, [group["lr"] for group in optimiser.param_groups], total_steps=updates, pct_start=rise)


def cosine(update: int, updates: int, warmup: int, first: float, last: float) -> float:
    """Relative learning rate of an update, from 0: from `first` straight to 1 in `warmup` updates, then with p from 0 to 1
    last + (1 - last) (1 + cos(pi p)) / 2 (Loshchilov and Hutter 2017)."""
    if update < warmup:
        return first + (1 - first) * update / warmup
    p = (update - warmup) / max(1, updates - 1 - warmup)
    return last + (1 - last) * (1 + cos(pi * min(p, 1.0))) / 2
