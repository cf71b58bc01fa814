"""Does a program still do what it did when it was exported, on every backend? Equality, no tolerance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snnfuse.hardware.backends.registry import VERIFIED, run_on
from snnfuse.hardware.errors import InputError, SnnfuseError, VerificationError
from snnfuse.hardware.ir.pipeline import Pipeline, as_pipeline
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recorded import recorded_nodes
from snnfuse.hardware.ir.recording import Comparison, Recording, compare


@dataclass(frozen=True)
class Check:
    """One backend against the golden vectors.

    Attributes:
        backend: which.
        comparison: spikes of every layer, and the states that the golden vectors hold.
        seconds: of the run.
    """

    backend: str
    comparison: Comparison
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything was equal."""
        return self.comparison.mismatches == 0


def verify(
    pipeline: Pipeline | Program, golden: Sequence[Recording], backends: Sequence[str] = VERIFIED, timeout: float | None = None
) -> Iterator[Check]:
    """Rerun every stage on each backend and compare every layer with a golden recording, after a check that the host's part gives each
    stage what its recording was fed.

    Args:
        pipeline: what to run; a program is a pipeline of one stage.
        golden: by stage, recorded with record="all", with the events that the stage was fed.
        backends: names, in this order; each stage yields a check as soon as it has run, whose `backend` names the stage where there are
            several.
        timeout: seconds that Lava may take for a stage.

    Raises:
        EnvironmentProblem: Lava is missing, failed, or did not end in time: nothing is verified then.
        VerificationError: a backend did not record every layer and state that the golden vectors hold, or what the host carries is not
            what a stage was fed.
        InputError: events or recordings that do not belong to the pipeline.
    """
    pipeline = as_pipeline(pipeline)
    if len(golden) != len(pipeline.programs):
        raise InputError(f"there are {len(pipeline.programs)} stages, but {len(golden)} golden recordings")
    _check_carried(pipeline, golden)
    stages = [(p, g, f", stage {i + 1}" if len(golden) > 1 else "") for i, (p, g) in enumerate(zip(pipeline.programs, golden))]
    for program, recording, where in stages:
        check_complete(recording, f"the golden recording{where}", program, _has_states(program, recording), InputError)
    for backend in backends:
        for program, recording, where in stages:
            states = _has_states(program, recording)
            run = run_on(backend, program, recording.events, "all", states=states, timeout=timeout)
            check_complete(run.recording, f"{backend}{where}", program, states, VerificationError)
            yield Check(f"{backend}{where}", compare(recording, run.recording), run.seconds)


def _check_carried(pipeline: Pipeline, golden: Sequence[Recording]) -> None:
    events = {name: array for recording in golden for name, array in recording.events.items() if name in pipeline.inputs}
    missing = [name for name in pipeline.inputs if name not in events]
    if missing:
        raise InputError(f"the golden recording holds no events of input {missing[0]!r}")
    for stage, recording in enumerate(golden):
        carried = pipeline.events_of(stage, events, golden[:stage])
        wrong = [name for name in carried if not np.array_equal(carried[name], recording.events.get(name, ()))]
        if wrong:
            raise VerificationError(f"stage {stage + 1}: the golden events of {wrong[0]!r} are not what the host carries there")


def _has_states(program: Program, recording: Recording) -> bool:
    """Whether a recording holds more states than those of membranes that are read."""
    return set(recording.states) > recorded_nodes(program, "all", False)[1]


def check_complete(recording: Recording, what: str, program: Program, states: bool, error: type[SnnfuseError]) -> None:
    """Raise `error` unless exactly every layer was recorded, with the states that go with it: what is missing is not compared."""
    nodes, with_states = recorded_nodes(program, "all", states)
    expected = {f"spikes of {name}" for name in (*nodes, *program.outputs)}
    expected |= {f"{variable} of {name}" for name in with_states for variable in ("u", "v")}
    found = {f"spikes of {name}" for name in recording.spikes}
    found |= {f"{variable} of {name}" for name, of in recording.states.items() for variable in of}
    if found != expected:
        raise error(f"{what} must hold every layer of the program, but differs in: {', '.join(sorted(found ^ expected))}")
