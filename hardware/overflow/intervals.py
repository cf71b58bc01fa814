"""What every state of a program can become, over all inputs: intervals that hold, neuron by neuron.

Sources come before their targets: what each sends, and how often, bounds what arrives at the next. How a kind of neuron is bounded by
what arrives is its own (`bounds`, `lif`, `graded`).

Intervals are of the state before it wraps or clips, so one that leaves 24 bits says that the register may overflow. Beyond an
overflow the register may hold anything.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.kinds import NEURONS
from snnfuse.hardware.ir.nodes import Connection, Node
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.overflow.bounds import BEYOND, INT32_LIMIT, Interval, NeuronBounds, PopulationBounds
from snnfuse.hardware.overflow.rates import Rate, every_step
from snnfuse.hardware.overflow.weighted_sums import extreme_sums


def state_bounds(program: Program, steps: int | None = None) -> dict[str, PopulationBounds]:
    """Bounds of every neuron population of a program, over all events that it takes.

    Args:
        program: what may run.
        steps: the longest window; None for any length.
    """
    sent = {name: _source(node) for name, node in program.nodes.items() if name not in program.neurons}
    rates = {name: every_step(len(interval.low)) for name, interval in sent.items()}
    totals: dict[str, Interval] = {}
    bounds: dict[str, PopulationBounds] = {}
    for name, node in program.neurons.items():
        bounds[name] = bounds_form(node).bounds(node, _Arriving(program, name, sent, rates, totals), steps)
        sent[name], rates[name] = bounds[name].sent, bounds[name].rate
        if (total := getattr(bounds[name], "total", None)) is not None:
            totals[name] = total
    return bounds


def bounds_form(node: Node) -> NeuronBounds:
    """How a node's kind is bounded."""
    return NEURONS.of(node).form("bounds")


def sums_over_time(program: Program) -> bool:
    """Whether a population adds up, or sends numbers and feeds itself, so that only the length of the window bounds its states."""
    if any(node.adds_up for node in program.neurons.values()):
        return True
    return any(c.is_recurrent and program.nodes[c.target].sends_numbers for c in program.connections)


class _Arriving:
    """`bounds.Arriving` of one population, by what is known of its sources so far."""

    def __init__(
        self, program: Program, name: str, sent: Mapping[str, Interval], rates: Mapping[str, Rate], totals: Mapping[str, Interval]
    ) -> None:
        self._size, self._name, self._into = program.nodes[name].size, name, program.into(name)
        self._sent, self._rates, self._totals = dict(sent), dict(rates), totals
        self.feeds_itself = any(c.is_recurrent for c in self._into)

    def assume(self, sent: Interval, rate: Rate | None = None) -> None:
        self._sent[self._name], self._rates[self._name] = sent, rate or every_step(self._size)

    def drive(self, port: int = 0) -> Interval:
        low = high = np.zeros(self._size, np.int64)
        for connection in (c for c in self._into if c.port == port):
            part = _arrives(connection, self._sent[connection.source])
            low, high = low + part.low, high + part.high
        return Interval(low.clip(-BEYOND), high.clip(max=BEYOND))

    def total(self, steps: int | None) -> Interval:
        """By what each source can have sent in all, where its kind says so, else by as many steps as there are."""
        low = high = np.zeros(self._size, np.float64)
        for c in (c for c in self._into if c.port == 0):
            known = self._totals.get(c.source) if c.source != self._name else None
            sent, times = (known, 1.0) if known is not None else (self._sent[c.source], np.inf if steps is None else float(steps))
            smallest, largest = extreme_sums(c.synapse, sent.low.clip(max=0), sent.high.clip(0))
            rounded = (np.inf if steps is None else steps) if c.synapse.exponent < 0 else 0.0
            low = low + _scaled(smallest, times * 2.0**c.synapse.exponent) - rounded
            high = high + _scaled(largest, times * 2.0**c.synapse.exponent)
        return Interval(*(x.clip(-BEYOND, BEYOND).astype(np.int64) for x in (low, high)))

    def charged(self, kept: float, unit: int) -> Interval:
        """By how often each source can spike: sum of unit |w| over all spikes, each leaked by its age.

        Truncation towards zero only takes from a state of one sign, so the leak of real numbers bounds it; a negative exponent rounds
        a sum down by less than 1 in each step and group.
        """
        low = high = np.zeros(self._size)
        for c in (c for c in self._into if c.port == 0):
            weight, sent = self._rates[c.source].summed(kept), self._sent[c.source]
            smallest, largest = extreme_sums(c.synapse, sent.low.clip(max=0) * weight, sent.high.clip(0) * weight)
            rounded = every_step(1).summed(kept) if c.synapse.exponent < 0 else 0.0
            low, high = low + smallest * 2.0**c.synapse.exponent - rounded, high + largest * 2.0**c.synapse.exponent
        slack = 1 + 1e-9 * np.maximum(-low, high)  # floats round
        return Interval(*((x * unit).clip(-BEYOND, BEYOND).astype(np.int64) for x in (low - slack, high + slack)))


def _scaled(sums: NDArray, factor: float) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # nothing, however often, is nothing
        return np.where(sums == 0, 0.0, np.asarray(sums, np.float64) * factor)


def _arrives(connection: Connection, sent: Interval) -> Interval:
    """Through one synapse group. Where its sum may leave 32 bits, which Lava's int32 would wrap, it may be anything."""
    if connection.is_recurrent or connection.lag:  # nothing was sent before the first step
        sent = Interval(sent.low.clip(max=0), sent.high.clip(0))
    low, high = extreme_sums(connection.synapse, sent.low, sent.high)
    wide = (low < -INT32_LIMIT) | (high >= INT32_LIMIT)
    exponent = connection.synapse.exponent
    shift, amount = (np.left_shift, exponent) if exponent >= 0 else (np.right_shift, -exponent)
    return Interval(np.where(wide, -BEYOND, shift(low, amount)), np.where(wide, BEYOND, shift(high, amount)))


def _source(node: Node) -> Interval:
    """What an input or a constant sends."""
    ones = np.ones(node.size, np.int64)
    return Interval(*(payload * ones for payload in node.payloads))
