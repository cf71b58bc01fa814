"""Can a state of this program overflow? For every population and every way to: impossible, witnessed, or undecided."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.overflow.bounds import PopulationBounds
from snnfuse.hardware.overflow.intervals import bounds_form, state_bounds
from snnfuse.hardware.overflow.witness import ROUNDS, Witness, find_witness

TRIED = 3  # neurons per population and event, those with the widest bounds
# Rounds of local search, and for how many of these: held inputs alone find most, and a limit of time must not be spent on the first.
PASSES = ((0, TRIED), (5, 1), (ROUNDS, TRIED))


@dataclass(frozen=True, eq=False)
class Verdict:
    """One way in which a population's states may leave their registers.

    Attributes:
        node: the population.
        event: of its kind's `events`: "u wraps", "v clips high" or "v clips low" of a Lif, "payload leaves its message" of a graded
            neuron.
        neurons: of the population, those for which the bounds do not exclude it; 0 proves that it cannot happen.
        interval: the widest that the state can span, before wrap or clip, over all neurons and inputs.
        neuron: index of a neuron that does it, or that may.
        witness: inputs that make it happen to that neuron.
        harmless: whether it changes no spike and no later state: a voltage clipped at the top that still exceeds its threshold, and
            is then reset to zero.
    """

    node: str
    event: str
    neurons: int
    interval: tuple[int, int]
    neuron: int | None = None
    witness: Witness | None = None
    harmless: bool = False

    @property
    def status(self) -> str:
        """ "impossible", "witnessed" or "undecided"."""
        return "impossible" if not self.neurons else "witnessed" if self.witness else "undecided"

    def __str__(self) -> str:
        low, high = self.interval
        state = f"{self.event.split()[0]} lies in {low}..{high}"
        if not self.neurons:
            return f"{self.node!r}: {self.event} never: {state}"
        shown = f"neuron {self.neuron} after {self.witness.time + 1} steps of an input found" if self.witness else "undecided"
        effect = ", without effect" if self.harmless else ""
        return f"{self.node!r}: {self.event}{effect}: {shown}; {self.neurons} neurons may, {state}"


def prove(
    program: Program, steps: int | None = None, search: bool = True, seed: int = 0, seconds: float | None = None
) -> tuple[Verdict, ...]:
    """Every verdict on a program.

    Args:
        program: what may run.
        steps: the longest window; None for any length.
        search: whether to look for witnesses; without, what is not impossible stays undecided.
        seed: of that search.
        seconds: of processor time, after which no search is started or goes on, and what is still open stays undecided; None for no such
            end. Bounds, and with them every "impossible", are not cut short.
    """
    deadline = None if seconds is None else time.process_time() + seconds
    found = state_bounds(program, steps)
    verdicts = [_bounded(program, name, event, found[name]) for name in found for event in bounds_form(program.neurons[name]).events]
    for rounds, tried in PASSES if search else ():
        for i, verdict in sorted(enumerate(verdicts), key=lambda each: each[1].harmless):
            if verdict.status == "undecided":
                verdicts[i] = _searched(program, verdict, found[verdict.node], steps, seed, rounds, tried, deadline)
    return tuple(verdicts)


def _bounded(program: Program, name: str, event: str, bounds: PopulationBounds) -> Verdict:
    """The verdict of the bounds alone."""
    form = bounds_form(program.neurons[name])
    state = bounds.intervals[form.events[event].value]
    interval, count = (int(state.low.min()), int(state.high.max())), int(form.events[event].possible(state).sum())
    if not count:
        return Verdict(name, event, 0, interval)
    return Verdict(
        name, event, count, interval, _widest(program, name, event, bounds)[0], None, form.is_harmless(program.neurons[name], event)
    )


def _widest(program: Program, name: str, event: str, bounds: PopulationBounds) -> list[int]:
    """The neurons that reach farthest, all of which may overflow."""
    way = bounds_form(program.neurons[name]).events[event]
    state = bounds.intervals[way.value]
    return np.argsort(-way.farthest(state), kind="stable")[: min(TRIED, int(way.possible(state).sum()))].tolist()


def _searched(
    program: Program,
    verdict: Verdict,
    bounds: PopulationBounds,
    steps: int | None,
    seed: int,
    rounds: int,
    tried: int,
    deadline: float | None,
) -> Verdict:
    """The same, with a witness where one is found for some of the widest neurons."""
    for neuron in _widest(program, verdict.node, verdict.event, bounds)[:tried]:
        if deadline is not None and time.process_time() > deadline:
            break
        witness = find_witness(program, verdict.node, neuron, verdict.event, steps, seed, rounds, deadline)
        if witness:
            return replace(verdict, neuron=neuron, witness=witness)
    return verdict


def counts(verdicts: tuple[Verdict, ...]) -> Mapping[str, int]:
    """How many verdicts are impossible, witnessed, undecided."""
    return {status: sum(v.status == status for v in verdicts) for status in ("impossible", "witnessed", "undecided")}
