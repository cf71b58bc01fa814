"""Does a program still do what it did when it was exported, on every backend? Equality, no tolerance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.registry import VERIFIED, run_on
from snnfuse.hardware.errors import InputError, SnnfuseError, VerificationError
from snnfuse.hardware.ir.pipeline import Pipeline
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
    program: Program,
    events: Mapping[str, NDArray],
    golden: Recording,
    backends: Sequence[str] = VERIFIED,
    timeout: float | None = None,
) -> Iterator[Check]:
    """Rerun a program on each backend and compare every layer with a golden recording.

    Args:
        program: what to run.
        events: integers (time, batch, *shape) per input.
        golden: what the program made of them, recorded with record="all".
        backends: names, in this order; each yields a check as soon as it has run.
        timeout: seconds that Lava may take.

    Raises:
        EnvironmentProblem: Lava is missing, failed, or did not end in time: nothing is verified then.
        VerificationError: a backend did not record every layer and state that the golden vectors hold.
        InputError: events or a recording that do not belong to the program.
    """
    states = set(golden.states) > recorded_nodes(program, "all", False)[1]
    check_complete(golden, "the golden recording", program, states, InputError)
    for backend in backends:
        run = run_on(backend, program, events, "all", states=states, timeout=timeout)
        check_complete(run.recording, backend, program, states, VerificationError)
        yield Check(backend, compare(golden, run.recording), run.seconds)


def verify_pipeline(
    pipeline: Pipeline, golden: Sequence[Recording], backends: Sequence[str] = VERIFIED, timeout: float | None = None
) -> Iterator[Check]:
    """`verify` of every stage on every backend, after a check that the host's part gives each stage what its golden recording was fed.

    Args:
        pipeline: what to run.
        golden: by stage, recorded with record="all", with the events that the stage was fed.
        backends, timeout: as for `verify`; a check's `backend` names the stage too.

    Raises:
        VerificationError: what the host carries is not what a stage was fed; and as of `verify`.
        EnvironmentProblem, InputError: as of `verify`.
    """
    if len(golden) != len(pipeline.programs):
        raise InputError(f"there are {len(pipeline.programs)} stages, but {len(golden)} golden recordings")
    events = {name: array for recording in golden for name, array in recording.events.items() if name in pipeline.inputs}
    for stage, recording in enumerate(golden):
        carried = pipeline.events_of(stage, events, tuple(golden[:stage]))
        wrong = [name for name in carried if not np.array_equal(carried[name], recording.events.get(name, ()))]
        if wrong:
            raise VerificationError(f"stage {stage + 1}: the golden events of {wrong[0]!r} are not what the host carries there")
    for backend in backends:
        for stage, (program, recording) in enumerate(zip(pipeline.programs, golden)):
            for check in verify(program, recording.events, recording, (backend,), timeout):
                yield replace(check, backend=f"{backend}, stage {stage + 1}")


def check_complete(recording: Recording, what: str, program: Program, states: bool, error: type[SnnfuseError]) -> None:
    """Raise `error` unless exactly every layer was recorded, with the states that go with it: what is missing is not compared."""
    nodes, with_states = recorded_nodes(program, "all", states)
    expected = {f"spikes of {name}" for name in (*nodes, *program.outputs)}
    expected |= {f"{variable} of {name}" for name in with_states for variable in program.neurons[name].states}
    found = {f"spikes of {name}" for name in recording.spikes}
    found |= {f"{variable} of {name}" for name, of in recording.states.items() for variable in of}
    if found != expected:
        raise error(f"{what} must hold every layer of the program, but differs in: {', '.join(sorted(found ^ expected))}")
