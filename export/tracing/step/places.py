"""Where a value over time has its steps: on an axis of its own, or folded into the batch, as for layers that take images.

(time * batch, ...)     the samples of a step lie together
(batch * time, ...)     the steps of a sample do
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Folded:
    """Steps and samples on the first axis; by_step: whether the samples of a step lie together."""

    by_step: bool


Place = int | Folded


def places(shape: tuple[int, ...], steps: int) -> Iterator[Place]:
    """Where a value of this shape may have its steps."""
    yield from (axis for axis, length in enumerate(shape) if length == steps)
    if shape and shape[0] > steps and shape[0] % steps == 0:
        yield from (Folded(True), Folded(False))


def in_step(value: torch.Tensor, place: Place, steps: int, step: int) -> torch.Tensor:
    """The part of a value over time that belongs to one step, (batch, ...)."""
    if isinstance(place, int):
        return value.select(place, step)
    return value.unflatten(0, (steps, -1)).select(0, step) if place.by_step else value.unflatten(0, (-1, steps)).select(1, step)


def spread(x: torch.Tensor, place: Place, steps: int) -> torch.Tensor:
    """A value over time that is `x` (batch, ...) in every step."""
    axis = place if isinstance(place, int) else 0 if place.by_step else 1
    whole = x.unsqueeze(axis).expand(*x.shape[:axis], steps, *x.shape[axis:])
    return whole if isinstance(place, int) else whole.flatten(0, 1)
