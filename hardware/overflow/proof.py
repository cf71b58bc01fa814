"""Can a state of this program overflow? For every population and every way to: impossible, witnessed, or undecided."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.overflow.intervals import StateBounds, state_bounds
from snnfuse.hardware.overflow.raw_states import EVENTS
from snnfuse.hardware.overflow.witness import Witness, find_witness
from snnfuse.hardware.program import Program

TRIED = 3  # neurons per population and event, those with the widest bounds


@dataclass(frozen=True, eq=False)
class Verdict:
    """One way in which a population's states may leave their registers.

    Attributes:
        node: the population.
        event: "u wraps", "v clips high" or "v clips low".
        neurons: of the population, those for which the bounds do not exclude it; 0 proves that it cannot happen.
        interval: the widest that the state can span, before wrap or clip, over all neurons and inputs.
        neuron: index of a neuron that does it, or that may.
        witness: inputs that make it happen to that neuron.
    """

    node: str
    event: str
    neurons: int
    interval: tuple[int, int]
    neuron: int | None = None
    witness: Witness | None = None

    @property
    def status(self) -> str:
        """"impossible", "witnessed" or "undecided"."""
        return "impossible" if not self.neurons else "witnessed" if self.witness else "undecided"

    def __str__(self) -> str:
        low, high = self.interval
        state = f"{self.event[0]} of {self.node!r} lies in {low}..{high}"
        if not self.neurons:
            return f"{self.node!r}: {self.event} never: {state}"
        shown = f"neuron {self.neuron} after {self.witness.time + 1} steps of an input found" if self.witness else "undecided"
        return f"{self.node!r}: {self.event}: {shown}; {self.neurons} neurons may, {state}"


def prove(program: Program, steps: int | None = None, search: bool = True, seed: int = 0) -> tuple[Verdict, ...]:
    """Every verdict on a program.

    Args:
        program: what may run.
        steps: the longest window; None for any length.
        search: whether to look for witnesses; without, what is not impossible stays undecided.
        seed: of that search.
    """
    bounds = state_bounds(program, steps)
    return tuple(_verdict(program, name, event, bounds[name], steps, search, seed) for name in bounds for event in EVENTS)


def _verdict(
    program: Program, name: str, event: str, bounds: StateBounds, steps: int | None, search: bool, seed: int
) -> Verdict:
    possible, beyond = _possible(event, bounds)
    state = bounds.u if event == "u wraps" else bounds.v
    interval = int(state.low.min()), int(state.high.max())
    count = int(possible.sum())
    if not count:
        return Verdict(name, event, 0, interval)
    widest = np.argsort(-beyond, kind="stable")[: min(TRIED, count)].tolist()
    for neuron in widest if search else ():
        witness = find_witness(program, name, neuron, event, steps, seed)
        if witness:
            return Verdict(name, event, count, interval, neuron, witness)
    return Verdict(name, event, count, interval, widest[0])


def _possible(event: str, bounds: StateBounds) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Neurons that it may happen to, and how wide the bound is."""
    if event == "u wraps":
        return bounds.wraps, np.maximum(bounds.u.high, -bounds.u.low)
    return (bounds.clips_high, bounds.v.high) if event == "v clips high" else (bounds.clips_low, -bounds.v.low)


def counts(verdicts: tuple[Verdict, ...]) -> Mapping[str, int]:
    """How many verdicts are impossible, witnessed, undecided."""
    return {status: sum(v.status == status for v in verdicts) for status in ("impossible", "witnessed", "undecided")}
