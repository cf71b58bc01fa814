"""The scale K at which a layer was rounded, from its own numbers: every weight says in which interval K lies.

A weight w that became n steps of size s says that K is in ((n - 1/2) s / w, (n + 1/2) s / w). Where most intervals meet is K, however
wrong a few weights are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import NEVER
from snnfuse.hardware.ir.nodes import Neuron

VOTERS = 20_000  # weights asked: more tell no more
AGREE = 0.9  # share of the best support at which another K is as good
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Votes:
    """What the weights of one projection say of K.

    Attributes:
        low, high: ends of each weight's interval, > 0.
        scale: where most of them meet.
        support: share of the weights whose interval holds it.
    """

    low: Array
    high: Array
    scale: float
    support: float

    def agrees(self, scale: float) -> bool:
        """Whether as many weights, but a few, say that K is this."""
        held = float(((self.low <= scale * (1 + 1e-9)) & (scale * (1 - 1e-9) <= self.high)).mean())
        return held >= AGREE * self.support


def weight_votes(wanted: Array, held: Array, step: Array | float) -> Votes | None:
    """Votes of weights.

    Args:
        wanted: float weights, in the units of the layer.
        held: what their groups hold together, integers times 2**exponent.
        step: of the finest group that holds each.

    Returns:
        None where no weight tells.
    """
    w, n, s = np.broadcast_arrays(wanted.ravel(), held.ravel(), np.asarray(step, np.float64).ravel() if np.ndim(step) else step)
    telling = np.flatnonzero((w != 0) & (n != 0) & (np.sign(w) == np.sign(n)))
    if not telling.size:
        return None
    if telling.size > VOTERS:
        telling = telling[np.linspace(0, telling.size - 1, VOTERS).astype(int)]
    w, n, s = np.abs(w[telling]), np.abs(n[telling]), s[telling]
    low, high = np.maximum(n - s / 2, 0) / w, (n + s / 2) / w
    ends = np.concatenate([low, high])
    order = np.lexsort((np.r_[np.zeros(len(low)), np.ones(len(high))], ends))  # what begins before what ends
    count = np.cumsum(np.where(order < len(low), 1, -1))
    best = int(count.argmax())
    meet = (ends[order][best], ends[order][min(best + 1, len(ends) - 1)])
    return Votes(low, high, float(sum(meet) / 2), float(count[best] / len(low)))


def threshold_scale(node: Neuron, theta: Array) -> Array | None:
    """K by neuron, from integer thresholds; None for neurons that never fire or have none."""
    vth = getattr(node, "vth", None)
    if vth is None or not np.isfinite(theta).all():
        return None
    integers = np.broadcast_to(np.asarray(vth, np.float64), theta.shape)
    return None if (integers >= NEVER).all() else integers / theta
