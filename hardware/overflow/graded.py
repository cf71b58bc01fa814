"""Bounds of the neurons that send numbers and have no state: the payload of products, relays and maxima is bounded by the ends of their
inputs' intervals, that of an inverse root by its gain. A relay that feeds itself adds up, without bound unless the steps are counted.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import STATE_LIMIT, to_int32
from snnfuse.hardware.ir.graded import Product, Relay
from snnfuse.hardware.ir.inverse_root import InverseRoot, inverse_root
from snnfuse.hardware.ir.maximum import Maximum
from snnfuse.hardware.overflow.bounds import BEYOND, INT32_LIMIT, Arriving, Bound, Event, Interval, NeuronBounds, States
from snnfuse.hardware.overflow.rates import Rate, every_step

COUNTED = 4096  # steps over which a relay that feeds itself is followed
MESSAGE = Event("payload", 1 - STATE_LIMIT, STATE_LIMIT - 1)


@dataclass(frozen=True, eq=False)
class PayloadBounds:
    """One population of graded neurons over all inputs.

    Attributes:
        payload: before its 32-bit wrap.
    """

    payload: Interval

    @property
    def leaves_message(self) -> NDArray[np.bool_]:
        """Neurons whose graded spike may need more than the 24 bits of a message."""
        return MESSAGE.possible(self.payload)

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """Of the payload."""
        return {"payload": self.payload}

    @property
    def sent(self) -> Interval:
        """32 bits, any of them where the payload may wrap."""
        return _message(self.payload)

    @property
    def rate(self) -> Rate:
        """A message on every step."""
        return every_step(len(self.payload.low))


class GradedBounds(NeuronBounds):
    """A neuron without a state in the overflow proof."""

    events = {"payload leaves its message": MESSAGE}

    @abstractmethod
    def payload(self, node: Any, inputs: Sequence[Interval]) -> Interval:
        """What is computed in one step of inputs in these intervals, one per port."""

    def bounds(self, node: Any, arriving: Arriving, steps: int | None) -> PayloadBounds:
        """Fed by itself, from nothing upwards until it settles or the steps are over."""
        found = Interval(*np.zeros((2, node.size), np.int64))
        arriving.assume(found)
        payload = self._once(node, arriving)
        if not arriving.feeds_itself:
            return PayloadBounds(payload)
        for _ in range(min(steps or COUNTED, COUNTED)):
            payload = self._once(node, arriving)
            wider = Interval(np.minimum(found.low, payload.low), np.maximum(found.high, payload.high))
            if all((a == b).all() for a, b in zip(wider, found)):
                return PayloadBounds(payload)
            found = wider
            arriving.assume(_message(wider))
        ones = np.ones_like(found.low)
        return PayloadBounds(found if steps and steps <= COUNTED else Interval(-BEYOND * ones, BEYOND * ones))

    def _once(self, node: Any, arriving: Arriving) -> Interval:
        return self.payload(node, [arriving.drive(port) for port in range(node.ports)])


class ProductBounds(GradedBounds):
    """`Product` in the overflow proof."""

    def payload(self, node: Product, inputs: Sequence[Interval]) -> Interval:
        """Between the corners; where it is wrapped before its shift, any number."""
        corners = [x * y for x in map(_register, inputs[0]) for y in map(_register, inputs[1])]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        wide = (low < -INT32_LIMIT) | (high >= INT32_LIMIT)
        return Interval(np.where(wide, -BEYOND, low >> node.exponent), np.where(wide, BEYOND, high >> node.exponent))

    def raw(self, node: Product, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        """Shifted, without a wrap."""
        return {"payload": self._product(inputs) >> node.exponent}

    def wraps(self, node: Product, inputs: Sequence[NDArray[np.int64]]) -> int:
        """Of sums and of the product."""
        return super().wraps(node, [*inputs, self._product(inputs)])

    def _product(self, inputs: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        return to_int32(inputs[0]).astype(np.int64) * to_int32(inputs[1])


class RelayBounds(GradedBounds):
    """`Relay` in the overflow proof."""

    def payload(self, node: Relay, inputs: Sequence[Interval]) -> Interval:
        """What arrives."""
        return inputs[0]

    def raw(self, node: Relay, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        """What arrives."""
        return {"payload": inputs[0]}


class MaximumBounds(GradedBounds):
    """`Maximum` in the overflow proof."""

    def payload(self, node: Maximum, inputs: Sequence[Interval]) -> Interval:
        """The largest of the lowest, and of the highest, that the ports can get; anything where a port's sum may wrap."""
        low, high = (np.maximum.reduce([getattr(each, end) for each in inputs]) for end in ("low", "high"))
        wide = np.logical_or.reduce([(each.low < -INT32_LIMIT) | (each.high >= INT32_LIMIT) for each in inputs])
        return Interval(np.where(wide, -BEYOND, low), np.where(wide, BEYOND, high))

    def raw(self, node: Maximum, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        """The largest of what arrives."""
        return {"payload": np.maximum.reduce(list(inputs))}


class InverseRootBounds(GradedBounds):
    """`InverseRoot` in the overflow proof."""

    def payload(self, node: InverseRoot, inputs: Sequence[Interval]) -> Interval:
        """0 up to the gain."""
        may_be_positive = (inputs[0].high > 0) | (inputs[0].low < -INT32_LIMIT)  # what wraps may be anything
        return Interval(np.zeros_like(inputs[0].low), np.where(may_be_positive, node.gain, 0))

    def raw(self, node: InverseRoot, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        """The root."""
        return {"payload": inverse_root(node, to_int32(inputs[0])).astype(np.int64)}


PRODUCT, RELAY, MAXIMUM, INVERSE_ROOT = ProductBounds(), RelayBounds(), MaximumBounds(), InverseRootBounds()


def _register(x: Bound) -> Bound:
    """Within one more than 32 bits hold: 64 bits hold a product then, and a factor that may wrap still leaves 32 bits times 1 or -1."""
    return x.clip(-INT32_LIMIT - 1, INT32_LIMIT + 1)


def _message(payload: Interval) -> Interval:
    wide = (payload.low < -INT32_LIMIT) | (payload.high >= INT32_LIMIT)
    return Interval(np.where(wide, -INT32_LIMIT, payload.low), np.where(wide, INT32_LIMIT, payload.high))
