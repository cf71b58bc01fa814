"""What bounds of a neuron population are, and what a neuron kind brings for them: the form that a `NeuronKind` names under `bounds`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import to_int32
from snnfuse.hardware.overflow.rates import Rate

BEYOND = 1 << 40  # stands for every magnitude from here on: no register is as wide
INT32_LIMIT = 1 << 31
Bound = NDArray[np.int64]
States = Mapping[str, NDArray[np.int32]]


class Interval(NamedTuple):
    """Smallest and largest value per neuron, int64 (neurons,), both possible as far as is known."""

    low: Bound
    high: Bound


@dataclass(frozen=True)
class Event:
    """One way to leave a register.

    Attributes:
        value: which of a kind's values leaves it: a state, or "payload".
        low, high: the register's ends; None for one that this event is not about.
    """

    value: str
    low: int | None = None
    high: int | None = None

    @property
    def signs(self) -> tuple[int, ...]:
        """1 for the upper end, -1 for the lower one."""
        return tuple(sign for sign, end in ((1, self.high), (-1, self.low)) if end is not None)

    def excess(self, raw: NDArray[np.int64]) -> NDArray[np.int64]:
        """How far values lie beyond the register; above 0 the event happens."""
        sides = [raw - self.high] if self.high is not None else []
        return np.maximum.reduce(sides + ([self.low - raw] if self.low is not None else []))

    def possible(self, interval: Interval) -> NDArray[np.bool_]:
        """The neurons to which it may happen."""
        return (self.excess(interval.low) > 0) | (self.excess(interval.high) > 0)

    def farthest(self, interval: Interval) -> Bound:
        """How far each neuron's value reaches on the event's side."""
        return np.maximum.reduce([interval.high if sign > 0 else -interval.low for sign in self.signs])


@dataclass(frozen=True)
class Peaks:
    """The states of one population over a run.

    Attributes:
        current: largest magnitude before any wrap or clip, of the state that may wrap (u of a Lif), else of all; the limit is 2**23.
        wraps: values that wrapped.
        clipped_high, clipped_low: values that stood at the upper and lower end of their range.
    """

    current: int
    wraps: int
    clipped_high: int
    clipped_low: int


class PopulationBounds(Protocol):
    """Bounds of one population over all inputs.

    Attributes:
        intervals: of every value that an event is about, before wrap and clip.
        sent: of what it sends.
        rate: how often it sends.
    """

    @property
    def intervals(self) -> Mapping[str, Interval]: ...
    @property
    def sent(self) -> Interval: ...
    @property
    def rate(self) -> Rate: ...


class Arriving(Protocol):
    """What can arrive at one population, by what is known of its sources.

    Attributes:
        feeds_itself: whether it is a source of its own, so that `assume` matters.
    """

    feeds_itself: bool

    def drive(self, port: int = 0) -> Interval:
        """The sum at a port in one step."""
        ...

    def charged(self, kept: float, unit: int) -> Interval:
        """The sum at port 0 over all steps, `unit` times, each step multiplied by kept**age: what a leaky state of real numbers holds."""
        ...

    def total(self, steps: int | None) -> Interval:
        """All that has arrived at port 0 by any of `steps` steps (None: of any), added up."""
        ...

    def assume(self, sent: Interval, rate: Rate | None = None) -> None:
        """Say what the population itself sends, on every step or at a rate."""
        ...


class NeuronBounds(ABC):
    """A neuron kind's part in the overflow proof.

    Attributes:
        events: the ways in which its values may leave their registers, by name; a name begins with the value.
    """

    events: ClassVar[Mapping[str, Event]]

    @abstractmethod
    def bounds(self, node: Any, arriving: Arriving, steps: int | None) -> PopulationBounds:
        """Bounds over all inputs, in windows of at most `steps` (None: any length)."""

    @abstractmethod
    def raw(self, node: Any, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        """Every value of `events` before wrap and clip in a run.

        Args:
            node: the population.
            inputs: exact sums that arrive, (time, batch, *shape) per port.
            states: as recorded, of the same shape.
        """

    def peaks(self, node: Any, inputs: Sequence[NDArray[np.int64]], states: States) -> Peaks:
        """What a run did to the states; arguments as for `raw`."""
        raw = self.raw(node, inputs, states)
        counts = {sign: 0 for sign in (1, -1)}
        for event in self.events.values():
            for sign, end in ((1, event.high), (-1, event.low)):
                counts[sign] += 0 if end is None else int((sign * raw[event.value] > sign * end).sum())
        return Peaks(max(int(np.abs(values).max()) for values in raw.values()), 0, counts[1], counts[-1])

    def wraps(self, node: Any, inputs: Sequence[NDArray[np.int64]]) -> int:
        """Values of 32 bits that wrapped in a run, of a node that sends numbers: by default the sums at its ports."""
        return sum(int((a != to_int32(a)).sum()) for a in inputs)

    def is_harmless(self, node: Any, event: str) -> bool:
        """Whether an event changes no spike and no later state."""
        return False

    def leaks(self, node: Any) -> Sequence[int]:
        """What each state loses per step in its slowest neuron, in 4096ths."""
        return ()


def flat(value: Any, node: Any) -> Bound:
    """A parameter per neuron, int64 (neurons,)."""
    return np.broadcast_to(value, node.shape).astype(np.int64).ravel()


def spikes(fires: NDArray[np.bool_]) -> Interval:
    """What a population sends whose neurons can fire or not."""
    return Interval(np.zeros(fires.shape, np.int64), fires.astype(np.int64))
