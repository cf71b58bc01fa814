"""Bounds of `Lif`.

For a synaptic input a in [a_low, a_high] on every step, current and voltage are bounded by what they reach when the input stays at
its end of the interval, for both leaks are monotonic. Charged with c > 0 on every step, x' = trunc(x (4096 - d) / 4096) + c climbs
from 0 to its rest point, the smallest x with ceil(x d / 4096) = c:

    x = floor((c - 1) 4096 / d) + 1            without bound for d = 0

and likewise downwards. A spike's reset limits the voltage from above: what is kept of it is at most the threshold where it resets to
zero. A neuron whose voltage cannot exceed its threshold sends nothing, and one that needs several steps to reach it again spikes
that much less often (`rates`): both narrow the inputs of the next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.reference import later
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, DECAY_BITS, NEVER, STATE_LIMIT, decay
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.overflow.bounds import (
    BEYOND,
    INT32_LIMIT,
    Arriving,
    Bound,
    Event,
    Interval,
    NeuronBounds,
    Peaks,
    States,
    flat,
    spikes,
)
from snnfuse.hardware.overflow.rates import Rate, spike_rate

TO_ZERO = ("zero", "zero_delayed", "zero_stored")
ROUNDS = 4  # of narrowing, where a population feeds itself; each is a sound bound


@dataclass(frozen=True, eq=False)
class StateBounds:
    """One population of `Lif` over all inputs.

    Attributes:
        a: synaptic input per step.
        u: current before its wrap.
        v: voltage before its clip and reset.
        fires: bool (neurons,), whether the voltage can exceed the threshold.
        rate: how often it can.
    """

    a: Interval
    u: Interval
    v: Interval
    fires: NDArray[np.bool_]
    rate: Rate

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """Of current and voltage."""
        return {"u": self.u, "v": self.v}

    @property
    def sent(self) -> Interval:
        """Spikes, of neurons that can fire."""
        return spikes(self.fires)


class LifBounds(NeuronBounds):
    """`Lif` in the overflow proof."""

    events = {
        "u wraps": Event("u", 1 - STATE_LIMIT, STATE_LIMIT),  # +2**23 itself stands
        "v clips high": Event("v", high=STATE_LIMIT - 1),
        "v clips low": Event("v", low=1 - STATE_LIMIT),
    }

    def bounds(self, node: Lif, arriving: Arriving, steps: int | None) -> StateBounds:
        """Narrowed in rounds where the population feeds itself."""
        kept = 1 - (int(np.min(node.du)) + CURRENT_DECAY_OFFSET) / (1 << DECAY_BITS)  # of the slowest neuron
        arriving.assume(spikes(np.ones(node.size, np.bool_)))
        bias = self.bias(node, arriving)
        found = _population(node, arriving.drive(), arriving.charged(kept, 1 << ALIGN_BITS), bias, steps)
        for _ in range(ROUNDS - 1 if arriving.feeds_itself else 0):
            arriving.assume(found.sent, found.rate)
            found = _population(node, arriving.drive(), arriving.charged(kept, 1 << ALIGN_BITS), bias, steps)
        return found

    def raw(self, node: Lif, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        """Current before its wrap, voltage before clip and reset."""
        v = node.charged(later(states["v"], 1), states["u"], self.raw_bias(node, inputs))
        return {"u": _raw_current(node, inputs[0], states["u"]), "v": v}

    def bias(self, node: Any, arriving: Arriving) -> Interval:
        """What is added to the voltage on every step beside the current."""
        bias = flat(node.bias_mant, node) << flat(node.bias_exp, node)
        return Interval(bias, bias)

    def raw_bias(self, node: Any, inputs: Sequence[NDArray[np.int64]]) -> Any:
        """The same in a run."""
        return node.shifted_bias()

    def peaks(self, node: Lif, inputs: Sequence[NDArray[np.int64]], states: States) -> Peaks:
        """Of the current, and where the voltage stood at an end of its range."""
        u, v = states["u"], states["v"]
        raw = _raw_current(node, inputs[0], u)
        high, low = (v == STATE_LIMIT - 1), (v == 1 - STATE_LIMIT)
        return Peaks(int(np.abs(raw).max()), int((raw != u).sum()), int(high.sum()), int(low.sum()))

    def is_harmless(self, node: Lif, event: str) -> bool:
        """A voltage clipped at the top still exceeds its threshold, and is then reset to zero; a readout never fires."""
        return event == "v clips high" and node.reset == "zero" and bool((np.asarray(node.vth) < NEVER).all())

    def leaks(self, node: Lif) -> Sequence[int]:
        """Of current and voltage."""
        return int(np.min(node.du)) + CURRENT_DECAY_OFFSET, int(np.min(node.dv))


class BiasedLifBounds(LifBounds):
    """`BiasedLif` in the overflow proof."""

    def bias(self, node: Any, arriving: Arriving) -> Interval:
        """With what a host may write."""
        mantissa, written = flat(node.bias_mant, node), arriving.drive(1)
        return Interval(*(mantissa + end << flat(node.bias_exp, node) for end in written))

    def raw_bias(self, node: Any, inputs: Sequence[NDArray[np.int64]]) -> Any:
        """With what the host wrote."""
        return node.shifted_bias(inputs[1])


LIF, BIASED_LIF = LifBounds(), BiasedLifBounds()


def _raw_current(lif: Lif, a: NDArray[np.int64], u: NDArray[np.int32]) -> NDArray[np.int64]:
    return decay(later(u, 1), np.asarray(lif.du) + CURRENT_DECAY_OFFSET).astype(np.int64) + (a << ALIGN_BITS)  # 64 bits: no wrap at 32


def _population(lif: Lif, a: Interval, summed: Interval, bias: Interval, steps: int | None) -> StateBounds:
    """Bounds for inputs a in one step, where `summed` bounds the current by how often each source spikes."""
    du = flat(lif.du, lif) + CURRENT_DECAY_OFFSET
    low, high = (x << ALIGN_BITS for x in a)
    u = Interval(np.maximum(-charge(-low, du, steps), summed.low), np.minimum(charge(high, du, steps), summed.high))
    gained, dv, theta = _charged(a, u, bias), flat(lif.dv, lif), flat(lif.vth, lif) << ALIGN_BITS
    v = Interval(_lowest(lif, gained.low, dv, theta, steps), _highest(lif, gained.high, dv, theta, steps))
    rate = spike_rate(gained.high, dv, theta, lif.reset)
    return StateBounds(a, u, v, v.high.clip(max=STATE_LIMIT - 1) > theta, rate)


def _charged(a: Interval, u: Interval, bias: Interval) -> Interval:
    """What is added to the voltage in a step, the current beyond a wrap included."""
    wraps = (u.low <= -STATE_LIMIT) | (u.high > STATE_LIMIT)
    strongest = np.maximum(-a.low, a.high) << ALIGN_BITS
    far = np.where(strongest > 2 * STATE_LIMIT, INT32_LIMIT, STATE_LIMIT)  # it wraps once only, which then may not bring it back
    return Interval(np.where(wraps, -far, u.low) + bias.low, np.where(wraps, far, u.high) + bias.high)


def _highest(lif: Lif, c: Bound, dv: Bound, theta: Bound, steps: int | None) -> Bound:
    """The largest voltage before its clip and reset, charged with at most c per step.

    Resets only lower it, so it stays below what charging alone reaches. Beyond the threshold, what is kept of a voltage for the
    next step is at most theta where it resets to zero; where theta is subtracted, what charging with c - theta reaches, if more. Where
    twice theta is asked for after a step that ended above theta, which c > theta alone brings about, up to that is kept.
    """
    charged = charge(c, dv, steps)
    if lif.reset in TO_ZERO:
        left = theta
    else:
        most = np.where(c > theta, 2 * theta, theta) if lif.reset == "subtract_undelayed" else theta
        left = np.maximum(most, charge(c - theta, dv, None))
    if lif.reset == "subtract_delayed":  # the excess is taken in the next step, after the leak, so the charged voltage itself stands
        limited = np.maximum(leak(theta, dv) + c, left)
    else:
        limited = leak(left.clip(max=STATE_LIMIT - 1), dv) + c
    return np.where(charged > theta, np.minimum(charged, limited), charged)


def _lowest(lif: Lif, c: Bound, dv: Bound, theta: Bound, steps: int | None) -> Bound:
    """The smallest voltage before its clip, charged with at least c per step."""
    if lif.reset != "subtract_delayed":  # what a reset leaves is 0 or more
        lowest = -charge(-c, dv, steps)
        return np.minimum(lowest, 0) if lif.reset == "zero_delayed" else lowest
    after_spike = np.where(theta < STATE_LIMIT, np.minimum(leak(theta + 1, dv) - theta, 0) + c, c)
    return np.minimum(-charge(-c, dv, None), after_spike)


def charge(c: Bound, d: Bound, steps: int | None) -> Bound:
    """The largest x of x' = leak(x, d) + c in 1 to `steps` steps from 0; c itself where that is the largest."""
    if steps is not None:
        return _charge_for(c, d, steps)
    up = c > 0
    rest = np.where(d > 0, (np.where(up, c, 1) - 1) * (1 << DECAY_BITS) // np.maximum(d, 1) + 1, BEYOND)
    return np.where(up, np.minimum(rest, BEYOND), c)


def _charge_for(c: Bound, d: Bound, steps: int) -> Bound:
    x = c
    for _ in range(steps - 1):
        charged = np.minimum(leak(x, d) + c, BEYOND)
        if (charged <= x).all():
            break
        x = np.maximum(x, charged)
    return x


def leak(x: Bound, d: Bound) -> Bound:
    """trunc(x (4096 - d) / 4096) in 64 bits, as `fixed_point.decay`."""
    scaled = x * ((1 << DECAY_BITS) - d)
    return np.sign(scaled) * (np.abs(scaled) >> DECAY_BITS)
