"""`run_torch`: the door to this package, which imports torch when it is called."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from snnfuse.hardware.errors import EnvironmentProblem
from snnfuse.hardware.ir.encoding import check_events, positive
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recorded import make_recording, recorded_nodes
from snnfuse.hardware.ir.recording import Recording

if TYPE_CHECKING:
    from snnfuse.hardware.backends.torch_backend.execution import Arrays
    from snnfuse.hardware.backends.torch_backend.plan import Plan

Progress = Callable[[int, int], None]


def run_torch(
    program: Program,
    events: Mapping[str, NDArray],
    record: str | Iterable[str] = "outputs",
    states: bool = False,
    device: str = "cpu",
    memory: int | None = None,
    progress: Progress | None = None,
) -> Recording:
    """Run a program in PyTorch; the same answer as `snnfuse.hardware.backends.reference.emulate`, on a GPU too.

    Args:
        program, events, record, states: as there.
        device: "cpu", "cuda" or "cuda:N".
        memory: bytes of working arrays at a time, besides weights and recording; None: 1 GiB, or half of what the GPU has free.
            Samples, and steps of long ones, run in blocks that stay within it, with the same results. A single step of a single
            sample runs even where it needs more.
        progress: called with (steps done, steps in all).

    Returns:
        Recording with backend "torch", on the host.

    Raises:
        InputError: events that the program does not take, an unknown node or device, or a memory that is not positive.
        UnsupportedError: a device without float64.
        EnvironmentProblem: PyTorch or the device is missing, or the device's memory ran out.
    """
    events = check_events(program, events)
    memory = None if memory is None else positive("memory", memory)
    nodes, with_states = recorded_nodes(program, record, states)
    time, batch = next(iter(events.values())).shape[:2]
    try:
        import torch
    except ImportError as error:
        raise EnvironmentProblem("the torch backend needs PyTorch: pip install torch") from error
    from snnfuse.hardware.backends.torch_backend.devices import default_memory, find_device, float32_is_exact
    from snnfuse.hardware.backends.torch_backend.execution import empty_arrays
    from snnfuse.hardware.backends.torch_backend.plan import make_plan

    place = find_device(device)
    memory = default_memory(place) if memory is None else memory
    kept = empty_arrays({name: program.neurons[name] for name in nodes}, with_states, time, batch)
    try:
        with torch.inference_mode():
            _run_blocks(make_plan(program, place, float32_is_exact(place), memory), events, kept, memory, progress)
    except torch.OutOfMemoryError as error:
        raise EnvironmentProblem(f"{device}: out of memory with blocks of {memory} bytes; allow fewer") from error
    spikes = {name: arrays["spikes"] for name, arrays in kept.items()}
    traces = {name: {x: values for x, values in kept[name].items() if x != "spikes"} for name in with_states}
    return make_recording(program, spikes, traces, "torch", events)


def _run_blocks(plan: "Plan", events: Mapping[str, NDArray], kept: "Arrays", memory: int, progress: Progress | None) -> None:
    from snnfuse.hardware.backends.torch_backend.execution import run_block
    from snnfuse.hardware.backends.torch_backend.plan import block_sizes

    time, batch = next(iter(events.values())).shape[:2]
    steps, samples = block_sizes(plan, time, batch, memory)
    for first in range(0, batch, samples):
        carried: dict = {}
        for start in range(0, time, steps):
            done = first * time + start * min(samples, batch - first)
            rows = slice(start, min(start + steps, time)), slice(first, min(first + samples, batch))
            size = (rows[0].stop - rows[0].start) * (rows[1].stop - rows[1].start)
            run_block(plan, events, carried, kept, *rows, tick=_ticks(progress, done, size, (time, batch), len(plan.populations)))


def _ticks(progress: Progress | None, done: int, size: int, whole: tuple[int, int], parts: int) -> Callable[[], None] | None:
    """Reports a block's steps in as many parts as it has populations; a step is done once all samples have taken it, or as many."""
    if progress is None:
        return None
    (time, batch), finished = whole, iter(range(1, parts + 1))
    return lambda: progress((done + size * next(finished) // parts) // batch, time)
