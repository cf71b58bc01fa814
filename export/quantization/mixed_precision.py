"""The cheapest bit widths: which population can do with fewer bits, so that accuracy drops by no more than is allowed.

Every population is fitted alone, once for every choice of bits and groups, on one half of the samples (those at even places). From the
finest choice of each, one population at a time takes the next cheaper one: always the one that adds least to what is wrong with its
spikes for the bytes that it saves. The program of all fits then runs on the other half, which no fit has seen, and that half's accuracy
decides whether the step stands; a population whose step is refused keeps what it has. Nothing is drawn at random.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun, simulate
from snnfuse.export.lowering.network import Network
from snnfuse.export.quantization.calibration import SPLIT_BITS, alone, quality
from snnfuse.export.quantization.fitting import Fit, Input
from snnfuse.export.quantization.quantize_network import Quantized, assemble, calibration_run, fit_one, prepare, with_effects
from snnfuse.export.quantization.settings import DEFAULTS, QuantizationSettings, Width
from snnfuse.export.targets import LAVA, Target
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.chip import Board, count
from snnfuse.hardware.errors import DoesNotFitError, InputError, UnsupportedError
from snnfuse.hardware.ir.encoding import reduce_window, scores
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS
from snnfuse.hardware.ir.program import Program


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


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to.

    Attributes:
        quantized: the program of the cheapest accepted assignment.
        points: every assignment tried, in order; the first is the finest.
        float_accuracy: of the float network on the held-out half.
        judged_by: "labels", or "the float network's classes".
        samples: of both halves.
    """

    quantized: Quantized
    points: tuple[Point, ...]
    float_accuracy: float
    judged_by: str
    samples: tuple[int, int]

    @property
    def best(self) -> Point:
        """The cheapest that is accepted; the first of these."""
        return min((p for p in self.points if p.accepted), key=lambda p: p.memory)

    @property
    def front(self) -> tuple[Point, ...]:
        """The points that no cheaper one equals, by memory."""
        front: list[Point] = []
        for point in sorted(self.points, key=lambda p: (p.memory, -p.accuracy)):
            if not front or point.accuracy > front[-1].accuracy:
                front.append(point)
        return tuple(front)


@dataclass(frozen=True, eq=False)
class Context:
    """What fits are made of: a network in chip form, its inputs as declared, and one half's events and float run."""

    network: Network
    inputs: Mapping[str, Input]
    events: Mapping[str, NDArray]
    run: FloatRun


Task = tuple[str, Choice]
Mapper = Callable[[Callable[[Context, Task], "Fit | None"], Context, Sequence[Task]], Iterable["Fit | None"]]


def in_turn(function: Callable[[Context, Task], Fit | None], context: Context, tasks: Sequence[Task]) -> list[Fit | None]:
    """Every task here, one after the other."""
    return [function(context, task) for task in tasks]


def search(
    graph: object,
    calibration: Mapping[str, NDArray],
    labels: NDArray[np.int64] | None,
    max_drop: float,
    *,
    settings: QuantizationSettings = DEFAULTS,
    target: Target = LAVA,
    mapper: Mapper = in_turn,
) -> Found:
    """The cheapest program whose accuracy drops by at most `max_drop` points from the float network's.

    Args:
        graph, calibration: as for `quantize`; two samples or more.
        labels: (batch,); None: the classes of the float network take their place, so that the drop is disagreement.
        max_drop: percentage points, 0 or more.
        settings: how to round; its bits of weights are what is searched.
        target: what the program is for, on whose board's cores memory is counted.
        mapper: runs the fits, each of which stands alone: `in_turn`, or over a cluster; the result is the same.

    Raises:
        InputError: too few samples, several outputs, or max_drop below 0.
        UnsupportedError: even the finest choice drops further.
    """
    if not max_drop >= 0:
        raise InputError(f"max_drop must be 0 percentage points or more, not {max_drop}")
    network, x, inputs = prepare(graph, calibration, settings, target)
    batch = next(iter(x.values())).shape[1]
    if batch < 2 or len(network.outputs) != 1:
        raise InputError("a search needs two samples or more, half of them to decide, and a network of one output")
    seen, held = ({n: a[:, half::2] for n, a in x.items()} for half in (0, 1))
    context = Context(network, inputs, *calibration_run(network, seen, inputs))
    ladders = _ladders(context, choices(settings.max_groups, target.weight_bits), mapper, target.limits)
    judge = _Judge(context, held, None if labels is None else labels[1::2], max_drop, settings.decoder)
    points, fits = _descend(ladders, judge)
    program = assemble(network, fits, inputs, settings.decoder)
    quantized = with_effects(network, program, seen, fits)
    judged_by = "labels" if labels is not None else "the float network's classes"
    return Found(quantized, tuple(points), judge.float_accuracy, judged_by, ((batch + 1) // 2, batch // 2))


def choices(max_groups: int, most: int = WEIGHT_BITS) -> list[Choice]:
    """All that are tried of a population, in weights of at most so many bits."""
    plain = [Choice(bits, groups) for groups in range(1, max_groups + 1) for bits in range(1, most + 1)]
    return plain + [Choice((bits, bits), 1) for bits in range(1, min(SPLIT_BITS, most) + 1)]


def fit_choice(context: Context, task: Task) -> Fit | None:
    """The fit of one population in one way; None where the chip's ranges allow none."""
    name, choice = task
    try:
        return fit_one(context.network, name, context.run, context.events, context.inputs, choice.width, choice.groups)
    except UnsupportedError:
        return None


Rung = tuple[int, Choice, Fit]


def _ladders(context: Context, options: list[Choice], mapper: Mapper, board: Board) -> dict[str, list[Rung]]:
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
    program = alone(context.network, name, fit, context.inputs)
    try:
        return sum(layer.memory for layer in count(program, board).layers)
    except DoesNotFitError:
        return None


class _Judge:
    """Accuracy on the held-out half."""

    def __init__(self, context: Context, held: Mapping[str, NDArray], labels: NDArray | None, max_drop: float, decoder: object) -> None:
        self.context, self.held, self.decoder = context, held, decoder
        (node,) = context.network.outputs.values()
        run = simulate(context.network, held)
        rule = decoder or ("membrane_sum" if context.network.populations[node].is_readout else "spike_count")
        values = run.spikes[node] if rule == "spike_count" else run.v[node]
        classes = _classes(reduce_window(rule, values))
        self.labels = classes if labels is None else labels
        self.float_accuracy = float((classes == self.labels).mean())
        self.least = self.float_accuracy - max_drop / 100 - 1e-12

    def point(self, rungs: Mapping[str, Rung]) -> Point:
        program = assemble(self.context.network, {n: r[2] for n, r in rungs.items()}, self.context.inputs, self.decoder)
        accuracy = float((_classes(_scores(program, self.held)) == self.labels).mean())
        return Point({n: r[1] for n, r in rungs.items()}, sum(r[0] for r in rungs.values()), accuracy, accuracy >= self.least)


def _scores(program: Program, x: Mapping[str, NDArray]) -> NDArray:
    return scores(program, emulate(program, program.encode(x)))


def _classes(values: NDArray) -> NDArray[np.int64]:
    return values.reshape(len(values), -1).argmax(1)


def _descend(ladders: Mapping[str, list[Rung]], judge: _Judge) -> tuple[list[Point], dict[str, Fit]]:
    """Steps down the ladders, each verified; the points tried, and the fits of the last that stood."""
    at = dict.fromkeys(ladders, 0)
    points = [judge.point({n: ladders[n][i] for n, i in at.items()})]
    if not points[0].accepted:
        raise UnsupportedError(
            f"the finest weights bring {points[0].accuracy:.2%} on the held-out half, where the float network has "
            f"{judge.float_accuracy:.2%}: no choice of bits keeps within the drop; allow more (--max-drop, --max-groups), or fine-tune"
        )
    open_ = {name for name, rungs in ladders.items() if len(rungs) > 1}
    while open_:
        name = min(sorted(open_), key=lambda n: _price(ladders[n], at[n]))
        tried = {**at, name: at[name] + 1}
        points.append(judge.point({n: ladders[n][i] for n, i in tried.items()}))
        if points[-1].accepted:
            at = tried
        if not points[-1].accepted or at[name] + 1 == len(ladders[name]):
            open_.remove(name)
    return points, {n: ladders[n][i][2] for n, i in at.items()}


def _price(rungs: list[Rung], at: int) -> float:
    """What the next step adds to what is wrong, per byte that it saves."""
    (memory, _, fit), (less, _, worse) = rungs[at], rungs[at + 1]
    return (quality(worse) - quality(fit)) / (memory - less)
