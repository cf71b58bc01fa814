"""Batches: items chosen by index from whole arrays in memory, the same for every number of processes."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnfuse.data import Pairs, redraw
from snnfuse.data.encoders import Encoding
from snnfuse.hardware.errors import InputError
from snnfuse.training.recipe import Recipe

Ints = NDArray[np.int64]
# Of a batch without gradients: with 32 pairs of 128 x 128 pictures it takes less memory than the training of 32 does.
MOST_PAIRS, MOST_NUMBERS = 500, 1 << 23


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process takes: number `rank` of `world`."""

    rank: int = 0
    world: int = 1

    def of(self, select: Ints) -> Ints:
        """Its part; parts differ in size by one at most."""
        return np.array_split(select, self.world)[self.rank]


def tensors(pairs: Pairs, select: NDArray | slice = slice(None)) -> dict[str, Tensor]:
    """The selected pairs as tensors (time, batch, *shape), by input name."""
    return {name: torch.from_numpy(array) for name, array in pairs.steps(select).items()}


class LabelledBatch(TypedDict):
    """What a step of training or validation takes: float32 (batch, [time,] *shape) by input, int64 (batch,), and what it counts."""

    values: dict[str, Tensor]
    labels: Tensor
    weight: float


def batch_of(pairs: Pairs, select: Ints, names: Sequence[str], weight: float = 1.0) -> LabelledBatch:
    """Return the selected pairs as a batch."""
    values = {name: torch.from_numpy(pairs.values(name, select)) for name in names}
    return {"values": values, "labels": torch.from_numpy(pairs.labels[select]), "weight": weight}


@dataclass(frozen=True)
class InTime:
    """Makes of a batch's values what a network reads over time.

    Attributes:
        time: time steps per sample.
        timed: the inputs whose values have an axis of time already.
        encoding: how values become inputs.
    """

    time: int
    timed: frozenset[str]
    encoding: Encoding

    def __call__(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Values (batch, [time,] *shape) to (time, batch, *shape) on the same device."""
        return {name: self._one(name, value) for name, value in values.items()}

    def _one(self, name: str, value: Tensor) -> Tensor:
        if self.encoding.kind == "direct":  # what does not change over time is not copied
            return value.transpose(0, 1) if name in self.timed else value.expand(self.time, *value.shape)
        steps = self.encoding(value.cpu().numpy(), None if name in self.timed else self.time)
        return torch.from_numpy(steps).to(value.device)


def in_time(pairs: Pairs) -> InTime:
    """Return the encoding over time that the pairs declare."""
    return InTime(pairs.time, frozenset(name for name, pool in pairs.pools.items() if pool.timed), pairs.encoding)


@dataclass(frozen=True)
class TrainingBatches:
    """An epoch's batches, drawn when iterated over.

    Attributes:
        pairs: the training pairs.
        names: inputs that are read.
        recipe: its batch size and seed.
        share: this process's part.
        epoch: which epoch is next, from 1; pairs and order follow from the seed and it alone.
    """

    pairs: Pairs
    names: Sequence[str]
    recipe: Recipe
    share: Share
    epoch: Callable[[], int]

    def __post_init__(self) -> None:
        if self.recipe.batch_size > len(self.pairs):
            raise InputError(f"batch_size {self.recipe.batch_size} is more than the {len(self.pairs)} training pairs of an epoch")
        if len(self.pairs) // len(self) < 2 * self.share.world:
            raise InputError(
                f"batch_size {self.recipe.batch_size} leaves fewer than two pairs for each of {self.share.world} processes; raise it"
            )

    def __len__(self) -> int:
        return -(-len(self.pairs) // self.recipe.batch_size)

    def __iter__(self) -> Iterator[LabelledBatch]:
        number = self.epoch()
        pairs = redraw(self.pairs, self.recipe.seed + number)
        order = np.random.default_rng([self.recipe.seed, number]).permutation(len(pairs))
        for whole in np.array_split(order, len(self)):
            part = self.share.of(whole)
            # Gradients are averaged over processes: weighted like this, their mean is that over the whole batch.
            yield batch_of(pairs, part, self.names, len(part) * self.share.world / len(whole))


@dataclass(frozen=True)
class EvaluationBatches:
    """All pairs in order, `size` at a time, or as many as `MOST_NUMBERS` allow. A process whose part is empty yields nothing for it."""

    pairs: Pairs
    names: Sequence[str]
    share: Share = Share()
    size: int | None = None

    @property
    def _size(self) -> int:
        numbers = self.pairs.time * sum(math.prod(self.pairs.shapes[name]) for name in self.names)
        return self.size or max(1, min(MOST_PAIRS, MOST_NUMBERS // numbers))

    def __len__(self) -> int:
        return -(-len(self.share.of(np.arange(len(self.pairs)))) // self._size)

    def __iter__(self) -> Iterator[LabelledBatch]:
        mine, size = self.share.of(np.arange(len(self.pairs))), self._size
        for start in range(0, len(mine), size):
            yield batch_of(self.pairs, mine[start : start + size], self.names)
