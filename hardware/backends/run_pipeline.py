"""Run a pipeline on a backend: every stage a run of its own, fed with what the host carries from the stages before it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from snnfuse.hardware.backends.ray_cluster import emulate_on_cluster
from snnfuse.hardware.backends.registry import Run, run_on
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import as_inputs
from snnfuse.hardware.ir.pipeline import Pipeline
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class PipelineRun:
    """A recording per stage, each with the events that it was fed, and the seconds of all."""

    recordings: tuple[Recording, ...]
    seconds: float


def run_pipeline(
    pipeline: Pipeline,
    events: Mapping[str, NDArray],
    backend: str = "emulator",
    record: str = "outputs",
    states: bool = False,
    *,
    cluster: str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> PipelineRun:
    """Run every stage on a backend.

    Args:
        pipeline: what to run; of one program, `as_pipeline`.
        events: integers (time, batch, *shape) by input of the network, as of `Pipeline.encode`.
        backend, record, states, settings: as for `snnfuse.hardware.backends.registry.run_on`; a timeout holds for each stage.
        cluster: address of a ray cluster over which the emulator's samples are spread, as for `emulate_on_cluster`; None for none.
        progress: called with (steps done, steps in all), all stages together.

    Raises:
        InputError, EnvironmentProblem: as of `run_on`; InputError for events of other inputs than the network's, or inputs that differ
            in time or batch.
    """
    if set(events) != set(pipeline.inputs):
        raise InputError(f"events must be of {', '.join(map(repr, pipeline.inputs))}, not {', '.join(map(repr, events)) or 'nothing'}")
    events = as_inputs(pipeline.inputs, events)
    done: tuple[Run, ...] = ()
    for stage, program in enumerate(pipeline.programs):
        fed = pipeline.events_of(stage, events, [run.recording for run in done])
        told = None if progress is None else _part(progress, stage, len(pipeline.programs))
        done = (*done, _run(program, fed, backend, record, states, cluster, {**settings, "progress": told}))
    return PipelineRun(tuple(run.recording for run in done), sum(run.seconds for run in done))


def _run(
    program: Program, events: Mapping[str, NDArray], backend: str, record: str, states: bool, cluster: str | None, settings: dict[str, Any]
) -> Run:
    if cluster is None:
        return run_on(backend, program, events, record, states, **settings)
    start = time.perf_counter()
    memory, progress = settings.get("memory"), settings["progress"]
    recording = emulate_on_cluster(program, events, record, states, cluster, memory=memory, progress=progress)
    return Run(recording, time.perf_counter() - start)


def _part(progress: Progress, stage: int, stages: int) -> Progress:
    return lambda done, total: progress(stage * total + done, stages * total)
