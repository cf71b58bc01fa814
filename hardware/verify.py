"""Does a program still do what it did when it was exported, on every backend? Equality, no tolerance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from numpy.typing import NDArray

from snnfuse.hardware.backends import BACKENDS, run_on
from snnfuse.hardware.program import Program
from snnfuse.hardware.recording import Comparison, Recording, compare


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
    backends: Sequence[str] = BACKENDS,
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
        InputError: events or a recording that do not belong to the program.
    """
    for backend in backends:
        run = run_on(backend, program, events, "all", states=bool(golden.states), timeout=timeout)
        yield Check(backend, compare(golden, run.recording), run.seconds)
