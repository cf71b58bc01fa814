"""Bounds of `ResonateAndFire`.

A step turns the state z = (x, y) and shrinks it by r = sqrt(sin**2 + cos**2) / 2**decay_bits. Each of the four truncations moves a
component by less than 1, so that with inputs of length |A| at most

    |z'| <= r |z| + |A| + 2 sqrt(2),        at rest at (|A| + 2 sqrt(2)) / (1 - r), without bound for r >= 1

and the clip of both components, to a box around 0, only shortens z. A neuron fires where y changes sign from below, which it cannot do on
two steps in a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.reference import later
from snnfuse.hardware.ir.fixed_point import DECAY_BITS, STATE_LIMIT
from snnfuse.hardware.ir.resonate_and_fire import ResonateAndFire
from snnfuse.hardware.overflow.bounds import BEYOND, INT32_LIMIT, Arriving, Event, Interval, NeuronBounds, States, flat, spikes
from snnfuse.hardware.overflow.rates import Rate

TRUNCATED = 2 * np.sqrt(2)
SLACK = 1 + 1e-9  # floats round
ROUNDS = 4  # of narrowing, where a population feeds itself


@dataclass(frozen=True, eq=False)
class ResonatorBounds:
    """One population of `ResonateAndFire` over all inputs.

    Attributes:
        intervals: of "real" and "imag" before their clip.
        fires: bool (neurons,), whether the real part can reach the threshold.
    """

    intervals: Mapping[str, Interval]
    fires: NDArray[np.bool_]

    @property
    def sent(self) -> Interval:
        """Spikes, of neurons that can fire."""
        return spikes(self.fires)

    @property
    def rate(self) -> Rate:
        """Every other step."""
        return Rate(np.full(self.fires.shape, 2.0), np.full(self.fires.shape, 2.0))


class ResonateAndFireBounds(NeuronBounds):
    """`ResonateAndFire` in the overflow proof."""

    events = {
        f"{part} clips {way}": Event(part, **{way: end})
        for part in ("real", "imag")
        for way, end in (("high", STATE_LIMIT - 1), ("low", 1 - STATE_LIMIT))
    }

    def bounds(self, node: ResonateAndFire, arriving: Arriving, steps: int | None) -> ResonatorBounds:
        """Narrowed in rounds where the population feeds itself."""
        arriving.assume(spikes(np.ones(node.size, np.bool_)))
        found = _population(node, arriving, steps)
        for _ in range(ROUNDS - 1 if arriving.feeds_itself else 0):
            arriving.assume(found.sent, found.rate)
            found = _population(node, arriving, steps)
        return found

    def raw(self, node: ResonateAndFire, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        """Both parts before their clip."""
        before = (later(states[part], 1) for part in ("real", "imag"))
        real, imag = node.turned(*before, *(a << node.state_exp for a in inputs))
        return {"real": real, "imag": imag}

    def leaks(self, node: ResonateAndFire) -> Sequence[int]:
        """Of the length of the state."""
        return (max(0, int((1 - _kept(node).max()) * (1 << DECAY_BITS))),)


RESONATE_AND_FIRE = ResonateAndFireBounds()


def _kept(node: ResonateAndFire) -> NDArray[np.float64]:
    """What a step leaves of the state's length, per neuron."""
    return np.hypot(flat(node.sin_decay, node), flat(node.cos_decay, node)) / (1 << node.decay_bits)


def _population(node: ResonateAndFire, arriving: Arriving, steps: int | None) -> ResonatorBounds:
    drives = [arriving.drive(port) for port in range(node.ports)]
    largest = [np.maximum(-drive.low, drive.high).astype(np.float64) * 2.0**node.state_exp for drive in drives]
    pushed = np.hypot(*(np.where(size >= INT32_LIMIT, INT32_LIMIT, size) for size in largest)) + TRUNCATED
    wraps = np.any([size >= INT32_LIMIT for size in largest], axis=0)
    reach = np.where(wraps, BEYOND, np.minimum(_reach(pushed, _kept(node), steps) * SLACK + 1, BEYOND)).astype(np.int64)
    return ResonatorBounds({part: Interval(-reach, reach) for part in ("real", "imag")}, reach >= flat(node.vth, node))


def _reach(pushed: NDArray[np.float64], kept: NDArray[np.float64], steps: int | None) -> NDArray[np.float64]:
    """The greatest length of the state, pushed by so much on every step."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        rest = np.where(kept < 1, pushed / np.maximum(1 - kept, 1e-300), np.inf)
        return rest if steps is None else np.minimum(rest, np.where(kept <= 1, pushed * steps, np.inf))
