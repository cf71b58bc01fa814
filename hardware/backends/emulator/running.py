"""`emulate`: a Session per block of samples that fits in memory."""

from collections.abc import Callable, Iterable, Mapping

from numpy.typing import NDArray

from snnfuse.hardware.backends.emulator.run_state import MEMORY, Session, plan_of, sample_bytes, take_events
from snnfuse.hardware.backends.emulator.turns import available_cores
from snnfuse.hardware.ir.encoding import positive
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording

STATES_SHARE = 2  # states may take one part in so many of the memory
BLOCK = 64  # samples per thread: between blocks progress is told, and an interrupt heard


def run_program(
    program: Program,
    events: Mapping[str, NDArray],
    record: str | Iterable[str],
    states: bool,
    threads: int | None,
    memory: int | None,
    progress: Callable[[int, int], None] | None,
) -> Recording:
    """See `snnfuse.hardware.emulate`."""
    arrays = take_events(program, events)
    time, batch = next(iter(arrays.values())).shape[:2]
    record = record if isinstance(record, str) else list(record)
    threads = positive("threads", available_cores() if threads is None else threads)
    memory = positive("memory", MEMORY if memory is None else memory)
    block = min(samples_at_once(program, batch, memory), BLOCK * threads)
    done = 0

    def count(steps: int) -> None:
        nonlocal done
        done += steps * block_size
        if progress is not None:
            progress(done // batch if done < time * batch else time, time)

    block_size = min(block, batch)
    session = Session(program, block_size, record, states, threads=threads, memory=memory)
    outputs = session.outputs(time, batch)
    session.run(arrays, slice(0, block_size), outputs, count)
    for first in range(block, batch, block):
        block_size = min(block, batch - first)
        rest = Session(program, block_size, record, states, threads=threads, memory=memory)
        rest.run(arrays, slice(first, first + block_size), outputs, count)
    return session.recording(outputs, arrays)


def samples_at_once(program: Program, batch: int, memory: int) -> int:
    """Samples whose states fit into their share of the memory, at least one."""
    each = max(sample_bytes(plan_of(program)), 1)
    return max(1, min(batch, memory // (STATES_SHARE * each)))
