"""A run that can go on: states carried from chunk to chunk, in blocks of samples on several threads."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.emulator.plan import ALIGNMENT, Plan, aligned, groups_of, make_plan
from snnfuse.hardware.backends.emulator.records import ADDRESSES, Kept, Lists, Part, Recorded, Scratch
from snnfuse.hardware.backends.emulator.turns import available_cores, in_turns, worth
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import check_events, integer_events, positive
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recorded import make_recording, recorded_nodes
from snnfuse.hardware.ir.recording import Recording

MEMORY = 1 << 30  # bytes
LONGEST = 256  # steps of a chunk: a sample's lists of events should stay in the cache
BLOCKS_PER_THREAD = 2  # threads that are done early take a second one
KEPT = 1 << 24  # bytes: larger workspaces are made anew

_plans: "WeakKeyDictionary[Program, dict[int, Plan]]" = WeakKeyDictionary()


def plan_of(program: Program, slices: int = 1) -> Plan:
    """The program's plan, made at its first use."""
    plans = _plans.setdefault(program, {})
    if slices not in plans:
        plans[slices] = make_plan(program, slices)
    return plans[slices]


@dataclass(frozen=True, eq=False)
class Outputs:
    """Arrays to record into, by population.

    Attributes:
        spikes: uint8 (time, batch, neurons) after one another.
        words: int32, likewise: states and graded spikes.
        places: by recorded population, where what it sends begins, and its states, one after another; -1 where these are not recorded.
        shape: time, batch.
    """

    spikes: NDArray[np.uint8]
    words: NDArray[np.int32]
    places: dict[str, tuple[int, int]]
    shape: tuple[int, int]


class Session:
    """A program that is fed piece by piece, and answers as if it had been fed at once.

    Args:
        program: what to run.
        batch: samples.
        record, states: as for `emulate`.
        threads: how many; None for one per core.
        memory: bytes of working memory, for states, lists of events and sums; recordings not counted.

    Raises:
        InputError: an unknown node, or settings that are not positive.
    """

    def __init__(
        self,
        program: Program,
        batch: int,
        record: str | Iterable[str] = "outputs",
        states: bool = False,
        *,
        threads: int | None = None,
        memory: int | None = None,
    ) -> None:
        self.program, self.batch = program, positive("batch", batch)
        self.threads = positive("threads", threads if threads is not None else available_cores())
        self.memory = positive("memory", memory if memory is not None else MEMORY)
        self.nodes, self.with_states = recorded_nodes(program, record, states)
        self._plan = plan_of(program, self.threads if self.batch < self.threads else 1)
        self._sizes = {name: math.prod(node.shape) for name, node in program.nodes.items()}
        kept = (aligned(batch * size, np.int32).reshape(batch, size) for size in (max(self._plan.states, 1), max(self._plan.earlier, 1)))
        self._kept = Kept(*kept)

    @property
    def longest_chunk(self) -> int:
        """Steps that one pass may take within the memory setting, at least one."""
        plan = self._plan
        fixed = sample_bytes(plan) * self.batch + self.threads * (6 * plan.sums + 8 * plan.inputs + 8 * plan.earlier)
        per_step = self.threads * (4 * plan.events * (2 if plan.graded else 1) + 8 * len(plan.tables.populations))
        return max(1, min(LONGEST, (self.memory - fixed) // max(per_step, 1) - 1))

    def advance(self, events: Mapping[str, NDArray]) -> Recording:
        """Feed the next steps, integers (time, batch, *shape) per input; returns what they brought about."""
        arrays = take_events(self.program, events)
        time, batch = next(iter(arrays.values())).shape[:2]
        if batch != self.batch:
            raise InputError(f"this session runs {self.batch} samples, the events hold {batch}")
        outputs = self.outputs(time)
        self.run(arrays, slice(0, batch), outputs)
        return self.recording(outputs, arrays)

    def outputs(self, time: int, batch: int | None = None) -> Outputs:
        """Arrays for so many steps; of another batch where several sessions fill one."""
        batch = self.batch if batch is None else batch
        places = {}
        spikes = words = 0
        for name in self.nodes:
            node, size = self.program.neurons[name], time * batch * self._sizes[name]
            if node.sends_numbers:
                sent, words = words, words + size
            else:
                sent, spikes = spikes, spikes + size
            kept = name in self.with_states
            places[name] = (sent, words if kept else -1)
            words += len(node.states) * size * kept
        return Outputs(np.zeros(spikes, np.uint8), np.zeros(words, np.int32), places, (time, batch))

    def run(
        self,
        arrays: Mapping[str, NDArray[np.int32]],
        samples: slice,
        outputs: Outputs,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Feed some samples of checked events, and record into the same samples of `outputs`."""
        time = outputs.shape[0]
        longest = self.longest_chunk
        for start in range(0, time, longest):
            steps = min(longest, time - start)
            self._chunk(arrays, samples.start or 0, outputs, start, steps)
            if progress is not None:
                progress(steps)

    def recording(self, outputs: Outputs, arrays: Mapping[str, NDArray[np.int32]]) -> Recording:
        """The recorded arrays by name."""
        spikes, kept = {}, {}
        for name in self.nodes:
            node = self.program.neurons[name]
            shape = (*outputs.shape, *node.shape)
            size, (sent, states) = math.prod(shape), outputs.places[name]
            pool = outputs.words if node.sends_numbers else outputs.spikes.view(np.bool_)
            spikes[name] = pool[sent : sent + size].reshape(shape)
            if name in self.with_states:
                places = range(states, states + len(node.states) * size, size)
                kept[name] = {x: outputs.words[at : at + size].reshape(shape) for x, at in zip(node.states, places)}
        return make_recording(self.program, spikes, kept, "emulator", arrays)

    def _chunk(self, arrays: Mapping[str, NDArray], first: int, outputs: Outputs, start: int, steps: int) -> None:
        from snnfuse.hardware.backends.emulator.entry_points import run  # imports LLVM

        plan = self._plan
        names = list(self.program.inputs)
        addresses = [arrays[name].ctypes.data + 4 * first * self._sizes[name] for name in names]
        inputs = np.array([(address, arrays[name].shape[1]) for address, name in zip(addresses, names)], np.int64)
        places = np.full((len(plan.tables.populations), 2), -1, np.int64)
        for name, found in outputs.places.items():
            places[list(plan.rows[name])] = [at + first * self._sizes[name] if at >= 0 else -1 for at in found]
        recorded = Recorded(outputs.spikes, outputs.words, places, *outputs.shape)

        def call(rows: range, samples: range, lists: Lists, scratch: Scratch) -> int:
            part = Part(rows.start, rows.stop, samples.start, samples.stop, start, steps)
            return run(plan.tables, inputs, part, self._kept, lists, recorded, scratch)

        sliced = len(plan.tables.populations) > len(plan.stages)
        if (self._by_slices if sliced else self._by_samples)(call, steps):
            check_events(self.program, arrays)
            raise AssertionError("the kernel found an input out of range that the check does not")

    def _by_samples(self, call: Callable[..., int], steps: int) -> bool:
        """Blocks of samples, each through all populations; whether any input was out of range."""
        threads = min(worth(self._plan.events * steps * self.batch, self.threads), self.batch)
        blocks = groups_of(self.batch, min(self.batch, threads * BLOCKS_PER_THREAD if threads > 1 else 1))
        everything = range(len(self._plan.tables.populations))

        def work(turns: Iterator[range]) -> bool:
            with self._borrowed(self.lists, steps) as lists, self._borrowed(self.scratch, steps) as scratch:
                return any(call(everything, samples, lists, scratch) for samples in turns)

        return in_turns(work, blocks, threads)

    def _by_slices(self, call: Callable[..., int], steps: int) -> bool:
        """All samples through one population after the other, whose slices run side by side."""
        with self._borrowed(self.lists, steps) as lists:

            def work(turns: Iterator[tuple[int, int]]) -> bool:
                with self._borrowed(self.scratch, steps) as scratch:
                    return any(call(range(row, row + 1), range(sample, sample + 1), lists, scratch) for row, sample in turns)

            for sample in range(self.batch):
                for first, last, neurons in self._plan.stages:
                    threads = min(worth(neurons * steps, self.threads), last - first)
                    if in_turns(work, [(row, sample) for row in range(first, last)], threads):
                        return True
        return False

    @contextmanager
    def _borrowed(self, make: Callable[[int], tuple], steps: int) -> Iterator[tuple]:
        """Working memory of one thread. A little is kept with the plan: fresh memory costs more than what a short run does in it."""
        idle = self._plan.idle.setdefault(make.__name__, [])
        try:
            made_for, arrays = idle.pop()
        except IndexError:
            made_for, arrays = None, ()
        if made_for != steps:
            arrays = make(steps)
        yield arrays
        if sum(array.nbytes for array in arrays) <= KEPT and len(idle) < self.threads:
            idle.append((steps, arrays))

    def lists(self, steps: int) -> Lists:
        """Room for the events of so many steps."""
        plan = self._plan
        size = steps * plan.events + plan.earlier + ALIGNMENT
        values = np.empty(size if plan.graded else 1, np.int32)
        return Lists(np.empty(size, np.int32), values, np.zeros((len(plan.tables.populations), plan.history + steps + 1), np.int64))

    def scratch(self, steps: int) -> Scratch:
        """Sums and inputs, of one step at a time."""
        sums, inputs = self._plan.sums + ALIGNMENT, self._plan.inputs + ALIGNMENT
        wide, received, sent = (aligned(size, np.int32) for size in (sums, inputs, inputs))
        return Scratch(aligned(sums, np.int16), wide, received, sent, np.zeros(1, ADDRESSES))


def take_events(program: Program, events: Mapping[str, NDArray]) -> dict[str, NDArray[np.int32]]:
    """Events as the kernel reads them: contiguous int32, not copied where they are; ranges of int32 are checked while they are read."""
    arrays = integer_events(program, events)
    if any(array.dtype != np.int32 for array in arrays.values()):
        arrays = check_events(program, arrays)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def sample_bytes(plan: Plan) -> int:
    """What is kept for a sample from chunk to chunk: states, and the last spikes."""
    return 4 * plan.states + 4 * plan.earlier
