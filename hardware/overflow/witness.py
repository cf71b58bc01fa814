"""A search for inputs that overflow one neuron: what a bound says may happen, shown to happen.

Where only inputs feed a neuron, the input that drives it hardest is the sign of its weights, held until its state has settled.
Through hidden populations the weights of a path say what an input does on the average; from there a local search changes single
inputs over stretches of time, runs the program, and keeps what brings the state further. What is found is a run of the program that
does it, so a witness cannot be wrong; that none is found proves nothing.
"""

import time as clock
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.ir.fixed_point import DECAY_BITS
from snnfuse.hardware.ir.nodes import Input, Output
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.overflow.intervals import bounds_form
from snnfuse.hardware.overflow.raw_states import excess

CANDIDATES = 24  # input sequences run side by side
ROUNDS = 30
PIECES = 6  # different inputs in a sequence
HELD = (1, 1, 2, 3, 5, 8)  # steps that each is held for, in turns, in a sequence that repeats
CHANGED = 0.15  # of the inputs, in a mutation
SETTLED = 9  # time constants, after which e**-9 of the way to rest is left
SHORTEST, LONGEST = 128, 65536  # steps that an input is held for; slower neurons are not waited for
VALUES = 1 << 24  # neurons times steps that one run of held inputs may take
QUICK = 1 << 28  # synapses and neurons times steps of a run where time is limited
VARIED = 1024  # steps of a sequence that is varied


@dataclass(frozen=True, eq=False)
class Witness:
    """Events (time, 1, *shape) per input that overflow a neuron, and the step (from 0) at which they first do."""

    events: Mapping[str, NDArray[np.int32]]
    time: int


def find_witness(
    program: Program,
    name: str,
    neuron: int,
    event: str,
    steps: int | None = None,
    seed: int = 0,
    rounds: int = ROUNDS,
    deadline: float | None = None,
) -> Witness | None:
    """Inputs that make an event of its kind happen to a neuron, or None if none was found.

    Args:
        program: what runs.
        name, neuron: a population, and the index of one of its neurons in C order.
        steps: the longest window; None for any length.
        seed: of the search.
        rounds: of local search, at most; 0 for inputs that are held alone.
        deadline: of `time.process_time`, after which no run is started; a first run that is too large to end soon is then not made either.
    """
    cone = upstream(program, name)
    if not cone.inputs:
        return None
    scores = [_scores(cone, name, neuron, sign) for sign in bounds_form(program.neurons[name]).events[event].signs]
    time = min(max(_settling(cone), SHORTEST), _longest(cone), steps or LONGEST)
    if deadline is not None:
        time = min(time, _affordable(cone))
        if not time:
            return None
    held = [{n: np.broadcast_to(array[0], (time, array.shape[1])) for n, array in each.items()} for each in _held(cone, scores)]
    found = _try(cone, name, neuron, event, held)[1]
    return found or _search(cone, name, neuron, event, scores, min(time, VARIED), np.random.default_rng(seed), rounds, deadline)


def upstream(program: Program, name: str) -> Program:
    """The part of a program that a population depends on."""
    needed, waiting = set(), [name]
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += [c.source for c in program.into(node)]
    nodes = {n: node for n, node in program.nodes.items() if n in needed}
    outputs = {name: Output(name, "membrane_last")} if program.neurons[name].membrane else {}  # so that runs keep its states, alone
    kept = tuple(c for c in program.connections if c.target in needed)
    return replace(program, nodes=nodes, connections=kept, outputs=outputs, decision=None)


def _longest(program: Program) -> int:
    return int(np.clip(VALUES // sum(int(np.prod(node.shape)) for node in program.nodes.values()), SHORTEST, LONGEST))


def _affordable(program: Program) -> int:
    """Steps that a run may have where time is limited: about a second's work; 0 where not even the shortest has them."""
    work = sum(c.synapse.count for c in program.connections) + sum(int(np.prod(n.shape)) for n in program.nodes.values())
    steps = QUICK // work
    return steps if steps >= len(program.nodes) + 8 else 0


def _settling(program: Program) -> int:
    """Steps until every state of a program has settled; without a leak it never does."""
    slowest = min((leak for node in program.neurons.values() for leak in bounds_form(node).leaks(node)), default=1)
    return SETTLED * -(-(1 << DECAY_BITS) // slowest) + len(program.nodes) if slowest else LONGEST


def _scores(program: Program, name: str, neuron: int, sign: int) -> dict[str, NDArray[np.float64]]:
    """By input, what each of its elements does to the neuron on the average: weights multiplied along every path."""
    scores = {n: np.zeros(int(np.prod(node.shape))) for n, node in program.nodes.items()}
    scores[name][neuron] = sign
    for node in reversed(program.order):
        for c in program.into(node):
            if not c.is_recurrent:
                back = c.synapse.transposed_times(scores[node]) * 2.0**c.synapse.exponent
                scores[c.source] += back / max(np.abs(back).max(initial=0), 1e-300) if c.source in program.neurons else back
    return {n: scores[n] for n in program.inputs}


def _strongest(node: Input, scores: NDArray[np.float64]) -> NDArray[np.int32]:
    """The input's values that raise the score most."""
    low, high = node.payloads
    return np.select([scores > 0, scores < 0], [high, low]).astype(np.int32)


Sequence = Mapping[str, NDArray[np.int32]]


def _try(program: Program, name: str, neuron: int, event: str, sequences: Collection[Sequence]) -> tuple[NDArray[np.int64], Witness | None]:
    """How far each sequence, by input (time, inputs), brings the state, and the first that overflows, up to where it does."""
    events = {n: np.stack([s[n] for s in sequences], axis=1).reshape(-1, len(sequences), *node.shape) for n, node in program.inputs.items()}
    for n in (n for n, node in program.inputs.items() if node.is_written):
        events[n] = np.repeat(events[n][:1], len(events[n]), 0)  # a host writes once per sample
    recording = emulate(program, events, "all", states=not program.outputs and bool(program.neurons[name].states))
    far = excess(program, recording, name, neuron, event)
    best = int(far.max(0).argmax())
    if far[:, best].max() <= 0:
        return far.max(0), None
    time = int((far[:, best] > 0).argmax())
    return far.max(0), Witness({n: array[: time + 1, best : best + 1] for n, array in events.items()}, time)


def _search(
    program: Program,
    name: str,
    neuron: int,
    event: str,
    scores: list[dict[str, NDArray]],
    time: int,
    rng: np.random.Generator,
    rounds: int,
    deadline: float | None,
) -> Witness | None:
    """Evolution of input sequences; the better half lives on and is varied."""
    pieces = [
        *_held(program, scores),
        *(_mutated(program, _strongest_pieces(program, scores[i % len(scores)]), rng, i / CANDIDATES) for i in range(CANDIDATES)),
    ][:CANDIDATES]
    orders = [_order(time, rng) for _ in pieces]
    for _ in range(rounds):
        if deadline is not None and clock.process_time() > deadline:
            return None
        far, found = _try(program, name, neuron, event, [{n: p[n][o] for n in p} for p, o in zip(pieces, orders)])
        if found:
            return found
        best = np.argsort(-far, kind="stable")[: CANDIDATES // 2]
        pieces = [pieces[i] for i in best] + [_mutated(program, pieces[i], rng) for i in best]
        orders = [orders[i] for i in best] + [orders[i] if rng.random() < 0.7 else _order(time, rng) for i in best]
    return None


def _order(time: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which piece stands at each step: a few stretches over all time, or a short pattern that repeats."""
    if rng.random() < 0.5:
        return np.sort(rng.integers(0, min(PIECES, time), time))
    return np.arange(time) // rng.choice(HELD) % rng.integers(1, PIECES + 1)


def _held(program: Program, scores: list[dict[str, NDArray]]) -> list[dict[str, NDArray[np.int32]]]:
    """Inputs that stay as they are: the strongest, none, and all."""
    silent = {n: np.zeros((PIECES, int(np.prod(node.shape))), np.int32) for n, node in program.inputs.items()}
    full = {n: silent[n] + node.limit for n, node in program.inputs.items()}
    return [*(_strongest_pieces(program, each) for each in scores), silent, full]


def _strongest_pieces(program: Program, scores: Mapping[str, NDArray]) -> dict[str, NDArray[np.int32]]:
    return {n: np.repeat(_strongest(node, scores[n])[None], PIECES, 0) for n, node in program.inputs.items()}


def _mutated(program: Program, pieces: Sequence, rng: np.random.Generator, share: float = CHANGED) -> dict[str, NDArray[np.int32]]:
    """A copy with some values redrawn, of all stretches or of one."""
    changed = {}
    for name, array in pieces.items():
        redrawn = rng.random(array.shape) < share * rng.random()
        if rng.random() < 0.5:
            redrawn &= (np.arange(len(array)) == rng.integers(len(array)))[:, None]
        changed[name] = np.where(redrawn, _drawn(program.inputs[name], array.shape, rng), array).astype(np.int32)
    return changed


def _drawn(node: Input, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int64]:
    """The largest payload of either sign that it has, or none."""
    return node.limit * rng.integers(-1 if node.payloads[0] else 0, 2, shape)
