"""Bounds of sigma-delta neurons.

What a `Delta` or `SigmaDelta` has sent by any step adds up to (act - residue) / 2**state_exp, for every delta closes the gap to the
activation; where bits behind a message are dropped (>> rounds down), each message may take up to 1 from that. So a sum of what arrives
from them is bounded by their activations and, where bits are dropped, by the number of steps. Everything else adds up without end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.reference import later
from snnfuse.hardware.ir.fixed_point import STATE_LIMIT
from snnfuse.hardware.ir.sigma_delta import Delta, Sigma, SigmaDelta
from snnfuse.hardware.overflow.bounds import BEYOND, INT32_LIMIT, Arriving, Event, Interval, NeuronBounds, States, flat
from snnfuse.hardware.overflow.graded import MESSAGE
from snnfuse.hardware.overflow.rates import Rate, every_step


@dataclass(frozen=True, eq=False)
class SumBounds:
    """One population over all inputs.

    Attributes:
        intervals: of "sigma" or "act", before any wrap, and of "payload".
        total: of all that it has sent by any step.
    """

    intervals: Mapping[str, Interval]
    total: Interval

    @property
    def sent(self) -> Interval:
        """32 bits, any of them where the payload may wrap."""
        low, high = self.intervals["payload"]
        wide = (low < -INT32_LIMIT) | (high >= INT32_LIMIT)
        return Interval(np.where(wide, -INT32_LIMIT, low), np.where(wide, INT32_LIMIT - 1, high))

    @property
    def rate(self) -> Rate:
        """A message on every step."""
        return every_step(len(self.total.low))


class SigmaBounds(NeuronBounds):
    """`Sigma` in the overflow proof."""

    events = {"sigma leaves 24 bits": Event("sigma", 1 - STATE_LIMIT, STATE_LIMIT - 1)}

    def bounds(self, node: Sigma, arriving: Arriving, steps: int | None) -> SumBounds:
        """By all that can have arrived."""
        arriving.assume(_anything(node))
        sigma = arriving.total(steps)
        return SumBounds({"sigma": sigma, "payload": sigma}, _times(sigma, steps))

    def raw(self, node: Sigma, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        """The sum in 64 bits."""
        return {"sigma": later(states["sigma"], 1).astype(np.int64) + inputs[0]}


class DeltaBounds(NeuronBounds):
    """`Delta` in the overflow proof."""

    events = {"act leaves 24 bits": Event("act", 1 - STATE_LIMIT, STATE_LIMIT - 1), "payload leaves its message": MESSAGE}

    def bounds(self, node: Delta, arriving: Arriving, steps: int | None) -> SumBounds:
        """By what can arrive in one step."""
        arriving.assume(_anything(node))
        low, high = arriving.drive()
        act = _clipped(low.clip(max=0) * (1 << node.shift), high.clip(0) * (1 << node.shift))  # 0 before the first step
        return _encoded(node, act, {"act": act}, steps, drops=False)

    def raw(self, node: Delta, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        """The shifted input and the message, in 64 bits."""
        act = inputs[0] << node.shift
        return {"act": act, "payload": _message(node, act, states)}


class SigmaDeltaBounds(NeuronBounds):
    """`SigmaDelta` in the overflow proof."""

    events = {**SigmaBounds.events, "payload leaves its message": MESSAGE}

    def bounds(self, node: SigmaDelta, arriving: Arriving, steps: int | None) -> SumBounds:
        """By all that can have arrived."""
        arriving.assume(_anything(node))
        sigma, bias = arriving.total(steps), flat(node.bias, node) << node.shift
        act = _clipped(sigma.low + bias, sigma.high + bias)
        if node.activation == "relu":
            act = Interval(act.low.clip(0), act.high.clip(0))
        act = Interval(act.low.clip(max=0), act.high.clip(0))  # 0 before the first step
        return _encoded(node, act, {"sigma": sigma}, steps, drops=node.state_exp > 0)

    def raw(self, node: SigmaDelta, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        """Sum and message in 64 bits."""
        sigma = later(states["sigma"], 1).astype(np.int64) + inputs[0]
        act = sigma + np.left_shift(np.asarray(node.bias, np.int64), node.shift)
        return {"sigma": sigma, "payload": _message(node, np.maximum(act, 0) if node.activation == "relu" else act, states)}


SIGMA, DELTA, SIGMA_DELTA = SigmaBounds(), DeltaBounds(), SigmaDeltaBounds()


def _encoded(node: Delta, act: Interval, intervals: Mapping[str, Interval], steps: int | None, drops: bool) -> SumBounds:
    """What an encoder sends for an activation in an interval that holds 0."""
    residue = (node.vth << node.shift) * (1 + node.cumulative)  # |delta| = |error' - error| where errors cumulate
    low, high = act.low - act.high - residue, act.high - act.low + residue
    wide = (low < -INT32_LIMIT) | (high >= INT32_LIMIT) | (act.low < -INT32_LIMIT) | (act.high >= INT32_LIMIT)
    low, high = np.where(wide, -BEYOND, low), np.where(wide, BEYOND, high)
    lost = 0 if not drops else BEYOND if steps is None else steps
    total = _clipped((act.low - residue >> node.state_exp) - lost, (act.high + residue >> node.state_exp) + 1)
    total = Interval(np.where(wide, -BEYOND, total.low), np.where(wide, BEYOND, total.high))
    return SumBounds({**intervals, "payload": Interval(low >> node.state_exp, high >> node.state_exp)}, total)


def _message(node: Delta, act: NDArray[np.int64], states: States) -> NDArray[np.int64]:
    """What is sent, in 64 bits."""
    before, residue, error = (later(states[name], 1).astype(np.int64) for name in ("act", "residue", "error"))
    delta = act - before + residue
    measured = error + delta if node.cumulative else delta
    return np.where(np.abs(measured) >= node.vth << node.shift, delta >> node.state_exp, 0)


def _anything(node: Any) -> Interval:
    """What a population may have sent that feeds itself."""
    ones = np.ones(node.size, np.int64)
    return Interval(-INT32_LIMIT * ones, INT32_LIMIT * ones)


def _times(interval: Interval, steps: int | None) -> Interval:
    """The sum of so many values; of any number of them without an end."""
    low, high = (x.astype(np.float64) * (np.inf if steps is None else steps) for x in (interval.low.clip(max=0), interval.high.clip(0)))
    return Interval(*(np.nan_to_num(x, nan=0.0, posinf=BEYOND, neginf=-BEYOND).clip(-BEYOND, BEYOND).astype(np.int64) for x in (low, high)))


def _clipped(low: NDArray[np.int64], high: NDArray[np.int64]) -> Interval:
    return Interval(low.clip(-BEYOND, BEYOND), high.clip(-BEYOND, BEYOND))
