"""Run a Program on Lava's fixed-point CPU models, in a child process. Importing this module does not import Lava."""

import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.lava.child import job_folder, run_module
from snnfuse.hardware.backends.lava.compat import require_lava
from snnfuse.hardware.errors import EnvironmentProblem, InputError
from snnfuse.hardware.ir.encoding import check_events
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recorded import make_recording, recorded_nodes
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ir.storage import foreign_modules, load_program, save_program

WORKER = "snnfuse.hardware.backends.lava.worker"
JOB = "job.json"

# A generous limit: about ten times what Lava 0.10 took on two busy cores.
START_S = 120.0  # import and compile
PROCESS_STEP_S = 2e-3  # per process and step
SYNAPSE_STEP_S = 5e-7  # per synapse and step


def simulate_on_lava(
    program: Program,
    events: Mapping[str, NDArray],
    record: str | Iterable[str] = "outputs",
    states: bool = False,
    timeout: float | None = None,
) -> Recording:
    """Run a program on Lava; the same answer as `snnfuse.hardware.emulate`, from stock processes where Lava has them.

    All samples run back to back in one Lava run, each in its own windows. Lava runs in a process of its own; nothing is left of
    it afterwards, whether it ends, fails, takes too long or is interrupted. What stays, until this process ends or for five minutes,
    is the child that imported Lava and forked that process, for the next run.

    Args:
        program: what to run.
        events: integers (time, batch, *shape) per input, as `program.encode` makes them.
        record: "outputs", "all", or names of neuron populations.
        states: whether to keep the states of the recorded populations too; those of membrane outputs are always kept.
        timeout: seconds that the run may take; None: `default_time_limit`.

    Returns:
        Recording with bool spikes and int32 states, (time, batch, *shape), each in its node's window; backend "lava".

    Raises:
        InputError: events that the program does not take, an unknown node, or a time limit that is not positive.
        EnvironmentProblem: Lava is missing, failed, or did not end in time.
    """
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
        raise InputError(f"a time limit must be positive, not {timeout!r}")
    arrays = check_events(program, events)
    nodes, with_states = recorded_nodes(program, record, states)
    require_lava()
    length, batch = next(iter(arrays.values())).shape[:2]
    time = length + blank_steps(program)
    padded = {name: _padded(array, time) for name, array in arrays.items()}
    with job_folder() as folder:
        try:
            _write_job(folder, program, padded, nodes, with_states)
        except OSError as error:
            raise EnvironmentProblem(f"cannot write Lava's temporary files to {folder}: {error}") from error
        limit = default_time_limit(program, time * batch) if timeout is None else timeout
        run_module(WORKER, folder, limit, f"Lava, running {time * batch} steps,")
        spikes = {name: _read(folder, program, name, "s", batch)[:length] for name in nodes}
        kept = {n: {x: _read(folder, program, n, x, batch)[:length] for x in program.neurons[n].states} for n in with_states}
    return make_recording(program, spikes, kept, "lava", arrays)


def default_time_limit(program: Program, steps: int) -> float:
    """Seconds that a run of so many steps may take: about ten times what it needs on two busy cores."""
    processes = len(program.nodes) + 2 * len(program.connections)
    synapses = sum((1 + c.delay + c.lag) * c.synapse.count for c in program.connections)
    return START_S + steps * (processes * PROCESS_STEP_S + synapses * SYNAPSE_STEP_S)


def blank_steps(program: Program) -> int:
    """Steps after each sample that are in nobody's window, so that lagging synapses can be cleared between two windows.

    What one holds must have arrived, 1 + delay steps after its source's window, before its source's next window begins.
    """
    return max((1 + c.delay for c in program.connections if c.lag and not c.is_recurrent), default=0)


def _padded(events: NDArray[np.int32], time: int) -> NDArray[np.int32]:
    return np.concatenate([events, np.zeros((time - len(events), *events.shape[1:]), events.dtype)])


def file_stem(program: Program, node: str) -> str:
    """Name of a node's files, for its own name may hold anything."""
    return f"node{list(program.nodes).index(node)}"


def _write_job(folder: Path, program: Program, events: Mapping[str, NDArray[np.int32]], nodes: list[str], with_states: set[str]) -> None:
    for name, array in events.items():
        rows = np.ascontiguousarray(array.swapaxes(0, 1)).reshape(-1, *array.shape[2:])
        np.save(folder / f"{file_stem(program, name)}.npy", rows)
    time, batch = next(iter(events.values())).shape[:2]
    write_job(folder, program, {"time": time, "batch": batch, "nodes": nodes, "states": sorted(with_states)})


def write_job(folder: Path, program: Program, job: Mapping[str, Any]) -> None:
    """Write a program and what to do with it into a folder, for `read_job` in a child process."""
    save_program(program, folder)
    (folder / JOB).write_text(json.dumps({**job, "modules": foreign_modules(program)}))


def read_job(folder: Path) -> tuple[dict[str, Any], Program]:
    """Inverse of `write_job`; imports the modules that the parent had imported for the program's kinds."""
    job = json.loads((folder / JOB).read_text())
    for module in job["modules"]:
        import_module(module)
    return job, load_program(folder)


def _read(folder: Path, program: Program, node: str, variable: str, batch: int) -> NDArray:
    """(batch * time, *shape) on disk to (time, batch, *shape)."""
    rows = np.load(folder / f"{file_stem(program, node)}_{variable}.npy")
    return np.ascontiguousarray(rows.reshape(batch, -1, *rows.shape[1:]).swapaxes(0, 1))
