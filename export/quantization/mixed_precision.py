"""The cheapest bit widths: which population can do with fewer bits, so that accuracy drops by no more than is allowed.

Every population is fitted alone, once for every choice of bits and groups, on one half of the samples (those at even places). From the
finest choice of each, one population at a time takes the next cheaper one: always the one that adds least to what is wrong with its
spikes for the bytes that it saves. The program of all fits then runs on the other half, which no fit has seen, and that half's accuracy
decides whether the step stands; a population whose step is refused keeps what it has. Nothing is drawn at random.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from snnfuse.export.quantization.calibration import quality
from snnfuse.export.quantization.candidates import SPLIT_BITS
from snnfuse.export.quantization.fed_population import alone
from snnfuse.export.quantization.fitting import Fit
from snnfuse.export.quantization.population_fits import Context, fit_one
from snnfuse.export.quantization.settings import Width
from snnfuse.hardware.chip import Board, count
from snnfuse.hardware.errors import DoesNotFitError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS


@dataclass(frozen=True)
class Choice:
    """How one population's weights may be held: `weight_bits` and `max_groups` of `quantize`, for it alone."""

    width: Width
    groups: int


@dataclass(frozen=True)
class Point:
    """One assignment that was tried.

    Attributes:
        choices: by population.
        memory: bytes of synapse memory, as `snnfuse.hardware.chip` counts.
        accuracy: on the held-out half, in [0, 1].
        accepted: whether it drops no further than allowed.
    """

    choices: Mapping[str, Choice]
    memory: int
    accuracy: float
    accepted: bool


Task = tuple[str, Choice]
Mapper = Callable[[Callable[[Context, Task], "Fit | None"], Context, Sequence[Task]], Iterable["Fit | None"]]


def in_turn(function: Callable[[Context, Task], Fit | None], context: Context, tasks: Sequence[Task]) -> list[Fit | None]:
    """Every task here, one after the other."""
    return [function(context, task) for task in tasks]


def choices(max_groups: int, most: int = WEIGHT_BITS) -> list[Choice]:
    """All that are tried of a population, in weights of at most so many bits."""
    plain = [Choice(bits, groups) for groups in range(1, max_groups + 1) for bits in range(1, most + 1)]
    return plain + [Choice((bits, bits), 1) for bits in range(1, min(SPLIT_BITS, most) + 1)]


def fit_choice(context: Context, task: Task) -> Fit | None:
    """The fit of one population in one way; None where the chip's ranges allow none."""
    name, choice = task
    try:
        return fit_one(context, name, choice.width, choice.groups)
    except UnsupportedError:
        return None


Rung = tuple[int, Choice, Fit]


Judge = Callable[[Mapping[str, Rung]], Point]
"""Runs the program of an assignment, and says whether it stands."""


def ladders_of(context: Context, options: list[Choice], mapper: Mapper, board: Board) -> dict[str, list[Rung]]:
    """By population, bytes, choice and fit: from the finest to the cheapest, each cheaper and worse than the one before."""
    tasks = [(name, choice) for name in context.network.order for choice in options]
    by_name: dict[str, list[Rung]] = {name: [] for name in context.network.order}
    for (name, choice), fit in zip(tasks, mapper(fit_choice, context, tasks)):
        memory = None if fit is None else _memory(context, name, fit, board)
        if memory is not None:
            by_name[name].append((memory, choice, fit))
    for name, rungs in by_name.items():
        if not rungs:
            raise UnsupportedError(f"{name!r}: no bit width keeps its weights, threshold and current within the chip's ranges and cores")
    return {name: _useful(rungs) for name, rungs in by_name.items()}


def _useful(rungs: list[Rung]) -> list[Rung]:
    kept: list[Rung] = []
    for rung in sorted(rungs, key=lambda r: (r[0], quality(r[2]))):
        if not kept or quality(rung[2]) < quality(kept[-1][2]):
            kept.append(rung)
    return kept[::-1]


def _memory(context: Context, name: str, fit: Fit, board: Board) -> int | None:
    """Bytes of a population's synapses on its cores; None where it fits none."""
    program = alone(context.network, name, fit, {**context.inputs, **context.payloads})
    try:
        return sum(layer.memory for layer in count(program, board).layers)
    except DoesNotFitError:
        return None


def descend(ladders: Mapping[str, list[Rung]], judge: Judge, float_accuracy: float) -> tuple[list[Point], dict[str, Fit]]:
    """Steps down the ladders, each verified; the points tried, and the fits of the last that stood."""
    at = dict.fromkeys(ladders, 0)
    points = [judge({n: ladders[n][i] for n, i in at.items()})]
    if not points[0].accepted:
        raise UnsupportedError(
            f"the finest weights bring {points[0].accuracy:.2%} on the held-out half, where the float network has "
            f"{float_accuracy:.2%}: no choice of bits keeps within the drop; allow more (max_drop, max_groups), or fine-tune"
        )
    open_ = {name for name, rungs in ladders.items() if len(rungs) > 1}
    while open_:
        name = min(sorted(open_), key=lambda n: _price(ladders[n], at[n]))
        tried = {**at, name: at[name] + 1}
        points.append(judge({n: ladders[n][i] for n, i in tried.items()}))
        if points[-1].accepted:
            at = tried
        if not points[-1].accepted or at[name] + 1 == len(ladders[name]):
            open_.remove(name)
    return points, {n: ladders[n][i][2] for n, i in at.items()}


def _price(rungs: list[Rung], at: int) -> float:
    """What the next step adds to what is wrong, per byte that it saves."""
    (memory, _, fit), (less, _, worse) = rungs[at], rungs[at + 1]
    return (quality(worse) - quality(fit)) / (memory - less)
