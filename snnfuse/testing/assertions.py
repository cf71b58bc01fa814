"""The assertions. Each makes a claim (`snnfuse.testing.cases`); where it does not hold, the case is shrunk, saved and reported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.hardware.chip import BOARDS, Board, find_board
from snnfuse.hardware.errors import InputError, SnnfuseError
from snnfuse.hardware.ir.encoding import check_events
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Mismatch
from snnfuse.testing import settings
from snnfuse.testing.cases import Accuracy, BitExact, Fits, check_points
from snnfuse.testing.diagnosing import of_accuracy, of_bit_exact
from snnfuse.testing.failing import fail
from snnfuse.testing.networks import FloatNetwork, as_arrays, deploy
from snnfuse.testing.shrinking import Part, cone, select, shrink

if TYPE_CHECKING:
    import nir
    from torch import nn

Inputs = ArrayLike | Mapping[str, ArrayLike]


def assert_bit_exact(
    model_or_program: "Program | nir.NIRGraph | nn.Module",
    inputs: Inputs,
    *,
    calibration: Inputs | None = None,
    backends: Sequence[str] | None = None,
    **options: Any,
) -> None:
    """Every spike and every state of every neuron, on every step, is the reference's; `==`, no tolerance.

    Args:
        model_or_program: a Program; or a network, snnTorch module or NIR graph, which is quantized first. A module's forward is one time
            step; export one that loops over time itself and pass the Program.
        inputs: float (time, batch, *shape), or {input name: such an array}, encoded as the program declares. For a Program, integer and
            boolean arrays are events as they are.
        calibration: for a network: float inputs that choose its scales; by default `inputs`.
        backends: compared with the reference; by default those of --snnfuse-backend. "reference" is compared with the emulator.
        options: for a network, keyword arguments of `snnfuse.export.quantize`.

    Raises:
        AssertionError: something differs; says how much, where first, and how to replay the saved case.
        EnvironmentProblem: Lava is to run and is missing, failed, or took too long: that proves nothing, so it does not pass.
        InputError, UnsupportedError: inputs that the network does not take; a network that cannot be deployed.
    """
    __tracebackhide__ = True
    program = _program(model_or_program, inputs if calibration is None else calibration, calibration, options)
    events = _events(program, inputs)
    for backend in _backends(backends):
        _check_bit_exact(BitExact(program, events, backend))


def assert_fits(program: Program, board: Board | str = "oheo-gulch", tier: str = "B") -> None:
    """A board holds the program, and its cores can do what it asks.

    Args:
        program: what is placed.
        board: a board of `snnfuse.hardware.chip.BOARDS`, or its name.
        tier: "B": microcode may do what stock neurons cannot, as other resets and products; "A": stock neurons only.

    Raises:
        AssertionError: it does not; names the layer, the limit and by how much, and how to replay the saved case.
        InputError: no such board, or one with limits of its own, which a saved case could not name.
    """
    __tracebackhide__ = True
    found = find_board(board)
    if found not in BOARDS.values():
        raise InputError(f"board {found.name!r}: a case is saved with a board's name; there are {', '.join(BOARDS)}")
    if tier not in ("A", "B"):
        raise InputError(f"tier is 'A' or 'B', not {tier!r}")
    case = Fits(_only_program(program), found.name, tier)
    problem = case.problem()
    if problem:
        fail(problem, case)


def assert_accuracy_drop(
    model: "nir.NIRGraph | nn.Module",
    deployed: "Program | nir.NIRGraph",
    inputs: Inputs,
    labels: ArrayLike,
    max_points: float,
    *,
    calibration: Inputs | None = None,
    output: str | None = None,
    backends: Sequence[str] | None = None,
    **options: Any,
) -> None:
    """The deployed network loses at most so many percentage points of accuracy against the float one, on the same samples.

    Args:
        model: the float network: an snnTorch module, run itself step by step from rest, or a NIR graph, run by NIR's equations.
        deployed: what runs on the chip; a graph is quantized first.
        inputs: float (time, batch, *shape), or {input name: such an array}.
        labels: integers (batch,), classes of the output.
        max_points: percentage points, 0 to 100; a loss of exactly so many is allowed.
        calibration: for a graph to deploy: float inputs that choose its scales; by default `inputs`.
        output: which output is read, where there are several.
        backends: what the deployed network runs on; by default those of --snnfuse-backend.
        options: for a graph to deploy, keyword arguments of `snnfuse.export.quantize`.

    Both networks are read by the decoder that the program declares for the output.

    Raises:
        AssertionError: more is lost; says both accuracies, on how many samples, and how to replay the saved case.
        EnvironmentProblem, InputError, UnsupportedError: as of `assert_bit_exact`.
    """
    __tracebackhide__ = True
    check_points(max_points)
    program = _program(deployed, inputs if calibration is None else calibration, calibration, options)
    network = FloatNetwork.of(model, program, inputs, output)
    truth = np.asarray(labels)
    x = as_arrays(program, inputs)
    events, classes = program.encode(x), network.classes(x)
    for backend in _backends(backends):
        _check_accuracy(network, Accuracy(program, events, truth, classes, max_points, backend, network.output), x)


def _check_bit_exact(case: BitExact) -> None:
    __tracebackhide__ = True
    check = case.check()
    problem = case.describe(check)
    if problem is None:
        return
    first = cast(Mismatch, check.comparison.first)  # there is a problem
    smaller = _cut_layers(_cut(case, Part((first.batch,), first.time + 1)))
    fail(problem, smaller, _sizes(case.events, smaller.events), of_bit_exact(smaller))


def _cut(case: BitExact, suspect: Part) -> BitExact:
    """The case with the fewest samples and steps that still fail."""

    def part(samples: tuple[int, ...], steps: int) -> BitExact:
        return replace(case, events=select(case.events, samples, steps))

    found = shrink(_whole(case.events), lambda samples, steps: _holds(part(samples, steps).problem), suspect)
    return part(found.samples, found.steps)


def _cut_layers(case: BitExact) -> BitExact:
    """The case with only what leads to its first difference, where that fails too."""
    first = cast(Mismatch, case.check().comparison.first)  # the case fails
    try:
        program = cone(case.program, first.node)
        smaller = replace(case, program=program, events={name: case.events[name] for name in program.inputs})
    except SnnfuseError:  # the rest is no program by itself
        return case
    return smaller if _holds(smaller.problem) else case


def _check_accuracy(network: FloatNetwork, case: Accuracy, x: Mapping[str, NDArray]) -> None:
    __tracebackhide__ = True
    problem = case.problem()
    if problem is None:
        return

    def part(samples: tuple[int, ...], steps: int) -> Accuracy:
        some = select(x, samples, steps)
        events = select(case.events, samples, steps)
        return replace(case, events=events, labels=case.labels[list(samples)], float_classes=network.classes(some))

    whole = _whole(case.events)
    found = shrink(whole, lambda samples, steps: _holds(lambda: part(samples, steps).problem()))
    smaller = part(found.samples, found.steps) if found != whole else case
    kept = select(x, found.samples, found.steps)
    fail(problem, smaller, _sizes(case.events, smaller.events), of_accuracy(network, smaller, kept))


def _holds(problem: Callable[[], str | None]) -> bool:
    """Whether a smaller case fails in the way looked for. One that does not run at all must not hide the failure that was found."""
    try:
        return problem() is not None
    except Exception:
        return False


def _whole(events: Mapping[str, NDArray]) -> Part:
    time, batch = next(iter(events.values())).shape[:2]
    return Part(tuple(range(batch)), time)


def _sizes(before: Mapping[str, NDArray], after: Mapping[str, NDArray]) -> str:
    (time, batch), (steps, samples) = (next(iter(events.values())).shape[:2] for events in (before, after))
    return f"shrunk from {batch} samples of {time} steps to {samples} of {steps}"


def _backends(given: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(given, str):
        raise InputError(f"backends is a sequence of names, such as ({given!r},)")
    chosen, names = settings.current().backends if given is None else tuple(given), settings.known_backends()
    known, unknown = ", ".join(names), [name for name in chosen if name not in names]
    if unknown or not chosen:
        raise InputError(f"unknown backend {unknown[0]!r}; there are {known}" if unknown else f"no backend is named; there are {known}")
    return chosen


def _program(given: Any, calibration: Inputs, explicit: Inputs | None, options: Mapping[str, Any]) -> Program:
    if isinstance(given, Program) and (explicit is not None or options):
        raise InputError("a Program is quantized already: calibration and quantize's options go with a network")
    return given if isinstance(given, Program) else deploy(given, calibration, options)


def _only_program(given: Any) -> Program:
    if not isinstance(given, Program):
        raise InputError(f"a Program is placed on a board, not a {type(given).__name__}: make one with snnfuse.export.quantize")
    return given


def _events(program: Program, inputs: Inputs) -> dict[str, NDArray[np.int32]]:
    """Integers are events already, floats are encoded; a mixture could mean either."""
    arrays = as_arrays(program, inputs)
    integers = {name for name, array in arrays.items() if array.dtype.kind in "iub"}
    if integers and len(integers) < len(arrays):
        raise InputError(f"inputs are integers for {', '.join(sorted(integers))} and floats for the rest; give events or floats, not both")
    return check_events(program, arrays) if integers else program.encode(arrays)
