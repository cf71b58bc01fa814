"""The main job from the float graph on, each step a call: compile it, measure it, write the bundle."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.compile.accuracy import check_labels, describe_decoder, float_accuracy, program_accuracy
from snnfuse.compile.sources import Graph
from snnfuse.data.samples import Samples
from snnfuse.hardware import Program, Recording, emulate
from snnfuse.hardware.chip import Resources, check_chip

if TYPE_CHECKING:
    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.export.quantization.settings import WeightBits
    from snnfuse.nn import FixedPointNetwork

GOLDEN_SAMPLES = 32
GOLDEN_UPDATES = 4_000_000  # neurons times steps: what Lava, on which `verify` runs them, does within minutes
PARETO = "pareto.svg"
FAST_S = 5.0  # seconds that a search for overflows may take by default


@dataclass(frozen=True, eq=False)
class Compiled:
    """A program, and what is known about it.

    Attributes:
        graph: what it was made from; None where that was integers.
        program: the integers.
        target: "loihi2", "lava" or "netx".
        resources: what it takes of a board; None for other targets than loihi2.
        events, golden: encoded inputs, and what the program makes of them, every layer.
        report: JSON-able figures.
        files: what else the bundle holds, by name.
    """

    graph: Graph | None
    program: Program
    target: str
    resources: Resources | None
    events: dict[str, NDArray[np.int32]]
    golden: Recording
    report: dict[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)


def compile_program(
    graph: Graph,
    samples: Samples,
    *,
    target: str = "loihi2",
    dt: float | None = None,
    reset: str | None = None,
    weight_bits: "WeightBits" = 8,
    input_bits: int = 12,
    max_groups: int = 2,
    board: str = "oheo-gulch",
) -> Compiled:
    """Integers for a graph, checked against the target and measured on the samples that calibrated them.

    Args:
        graph: the float graph.
        samples: calibration inputs; the first ones become the golden vectors.
        target: "loihi2", checked against the chip's limits, "lava" or "netx".
        dt, reset, weight_bits, input_bits, max_groups: as for `snnfuse.export.quantize`.
        board: as for `snnfuse.hardware.chip.check_chip`.

    Raises:
        UnsupportedError, DoesNotFitError, InputError: as those do; InputError for labels that are none of the output's classes.
    """
    from snnfuse.export.quantization.quantize_network import quantize_measured
    from snnfuse.export.quantization.settings import QuantizationSettings
    from snnfuse.export.targets import find_target

    settings = QuantizationSettings(dt, reset, weight_bits, input_bits, max_groups)
    found = quantize_measured(graph.nir, samples.inputs, settings, find_target(target, board))
    compiled = _compiled(graph, found.program, samples, target, board)
    more = {"layers": [asdict(layer) for layer in found.layers], "warnings": list(found.warnings)}
    return replace(compiled, report=compiled.report | more)


def search_program(
    graph: Graph,
    samples: Samples,
    max_drop: float,
    *,
    target: str = "loihi2",
    dt: float | None = None,
    reset: str | None = None,
    input_bits: int = 12,
    max_groups: int = 2,
    board: str = "oheo-gulch",
    cluster: str | None = None,
) -> Compiled:
    """The cheapest program within an accuracy drop; `snnfuse.export.quantization.mixed_precision` says how, the report what was tried.

    Args:
        graph, samples: as for `compile_program`; without labels the float network's classes take their place.
        max_drop: percentage points.
        target, dt, reset, input_bits, max_groups, board: as for `compile_program`.
        cluster: a ray cluster that fits run on, as for `snnfuse.hardware.emulate_on_cluster`; None: this process, with the same result.
    """
    from snnfuse.compile.search_plot import draw, to_json
    from snnfuse.export.quantization.mixed_precision import in_turn, search
    from snnfuse.export.quantization.ray_mapper import on_cluster
    from snnfuse.export.quantization.settings import QuantizationSettings
    from snnfuse.export.targets import find_target

    mapper = in_turn if cluster is None else on_cluster(cluster)
    settings = QuantizationSettings(dt, reset, input_bits=input_bits, max_groups=max_groups)
    place = find_target(target, board)
    found = search(graph.nir, samples.inputs, samples.labels, max_drop, settings=settings, target=place, mapper=mapper)
    compiled = _compiled(graph, found.quantized.program, samples, target, board)
    more = {"layers": [asdict(layer) for layer in found.quantized.layers], "warnings": list(found.quantized.warnings)}
    files = {PARETO: draw(found, max_drop)}
    return replace(compiled, report=compiled.report | more | {"search": to_json(found, max_drop)}, files=files)


def with_proof(compiled: Compiled, effort: str) -> Compiled:
    """The same with the overflow proof in its report, as rows of `snnfuse.hardware.overflow.to_json`: for windows of any length, or where
    the program sums over time, as long as the calibration data's.

    Args:
        compiled: what may run; on the calibration data it is known not to wrap.
        effort: "fast", bounds and `FAST_S` seconds of search for witnesses; "full", as long as that search takes; "off", no proof.
    """
    if effort == "off":
        return compiled
    from snnfuse.hardware.overflow import prove, sums_over_time, to_json

    steps = len(next(iter(compiled.events.values()))) if sums_over_time(compiled.program) else None  # a sum is bounded by its window
    verdicts = prove(compiled.program, steps, seconds=FAST_S if effort == "fast" else None)
    return replace(compiled, report=compiled.report | {"overflow": to_json(verdicts, steps)})


def compile_trained(net: "FixedPointNetwork", samples: Samples, *, target: str = "loihi2", board: str = "oheo-gulch") -> Compiled:
    """The program of a network that was trained in the chip's arithmetic: the integers that its forward uses.

    Args:
        net: as `open_model` gives it; the graph it started from is the float one that it is compared with.
        samples: inputs on which agreement is measured; the first ones become the golden vectors.
        target, board: as for `compile_program`.

    Raises:
        UnsupportedError, DoesNotFitError, InputError: as of `compile_program`.
    """
    from snnfuse.nn.measured import measured_program

    return _compiled(Graph(net.graph, ()), measured_program(net, samples.inputs), samples, target, board)


def _compiled(graph: Graph, program: Program, samples: Samples, target: str, board: str) -> Compiled:
    check_labels(program, samples)
    resources = check_chip(program, board) if target == "loihi2" else None
    events = program.encode(golden_samples(samples, program).inputs)
    golden = emulate(program, events, record="all")
    return with_energy(Compiled(graph, program, target, resources, events, golden, report(graph, program, samples)))


def golden_samples(samples: Samples, *programs: Program) -> Samples:
    """The first ones, whose results a bundle holds: `GOLDEN_SAMPLES`, or as many as keep to `GOLDEN_UPDATES`, one at least."""
    neurons = sum(math.prod(node.shape) for program in programs for node in program.neurons.values())
    steps = next(iter(samples.inputs.values())).shape[0]
    return samples.select(slice(max(1, min(GOLDEN_SAMPLES, GOLDEN_UPDATES // max(1, neurons * steps)))))


def with_energy(compiled: Compiled) -> Compiled:
    """The same with energy and time of an inference in its report, modelled from the golden vectors, where it was placed on a board."""
    if compiled.resources is None:
        return compiled
    from snnfuse.hardware.energy import energy_of

    found = energy_of(compiled.program, [compiled.golden], compiled.resources.board)
    return replace(compiled, report=compiled.report | {"energy": found.to_json()})


def report(graph: Graph, program: Program, samples: Samples) -> dict[str, Any]:
    """What calibrated a program and, where the samples have labels and it has one output, its accuracy on them."""
    if samples.labels is None or len(program.outputs) != 1:
        return {"calibration": samples.about}
    figures = {
        "decoder": describe_decoder(program),
        "samples": len(samples),
        "float": float_accuracy(graph, program, samples),
        "program": program_accuracy(program, emulate(program, program.encode(samples.inputs)), samples),
    }
    return {"calibration": samples.about, "calibration_accuracy": figures}


def save_compiled(path: str | Path, compiled: Compiled, *, force: bool = False) -> "Bundle":
    """Write a bundle with its page, report.html; errors as of `snnfuse.export.write_bundle`."""
    from snnfuse.export import write_bundle
    from snnfuse.report import whole_page

    return write_bundle(
        path,
        graph=compiled.graph.nir if compiled.graph else None,
        program=compiled.program,
        events=compiled.events,
        golden=compiled.golden,
        target=compiled.target,
        resources=compiled.resources,
        report=compiled.report,
        files=compiled.files,
        page=whole_page,
        force=force,
    )
