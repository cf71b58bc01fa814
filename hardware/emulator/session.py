"""A run that can go on: states carried from chunk to chunk, in blocks of samples on several threads."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.emulator.plan import ALIGNMENT, Plan, aligned, groups_of, make_plan
from snnfuse.hardware.encoding import check_events, integer_events, positive
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.program import Program, sends_numbers
from snnfuse.hardware.recording import Recording
from snnfuse.hardware.reference import make_recording, recorded_nodes

MEMORY = 1 << 30  # bytes
LONGEST = 256  # steps of a chunk: a sample's lists of events should stay in the cache
BLOCKS_PER_THREAD = 2  # threads that are done early take a second one

_plans: "WeakKeyDictionary[Program, dict[int, Plan]]" = WeakKeyDictionary()


def plan_of(program: Program, slices: int = 1) -> Plan:
    """The program's plan, made at its first use."""
    plans = _plans.setdefault(program, {})
    if slices not in plans:
        plans[slices] = make_plan(program, slices)
    return plans[slices]


@cache
def kernel():
    """The compiled kernel, compiled or loaded from the cache on its first call."""
    from snnfuse.hardware.emulator.compilation import ready_kernel

    return ready_kernel()


@dataclass(frozen=True, eq=False)
class Outputs:
    """Arrays to record into, by population.

    Attributes:
        spikes: uint8 (time, batch, neurons) after one another.
        states: int32, likewise: currents, voltages and graded spikes.
        places: int64 (populations, 3): where spikes, u and v of each row of the plan begin, -1 where not recorded.
        shape: time, batch.
    """

    spikes: NDArray[np.uint8]
    states: NDArray[np.int32]
    places: NDArray[np.int64]
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
        states_size = max(self._plan.states, 1)
        self._u, self._v = (aligned(batch * states_size, np.int32).reshape(batch, states_size) for _ in range(2))
        self._carried = np.zeros((batch, max(self._plan.earlier, 1)), np.int32)

    @property
    def longest_chunk(self) -> int:
        """Steps that one pass may take within the memory setting, at least one."""
        plan = self._plan
        fixed = sample_bytes(plan) * self.batch + self.threads * (6 * plan.sums + 8 * plan.widest + 8 * plan.earlier)
        per_step = self.threads * (4 * plan.events * (2 if plan.graded else 1) + 8 * len(plan.pools[0]))
        return int(np.clip((self.memory - fixed) // max(per_step, 1) - 1, 1, LONGEST))

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
        places = np.full((len(self._plan.pools[0]), 3), -1, np.int64)
        spikes = states = 0
        for name in self.nodes:
            rows, size = list(self._plan.rows[name]), time * batch * int(np.prod(self.program.nodes[name].shape))
            if sends_numbers(self.program.nodes[name]):
                places[rows, 0] = states
                states += size
            else:
                places[rows, 0] = spikes
                spikes += size
            if name in self.with_states:
                places[rows, 1], places[rows, 2] = states, states + size
                states += 2 * size
        return Outputs(np.zeros(spikes, np.uint8), np.zeros(states, np.int32), places, (time, batch))

    def run(
        self,
        arrays: Mapping[str, NDArray[np.int32]],
        samples: slice,
        outputs: Outputs,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Feed some samples of checked events, and record into the same samples of `outputs`."""
        time = outputs.shape[0]
        for start in range(0, time, self.longest_chunk):
            steps = min(self.longest_chunk, time - start)
            self._chunk(arrays, samples.start or 0, outputs, start, steps)
            if progress is not None:
                progress(steps)

    def recording(self, outputs: Outputs, arrays: Mapping[str, NDArray[np.int32]]) -> Recording:
        """The recorded arrays by name."""
        spikes, kept = {}, {}
        for name in self.nodes:
            shape = (*outputs.shape, *self.program.nodes[name].shape)
            size, place = int(np.prod(shape)), outputs.places[self._plan.rows[name][0]]
            pool = outputs.states if sends_numbers(self.program.nodes[name]) else outputs.spikes.view(np.bool_)
            spikes[name] = pool[place[0] : place[0] + size].reshape(shape)
            if name in self.with_states:
                kept[name] = {x: outputs.states[at : at + size].reshape(shape) for x, at in zip("uv", place[1:])}
        return make_recording(self.program, spikes, kept, "emulator", arrays)

    def _chunk(self, arrays: Mapping[str, NDArray], first: int, outputs: Outputs, start: int, steps: int) -> None:
        run = kernel()
        plan, total = self._plan, outputs.shape[1]
        names = list(self.program.inputs)
        rows = [arrays[name].ctypes.data + 4 * first * int(np.prod(arrays[name].shape[2:])) for name in names]
        inputs = np.array([(row, arrays[name].shape[1]) for row, name in zip(rows, names)], np.int64)
        places = outputs.places.copy()
        for name in self.nodes:
            size = int(np.prod(self.program.nodes[name].shape))
            for row in plan.rows[name]:
                places[row] = np.where(places[row] >= 0, places[row] + first * size, -1)
        out = (outputs.spikes, outputs.states, places, start, total)
        kept = self._u, self._v, self._carried

        def call(rows: range, samples: range, lists: tuple, scratch: tuple) -> int:
            ranges = rows.start, rows.stop, samples.start, samples.stop
            return run(plan.pools, plan.history, inputs, start, *ranges, steps, *kept, lists, out, scratch)

        sliced = any(last > first + 1 for first, last in plan.stages)
        if (self._by_slices if sliced else self._by_samples)(call, steps):
            check_events(self.program, arrays)
            raise AssertionError("the kernel found an input out of range that the check does not")

    def _by_samples(self, call: Callable[..., int], steps: int) -> bool:
        """Blocks of samples, each through all populations; whether any input was out of range."""
        blocks = groups_of(self.batch, min(self.batch, self.threads * BLOCKS_PER_THREAD if self.threads > 1 else 1))
        everything = range(len(self._plan.pools[0]))

        def work(turns: Iterator[range]) -> bool:
            workspace = self.workspace(steps)
            return any(call(everything, samples, *workspace) for samples in turns)

        return any(in_turns(work, blocks, min(self.threads, self.batch)))

    def _by_slices(self, call: Callable[..., int], steps: int) -> bool:
        """All samples through one population after the other, whose slices run side by side."""
        lists, scratch = self.workspace(steps)
        scratches = [scratch, *(self.workspace(steps)[1] for _ in range(self.threads - 1))]
        for sample in range(self.batch):
            for first, last in self._plan.stages:
                slices = (range(row, row + 1) for row in range(first, last))

                def work(turns: Iterator[range], sample: int = sample) -> bool:
                    own = scratches.pop()
                    try:
                        return any(call(row, range(sample, sample + 1), lists, own) for row in turns)
                    finally:
                        scratches.append(own)

                if any(in_turns(work, slices, min(self.threads, last - first))):
                    return True
        return False

    def workspace(self, steps: int) -> tuple:
        """Lists of events and sums for one thread."""
        plan = self._plan
        size = steps * plan.events + plan.earlier + ALIGNMENT
        values = np.empty(size if plan.graded else 1, np.int32)
        lists = (np.empty(size, np.int32), values, np.zeros((len(plan.pools[0]), plan.history + steps + 1), np.int64))
        wide, widest = max(plan.sums, plan.widest) + ALIGNMENT, plan.widest + 2 * ALIGNMENT
        sums = (aligned(wide, np.int16), aligned(wide, np.int32))
        return lists, (*sums, aligned(widest, np.int32), aligned(widest, np.int32))


def in_turns(work: Callable[[Iterator], bool], items: Iterable, threads: int) -> list[bool]:
    """Call `work` on so many threads, this one among them, with an iterator from which each takes the next item."""
    waiting, lock = iter(items), Lock()
    stopped = False

    def turns() -> Iterator:
        while True:
            with lock:
                item = next(waiting, None)
            if item is None or stopped:
                return
            yield item

    if threads == 1:
        return [work(turns())]
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work, turns()) for _ in range(threads - 1)]
        try:
            return [work(turns()), *(other.result() for other in others)]
        except BaseException:
            stopped = True  # or the pool would finish everything before an interrupt is heard
            raise


def take_events(program: Program, events: Mapping[str, NDArray]) -> dict[str, NDArray[np.int32]]:
    """Events as the kernel reads them: contiguous int32, not copied where they are; ranges of int32 are checked while they are read."""
    arrays = integer_events(program, events)
    if any(array.dtype != np.int32 for array in arrays.values()):
        arrays = check_events(program, arrays)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def sample_bytes(plan: Plan) -> int:
    """What is kept for a sample from chunk to chunk: u, v, and the last spikes."""
    return 8 * plan.states + 4 * plan.earlier


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
