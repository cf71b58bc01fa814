"""The backends by name, and whether they agree."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from numpy.typing import NDArray

from snnfuse.hardware.backends import reference
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.backends.torch_backend import run_torch
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording

BACKENDS = ("reference", "emulator", "torch", "lava")
VERIFIED = ("emulator", "lava")  # what a bundle is checked on: the fast backends, which are tested against the reference


@dataclass(frozen=True, eq=False)
class Run:
    """A recording, and the seconds it took, Lava's start included."""

    recording: Recording
    seconds: float


def run_on(
    backend: str,
    program: Program,
    events: Mapping[str, NDArray],
    record: str | Iterable[str] = "outputs",
    states: bool = False,
    timeout: float | None = None,
    device: str = "cpu",
    memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Run a program on a backend.

    Args:
        backend: one of BACKENDS.
        program, events, record, states: as for `emulate`.
        timeout: seconds that Lava may take; None: in proportion to the program and the number of steps.
        device: where torch runs: "cpu", "cuda" or "cuda:N"; the others run on the CPU.
        memory, progress: as for `emulate`; of the emulator and torch only.

    Raises:
        InputError: no such backend, or events that the program does not take.
        EnvironmentProblem: Lava or the device is missing, failed, or did not end in time.
    """
    if backend not in BACKENDS:
        raise InputError(f"unknown backend {backend!r}; there are {', '.join(BACKENDS)}")
    if device != "cpu" and backend != "torch":
        raise InputError(f"{backend} runs on the CPU only; backend torch runs on {device!r}")
    start = time.perf_counter()
    if backend == "reference":
        recording = reference.emulate(program, events, record, states)
    elif backend == "emulator":
        recording = emulate(program, events, record, states, memory=memory, progress=progress)
    elif backend == "torch":
        recording = run_torch(program, events, record, states, device, memory, progress)
    else:
        from snnfuse.hardware.backends.lava import simulate_on_lava

        recording = simulate_on_lava(program, events, record, states, timeout)
    return Run(recording, time.perf_counter() - start)
