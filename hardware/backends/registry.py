"""The backends by name.

A backend is a function of (program, events, record, states, **options) that returns a Recording: the reference's spikes and states, to
the last bit. One of another package is registered where it is defined, and runs wherever a backend's name is taken:

    register_backend(Backend("mine", run_mine, options=frozenset({"timeout"})))
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.kinds import Form, resolve
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording

Option = Literal["timeout", "device", "memory", "progress"]


@dataclass(frozen=True, eq=False)
class Backend:
    """A way to run programs.

    Attributes:
        name: what it is asked for by.
        run: the function, or "module:function", which is imported at its first run.
        options: keyword arguments of `run_on` that it takes.
        is_verified: whether a bundle is checked on it by default.
    """

    name: str
    run: Form
    options: frozenset[Option] = frozenset()
    is_verified: bool = False


BACKENDS: dict[str, Backend] = {}


def register_backend(backend: Backend) -> Backend:
    """Add a backend; InputError where its name is taken."""
    if backend.name in BACKENDS:
        raise InputError(f"there is a backend named {backend.name!r} already; name it otherwise")
    BACKENDS[backend.name] = backend
    return backend


_PACKAGE = "snnfuse.hardware.backends"
register_backend(Backend("reference", f"{_PACKAGE}.reference:emulate"))
register_backend(Backend("emulator", f"{_PACKAGE}.emulator:emulate", frozenset({"memory", "progress"}), is_verified=True))
register_backend(Backend("torch", f"{_PACKAGE}.torch_backend:run_torch", frozenset({"device", "memory", "progress"})))
register_backend(Backend("lava", f"{_PACKAGE}.lava:simulate_on_lava", frozenset({"timeout"}), is_verified=True))
VERIFIED = tuple(name for name, backend in BACKENDS.items() if backend.is_verified)  # fast ones, which are tested against the reference


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
        backend: a name in BACKENDS.
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
    chosen = BACKENDS[backend]
    if device != "cpu" and "device" not in chosen.options:
        raise InputError(f"{backend} runs on the CPU only; backend torch runs on {device!r}")
    given: dict[str, Any] = {"timeout": timeout, "device": device, "memory": memory, "progress": progress}
    start = time.perf_counter()
    recording = resolve(chosen.run)(program, events, record, states, **{name: given[name] for name in chosen.options})
    return Run(recording, time.perf_counter() - start)
