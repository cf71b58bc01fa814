"""The search for the cheapest bit widths, over all stages of a network; `snnfuse.export.quantization.mixed_precision` says how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.lowering.outputs import output_values
from snnfuse.export.quantization.assembly import assemble
from snnfuse.export.quantization.fitting import Fit, Input
from snnfuse.export.quantization.mixed_precision import Mapper, Point, Rung, choices, descend, in_turn, ladders_of
from snnfuse.export.quantization.population_fits import Context, calibrate
from snnfuse.export.quantization.quantize_network import prepare, with_effects
from snnfuse.export.quantization.reading import EACH_OWN, Reading, decision, declared
from snnfuse.export.quantization.settings import DEFAULTS, QuantizationSettings
from snnfuse.export.staging.staged import Fed, QuantizedStages, StagedGraph, feed_stages, wire
from snnfuse.export.targets import LAVA, Target
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import decoded
from snnfuse.hardware.ir.pipeline import Link, Pipeline, layer_name

Arrays = Mapping[str, NDArray]
Fits = Mapping[str, Fit]


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to.

    Attributes:
        quantized: the programs of the cheapest accepted assignment.
        points: every assignment tried, in order; the first is the finest.
        float_accuracy: of the float network on the held-out half.
        judged_by: "labels", or "the float network's classes".
        samples: of both halves.
    """

    quantized: QuantizedStages
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
class Part:
    """A stage that is searched: what it is made from, and what its fits on one half of the samples, `seen`, are made of."""

    fed: Fed
    seen: Arrays
    context: Context


def search(
    staged: StagedGraph,
    calibration: Arrays,
    labels: NDArray[np.int64] | None,
    max_drop: float,
    *,
    settings: QuantizationSettings = DEFAULTS,
    target: Target = LAVA,
    mapper: Mapper = in_turn,
    finish: Callable[[Pipeline], Pipeline] = lambda pipeline: pipeline,
) -> Found:
    """The cheapest programs whose accuracy drops by at most `max_drop` points from the float network's.

    Args:
        staged, calibration: as for `quantize_staged`; two samples or more.
        labels: (batch,); None: the classes of the float network take their place, so that the drop is disagreement.
        max_drop: percentage points, 0 or more.
        settings: how to round; its bits of weights are what is searched.
        target: what the programs are for, on whose board's cores memory is counted.
        mapper: runs the fits, each of which stands alone: `in_turn`, or over a cluster; the result is the same.
        finish: makes of the programs what is to run, and so is judged.

    Raises:
        InputError: too few samples, several outputs, or max_drop below 0.
        UnsupportedError: even the finest choice drops further.
    """
    if not max_drop >= 0:
        raise InputError(f"max_drop must be 0 percentage points or more, not {max_drop}")
    parts, last = parts_of(staged, calibration, settings, target)
    batch = next(iter(last.values())).shape[1]
    if batch < 2 or decision(parts[-1].context.network, settings.reading) is None:
        raise InputError("a search needs two samples or more, half of them to decide, and an output that decides: name it with output")
    options = choices(settings.max_groups, target.weight_bits)
    by_stage = [ladders_of(part.context, options, mapper, target.limits) for part in parts]
    ladders = {layer_name(len(parts), i, name): rungs for i, ladder in enumerate(by_stage) for name, rungs in ladder.items()}
    classes = _float_classes(parts[-1], _half(last, 1), settings.reading)
    wanted, held = classes if labels is None else labels[1::2], _half(calibration, 1)
    float_accuracy = float((classes == wanted).mean())

    def judge(rungs: Mapping[str, Rung]) -> Point:
        pipeline = finish(assembled(parts, staged.links, {n: r[2] for n, r in rungs.items()}, settings.reading))
        found = pipeline.decode(run_pipeline(pipeline, pipeline.encode(held)).recordings)
        accuracy = float((found == wanted).mean())
        stands = accuracy >= float_accuracy - max_drop / 100 - 1e-12
        return Point({n: r[1] for n, r in rungs.items()}, sum(r[0] for r in rungs.values()), accuracy, stands)

    points, fits = descend(ladders, judge, float_accuracy)
    judged_by = "labels" if labels is not None else "the float network's classes"
    made = _measured(parts, staged.links, fits, settings.reading)
    return Found(made, tuple(points), float_accuracy, judged_by, ((batch + 1) // 2, batch // 2))


def parts_of(
    staged: StagedGraph, calibration: Arrays, settings: QuantizationSettings, target: Target
) -> tuple[list[Part], dict[str, NDArray]]:
    """Every stage, ready to be fitted; and what the last one is fed, of all samples."""
    known: dict[str, Input] = {}
    parts: list[Part] = []
    x: dict[str, NDArray] = {}
    for fed in feed_stages(staged, calibration, settings, target):
        chosen = settings if len(parts) + 1 == len(staged.stages) else settings.of_earlier_stage
        network, x, inputs = prepare(fed.graph, fed.inputs, chosen, target, {**known, **fed.declared})
        known |= inputs
        seen = _half(x, 0)
        parts.append(Part(fed, seen, calibrate(network, seen, inputs)))
    return parts, x


def _half(x: Arrays, first: int) -> dict[str, NDArray]:
    return {name: array[:, first::2] for name, array in x.items()}


def assembled(parts: Sequence[Part], links: tuple[Link, ...], fits: Fits, asked: Reading) -> Pipeline:
    """The programs of fits, by `layer_name`; the outputs of the last stage are read as asked."""
    own = [{name: fits[layer_name(len(parts), i, name)] for name in part.context.network.order} for i, part in enumerate(parts)]
    rules = [*[EACH_OWN] * (len(parts) - 1), asked]
    programs = (assemble(p.context.network, found, p.context.inputs, rule) for p, found, rule in zip(parts, own, rules))
    return wire(links, tuple(programs), [{name: fit.scale for name, fit in found.items()} for found in own])


def _measured(parts: Sequence[Part], links: tuple[Link, ...], fits: Fits, asked: Reading) -> QuantizedStages:
    pipeline = assembled(parts, links, fits, asked)
    stages = []
    for i, (part, program) in enumerate(zip(parts, pipeline.programs)):
        own = {name: fits[layer_name(len(parts), i, name)] for name in part.context.network.order}
        stages.append(part.fed.with_entries(with_effects(part.context.network, program, part.seen, own)))
    return QuantizedStages(replace(pipeline, programs=tuple(stage.program for stage in stages)), tuple(stages))


def _float_classes(part: Part, x: Arrays, asked: Reading) -> NDArray[np.int64]:
    """What the float network's last stage says of its inputs, (batch,)."""
    network = part.context.network
    name = decision(network, asked)
    assert name is not None  # by search
    values = decoded(declared(network, asked)[name], output_values(network, simulate(network, x), name))
    return values.reshape(len(values), -1).argmax(1)
