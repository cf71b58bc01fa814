"""What an assertion claims, with everything that is needed to check it again. The assertions and `snnfuse replay` both ask `problem`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.reference import emulate as run_reference
from snnfuse.hardware.backends.registry import run_on
from snnfuse.hardware.backends.verify import Check, verify
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.errors import DoesNotFitError, InputError, UnsupportedError
from snnfuse.hardware.ir.program import Program


@dataclass(frozen=True, eq=False)
class BitExact:
    """The claim that a backend equals the reference on every spike and state of every neuron, on every step.

    Attributes:
        program: what runs.
        events: int32 (time, batch, *shape) by input.
        backend: compared with the reference; "reference" itself is compared with the emulator, for nothing equals only itself.
    """

    program: Program
    events: Mapping[str, NDArray[np.int32]]
    backend: str

    def check(self, timeout: float | None = None) -> Check:
        """Run both; errors as of `snnfuse.hardware.backends.verify.verify`."""
        golden = run_reference(self.program, self.events, "all", states=True)
        (check,) = verify(self.program, [golden], [self.compared], timeout)
        return check

    def problem(self, timeout: float | None = None) -> str | None:
        """What differs, in words; None where all is equal."""
        return self.describe(self.check(timeout))

    def describe(self, check: Check) -> str | None:
        """The words of a check of this claim."""
        if check.passed:
            return None
        counts = ", ".join(f"{wrong} of {compared} {name}" for name, (compared, wrong) in check.comparison.by_variable.items())
        where = f"first (reference against {self.compared}): {check.comparison.first}"
        return f"the {self.compared} differs from the reference in {counts}\n{where}"

    @property
    def compared(self) -> str:
        """The backend that runs beside the reference."""
        return "emulator" if self.backend == "reference" else self.backend


@dataclass(frozen=True, eq=False)
class Fits:
    """The claim that a board holds a program, and its cores can do what the program asks.

    Attributes:
        program: what is placed.
        board: a name that `snnfuse.hardware.chip.find_board` knows.
        tier: "B", microcode may do what stock neurons cannot; "A", it may not.
    """

    program: Program
    board: str
    tier: str = "B"

    def problem(self, timeout: float | None = None) -> str | None:
        """Which layer, which limit and by how much, in words; None where it fits."""
        try:
            check_chip(self.program, self.board, tiers=("A",) if self.tier == "A" else ("A", "B"))
        except (DoesNotFitError, UnsupportedError) as error:
            return f"the program does not fit {self.board}: {error}"
        return None


@dataclass(frozen=True, eq=False)
class Accuracy:
    """The claim that a program loses at most `max_points` percentage points against the float network.

    Attributes:
        program: the deployed network.
        events: int32 (time, batch, *shape) by input.
        labels: int64 (batch,).
        float_classes: int64 (batch,), what the float network says of the same samples, by the program's decoder.
        max_points: percentage points, 0..100.
        backend: what the program runs on.
        output: which output is read.
    """

    program: Program
    events: Mapping[str, NDArray[np.int32]]
    labels: NDArray[np.int64]
    float_classes: NDArray[np.int64]
    max_points: float
    backend: str
    output: str

    def __post_init__(self) -> None:
        check_points(self.max_points)
        samples = next(iter(self.events.values())).shape[1]
        for what, array in (("labels", self.labels), ("classes of the float network", self.float_classes)):
            if array.dtype.kind not in "iu" or array.shape != (samples,):
                raise InputError(f"{what} must be integers ({samples},), one per sample, not {array.dtype} {array.shape}")
        rule = self.program.outputs[self.output]
        classes = rule.classes(self.program.nodes[rule.node].shape)
        wrong = self.labels[(self.labels < 0) | (self.labels >= classes)]
        if wrong.size:
            raise InputError(f"labels hold {wrong[0]}, but the classes of output {self.output!r} are 0..{classes - 1}")

    def problem(self, timeout: float | None = None) -> str | None:
        """Both accuracies, in words; None where the loss is within what is allowed."""
        recording = run_on(self.backend, self.program, self.events, timeout=timeout).recording
        deployed = self.program.decode(recording, self.output)
        before, after, samples = self._right(self.float_classes), self._right(deployed), len(self.labels)
        if not self.exceeds(before - after, samples):
            return None
        return (
            f"accuracy fell by {100 * (before - after) / samples:.2f} points, more than the {self.max_points:g} allowed: "
            f"float {before / samples:.2%}, deployed {after / samples:.2%} on {self.backend}, {samples} samples ({self.decoder})"
        )

    def exceeds(self, lost: int, samples: int) -> bool:
        """Whether so many samples lost are too many; in whole samples, so that a loss of exactly `max_points` is allowed."""
        return 100 * lost > self.max_points * samples

    @property
    def decoder(self) -> str:
        """How classes are read, in words."""
        return self.program.outputs[self.output].described()

    def _right(self, classes: NDArray[np.int64]) -> int:
        return int(np.count_nonzero(classes == self.labels))


Case = BitExact | Fits | Accuracy


def on_backend(case: Case, backend: str | None) -> Case:
    """The same claim about another backend; as it is for None, and where no backend is involved."""
    return case if backend is None or isinstance(case, Fits) else replace(case, backend=backend)


def check_points(points: float) -> None:
    """InputError unless it is a number of percentage points."""
    if not (isinstance(points, (int, float, np.number)) and 0 <= points <= 100):
        raise InputError(f"max_points is a number of percentage points, 0 to 100, not {points!r}")
