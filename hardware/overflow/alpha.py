"""Bounds of `AlphaLif`.

Each current charges as that of a `Lif`: for A in [low, high] on every step it stays within what that brings it to from 0, which a reset to
zero puts it back to; a subtraction takes 64 vth more from the excitatory one on every step, at most. In E + H the input cancels, so that
the membrane is bounded by what both currents keep for the next step, and by the inhibitory one that a subtraction adds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.reference import later
from snnfuse.hardware.ir.alpha import AlphaLif
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, DECAY_BITS, STATE_LIMIT
from snnfuse.hardware.overflow.bounds import BEYOND, INT32_LIMIT, Arriving, Bound, Event, Interval, NeuronBounds, States, flat, spikes
from snnfuse.hardware.overflow.lif import charge, leak
from snnfuse.hardware.overflow.rates import Rate, every_step

ROUNDS = 4  # of narrowing, where a population feeds itself
APART = 3.0  # steps between spikes that reset to zero: one at zero, and one whose input cancels


@dataclass(frozen=True, eq=False)
class AlphaBounds:
    """One population of `AlphaLif` over all inputs.

    Attributes:
        intervals: of e, h and v before their clips.
        fires: bool (neurons,), whether the voltage can exceed the threshold.
        rate: how often it can.
    """

    intervals: Mapping[str, Interval]
    fires: NDArray[np.bool_]
    rate: Rate

    @property
    def sent(self) -> Interval:
        """Spikes, of neurons that can fire."""
        return spikes(self.fires)


class AlphaLifBounds(NeuronBounds):
    """`AlphaLif` in the overflow proof."""

    events = {
        f"{state} clips {way}": Event(state, **{way: end})
        for state in AlphaLif.states
        for way, end in (("high", STATE_LIMIT - 1), ("low", 1 - STATE_LIMIT))
    }

    def bounds(self, node: AlphaLif, arriving: Arriving, steps: int | None) -> AlphaBounds:
        """Narrowed in rounds where the population feeds itself."""
        arriving.assume(spikes(np.ones(node.size, np.bool_)))
        found = _population(node, arriving.drive(), steps)
        for _ in range(ROUNDS - 1 if arriving.feeds_itself else 0):
            arriving.assume(found.sent, found.rate)
            found = _population(node, arriving.drive(), steps)
        return found

    def raw(self, node: AlphaLif, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        """All three before their clips."""
        e, h, v = (later(states[name], 1) for name in node.states)
        return dict(zip(node.states, node.charged(e, h, v, inputs[0] << ALIGN_BITS)))

    def leaks(self, node: AlphaLif) -> Sequence[int]:
        """Of both currents."""
        return int(np.min(node.de)), int(np.min(node.dh))


ALPHA = AlphaLifBounds()


def _population(node: AlphaLif, a: Interval, steps: int | None) -> AlphaBounds:
    low, high = (x << ALIGN_BITS for x in a)
    wraps = (low < -INT32_LIMIT) | (high >= INT32_LIMIT)
    low, high = np.where(wraps, -INT32_LIMIT, low), np.where(wraps, INT32_LIMIT, high)
    de, dh, gain, theta = flat(node.de, node), flat(node.dh, node), flat(node.gain, node), flat(node.vth, node) << ALIGN_BITS
    taken = theta if node.reset == "subtract" else np.zeros_like(theta)
    e, h = _reached(low - taken, high, de, steps), _reached(-high, -low, dh, steps)
    ends = (_times(gain, leak(_clipped(x), de) + leak(_clipped(y), dh)) for x, y in zip(e, h))
    v = Interval(*ends)
    if node.reset == "subtract":
        v = Interval(v.low + _clipped(h.low), v.high + _clipped(h.high))
    fires = v.high > theta
    rate = Rate(np.full(fires.shape, APART), np.full(fires.shape, APART)) if node.reset == "zero" else every_step(node.size)
    return AlphaBounds({"e": e, "h": h, "v": v}, fires & (theta < STATE_LIMIT), rate)


def _reached(low: Bound, high: Bound, d: Bound, steps: int | None) -> Interval:
    """What a current reaches from 0 and back to it."""
    return Interval(np.minimum(-charge(-low, d, steps), 0), np.maximum(charge(high, d, steps), 0))


def _clipped(x: Bound) -> Bound:
    return x.clip(1 - STATE_LIMIT, STATE_LIMIT - 1)


def _times(gain: Bound, sums: Bound) -> Bound:
    product = gain * sums
    return (np.sign(product) * (np.abs(product) >> DECAY_BITS)).clip(-BEYOND, BEYOND)
