"""The fast emulator: event-driven kernels that are equal to the reference, every spike and every state.

`plan` turns a Program into tables, `kernel` runs them, `session` feeds it in chunks and blocks. Importing this package does not import
numba; the first run does, and compiles the kernel once per machine.
"""

from collections.abc import Callable, Iterable, Mapping

from numpy.typing import NDArray

from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording


def emulate(
    program: Program,
    events: Mapping[str, NDArray],
    record: str | Iterable[str] = "outputs",
    states: bool = False,
    *,
    threads: int | None = None,
    memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """Run a program.

    Args:
        program: what to run.
        events: integers (time, batch, *shape) per input, as `program.encode` makes them. int32 arrays are not copied.
        record: "outputs", "all", or names of neuron populations.
        states: whether to keep current and voltage of the recorded populations too; membrane outputs are always kept.
        threads: how many; None for one per core. The result does not depend on it.
        memory: bytes of working memory beside events and recording, default 1 GiB; longer or larger inputs run in chunks of steps and
            blocks of samples, with the same result. A single sample and step run even where they need more.
        progress: called with (steps done, steps in all).

    Returns:
        Recording with bool spikes and int32 states, (time, batch, *shape), each in its node's window; equal to that of
        `snnfuse.hardware.backends.reference.emulate`.

    Raises:
        InputError: events that the program does not take, an unknown node, or settings that are not positive.
    """
    from snnfuse.hardware.backends.emulator.running import run_program

    return run_program(program, events, record, states, threads, memory, progress)
