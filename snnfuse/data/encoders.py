"""How numbers become inputs over time. Nothing here needs torch; where snnTorch's spikegen defines a code, this is that code.

Every code but "direct" gives spikes: 0 or 1 where values are not negative, as in images; where they may be, as in normalised
features, a negative value spikes with -1, so that a network reads -1, 0, 1, a graded spike in the chip's words.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.settings import ENCODERS
from snnfuse.hardware.errors import InputError

Floats = NDArray[np.float32]

SMALLEST = 0.01  # a latency code has no spike below it, as spikegen.latency(threshold=0.01, clip=True)
CHANGE = 0.1  # a delta code spikes from this change on, as spikegen.delta(threshold=0.1)


@dataclass(frozen=True)
class Encoding:
    """A code and the seed of what is random in it.

    Attributes:
        kind: "direct": the values as they are, a static item repeated on every step.
            "rate": on every step a spike with probability |x|, the value of that step; drawn from the seed and the item alone, so that
            an item has the same spikes in every batch, epoch and split.
            "latency": one spike per value, on step round((time - 1) (1 - |x|)), the largest first; none where |x| < 0.01. For static
            items only: spikegen.latency(linear=True, normalize=True, clip=True).
            "delta": a spike where the value has changed by 0.1 or more since the step before, +1 up, -1 down; before the first step
            all is 0: spikegen.delta(off_spike=True). A static item spikes on the first step only.
        seed: of "rate".
    """

    kind: str = "direct"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ENCODERS:
            raise InputError(f"encoder must be one of {', '.join(ENCODERS)}, not {self.kind!r}")

    def check(self, name: str, timed: bool) -> None:
        """InputError unless a modality can be encoded so."""
        if self.kind == "latency" and timed:
            raise InputError(f'{name} has values over time, of which "latency" leaves no time; take encoder "delta", or audio "picture"')

    def __call__(self, values: Floats, time: int | None) -> Floats:
        """Static values (batch, *shape) on `time` steps, or values (batch, time, *shape) with time None, to (time, batch, *shape)."""
        steps = values.swapaxes(0, 1) if time is None else np.broadcast_to(values, (time, *values.shape))
        if self.kind == "latency":
            steps = latency(values, len(steps))
        elif self.kind == "rate":
            steps = rate(steps, [item_seed(self.seed, item) for item in values])
        elif self.kind == "delta":
            steps = delta(steps)
        return np.ascontiguousarray(steps)


def item_seed(seed: int, item: Floats) -> tuple[int, int]:
    """Return the seed of an item's random spikes, which depends on the item alone, wherever it stands."""
    return seed, zlib.crc32(np.ascontiguousarray(item).data)


def rate(steps: Floats, seeds: list[tuple[int, int]]) -> Floats:
    """Bernoulli spikes sign(x) with probability min(|x|, 1), (time, batch, *shape); one seed per item."""
    out = np.empty(steps.shape, np.float32)
    for column, seed in enumerate(seeds):
        drawn = np.random.default_rng(seed).random((len(steps), *steps.shape[2:]), np.float32)
        out[:, column] = np.sign(steps[:, column]) * (drawn < np.abs(steps[:, column]))
    return out


def latency(values: Floats, time: int) -> Floats:
    """Return sign(x) on one step each and 0 elsewhere, float32: (batch, *shape) -> (time, batch, *shape)."""
    size = np.minimum(np.abs(values), np.float32(1))
    step = np.rint((time - 1) * (1 - size))
    spike = np.sign(values) * (size >= np.float32(SMALLEST))
    return (np.arange(time).reshape(-1, *([1] * values.ndim)) == step) * spike.astype(np.float32)


def delta(steps: Floats) -> Floats:
    """Return the sign of every change of at least 0.1, float32: (time, batch, *shape) -> the same shape."""
    change = np.diff(steps, axis=0, prepend=np.zeros_like(steps[:1]))
    return (change >= np.float32(CHANGE)).astype(np.float32) - (change <= -np.float32(CHANGE))
