"""Test sets over several machines: samples are split among ray tasks, each of which emulates its part; the result is the same.

Ray is an extra, `snnfuse[cluster]`, and imported when it is used. Machines of a cluster need the same version of snnfuse.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.errors import EnvironmentProblem, InputError, SnnfuseError
from snnfuse.hardware.ir.encoding import check_events
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recorded import recorded_nodes
from snnfuse.hardware.ir.recording import Recording

LOCAL = "local"
ANSWER_S = 10.0  # for a cluster to answer at all


def emulate_on_cluster(
    program: Program,
    events: Mapping[str, NDArray],
    record: str | Iterable[str] = "outputs",
    states: bool = False,
    address: str = LOCAL,
    parts: int | None = None,
    memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """`snnfuse.hardware.emulate`, its samples spread over a ray cluster.

    Args:
        program, events, record, states: as there.
        address: of a running cluster, as `ray.init` takes it: "auto", "HOST:PORT" or "ray://HOST:PORT"; "local" starts one on this
            machine for the call. Where this process is connected to a cluster already, that one is used, and stays connected.
        parts: tasks to split the samples into; None: one per CPU of the cluster. The result does not depend on it.
        memory: bytes of working memory that each task may take, as there.
        progress: called with (steps done, steps in all); a part's steps count when it ends.

    Returns:
        The same Recording, but for its backend: "emulator on N cluster tasks".

    Raises:
        InputError: as there, or parts is not positive.
        EnvironmentProblem: ray is missing, the cluster cannot be reached, or a task died.
    """
    events = check_events(program, events)
    record = record if isinstance(record, str) else list(record)
    recorded_nodes(program, record, states)  # refuses unknown names before a cluster is started
    if parts is not None and parts < 1:
        raise InputError(f"parts must be positive, not {parts}")
    time, batch = next(iter(events.values())).shape[:2]
    with connected(address) as ray:
        samples = split(batch, parts or int(ray.cluster_resources().get("CPU", 1)))
        stored = ray.put(program)
        task = ray.remote(_emulate_part).options(num_cpus=1)
        parts_of_events = [{name: array[:, part] for name, array in events.items()} for part in samples]
        tasks = [task.remote(stored, events_of_part, record, states, memory) for events_of_part in parts_of_events]
        recordings = _wait(ray, tasks, samples, (time, batch), progress)
    return join(recordings, events)


def split(batch: int, parts: int) -> list[slice]:
    """Samples in consecutive parts of about the same size, none of them empty."""
    ends = np.linspace(0, batch, min(parts, batch) + 1).astype(int).tolist()
    return [slice(a, b) for a, b in zip(ends, ends[1:])]


def join(recordings: Sequence[Recording], events: Mapping[str, NDArray]) -> Recording:
    """Recordings of consecutive samples as one."""
    first = recordings[0]
    spikes: dict[str, NDArray] = {name: np.concatenate([part.spikes[name] for part in recordings], 1) for name in first.spikes}
    states = {
        name: {x: np.concatenate([part.states[name][x] for part in recordings], 1) for x in variables}
        for name, variables in first.states.items()
    }
    return Recording(spikes, states, first.latency, first.outputs, events, f"emulator on {len(recordings)} cluster tasks")


@contextmanager
def connected(address: str = LOCAL) -> Iterator[Any]:
    """The module `ray`, connected; a connection that is made here ends here.

    Raises:
        EnvironmentProblem: ray is missing, or nothing answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unless a user asks for it
    try:
        import ray
    except ImportError as error:
        raise EnvironmentProblem("a cluster needs ray: pip install 'snnfuse[cluster]'") from error
    ours, own = not ray.is_initialized(), {"include_dashboard": False} if address == LOCAL else {}
    if ours:
        try:
            _check_port(address)
            ray.init(address=address, log_to_driver=False, logging_level="error", **own)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise EnvironmentProblem(f"no ray cluster at {address!r}: {_first_line(error)}") from error
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _check_port(address: str) -> None:
    """OSError where nothing listens at HOST:PORT: ray itself would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()


def _emulate_part(program: Program, events: Mapping[str, NDArray], record: str | list[str], states: bool, memory: int | None) -> Recording:
    """One task: a CPU, and one thread on it. The events are known where it was started, and not sent back."""
    recording = emulate(program, events, record, states, threads=1, memory=memory)
    return Recording(recording.spikes, recording.states, recording.latency, recording.outputs)


def _wait(
    ray: Any, tasks: list[Any], samples: list[slice], size: tuple[int, int], progress: Callable[[int, int], None] | None
) -> list[Recording]:
    """The tasks' results in their order; if one fails the others are cancelled."""
    waiting, done, (time, batch) = dict(zip(tasks, samples)), 0, size
    try:
        while waiting:
            ready, _ = ray.wait(list(waiting), num_returns=1)
            ray.get(ready)
            part = waiting.pop(ready[0])
            done += part.stop - part.start
            if progress is not None:
                progress(done * time // batch, time)
        return ray.get(tasks)
    except ray.exceptions.RayError as error:
        if isinstance(getattr(error, "cause", None), SnnfuseError):
            raise error.cause from error
        raise EnvironmentProblem(f"a task on the cluster failed: {_first_line(getattr(error, 'cause', None) or error)}") from error
    finally:
        for task in waiting:
            ray.cancel(task)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
