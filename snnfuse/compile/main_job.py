"""The main job: a source to its programs, checked against the target, measured and proved, and the bundle of them."""

import math
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnfuse.compile.accuracy import check_labels, describe_decoder, float_accuracy, program_accuracy
from snnfuse.compile.doubts import doubtful_classes
from snnfuse.compile.integers import Integers
from snnfuse.compile.open_samples import samples_of
from snnfuse.compile.settings import DEFAULTS, Settings
from snnfuse.compile.sources import Source
from snnfuse.compile.tracing import MEASURED_SAMPLES
from snnfuse.data.samples import Samples
from snnfuse.export.bundle.compiled import Compiled, Stage
from snnfuse.export.bundle.content import network_files
from snnfuse.export.targets import LOIHI2, Target
from snnfuse.hardware import Program
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.errors import CalibrationWarning, UnsupportedError

if TYPE_CHECKING:
    from snnfuse.export.bundle.bundle import Bundle
    from snnfuse.export.staging.staged import StagedGraph

GOLDEN_SAMPLES = 32
GOLDEN_UPDATES = 4_000_000  # neurons times steps: what Lava, on which `verify` runs them, does within minutes
FAST_S = 0.5  # seconds of processor time that a search for overflows may take by default
Step = Callable[[str], AbstractContextManager[Any]]


def compile(
    source: Source,
    samples: Any = None,
    settings: Settings = DEFAULTS,
    target: Target = LOIHI2,
    step: Step = lambda what: nullcontext(),
) -> Compiled:
    """Compile a source for a target, and measure what became of it.

    Args:
        source: as of `open_source` or `source_of`.
        samples: `Samples`, arrays, tensors, a torch Dataset or DataLoader, as of `samples_of`, by the source's names; they calibrate and
            measure, and the first ones become the golden vectors. With settings.layout "static" they have no time axis, and stay for
            settings.time_steps. None for a source of integers, or for target `nir`.
        settings: how.
        target: for what, with the board whose limits hold.
        step: told what begins; the context that it returns lasts as long.

    Raises:
        UnsupportedError, DoesNotFitError, InputError: as of the source's own ways and `Target.place`; InputError for
            labels that are none of the output's classes; UnsupportedError for a network in stages and a target that holds one network.
    """
    floats = None
    if samples is not None and not isinstance(samples, Samples):
        static = settings.time_steps if settings.layout == "static" else None
        samples = samples_of(samples, batch_first=settings.batch_first, static_steps=static)
        samples = samples if source.floats is None else samples.named(source.inputs)
    if source.floats is not None:
        with step("making the float network"):
            floats = source.floats(samples, settings)
            _check_stages(floats, settings, target)
        if samples is not None and not source.inputs:
            samples = samples.renamed(tuple(floats.stages[0].inputs))
    if not target.has_program:
        return _graph_only(source, floats, samples, settings, target)
    with step("choosing integers"):
        made = source.integers(floats, samples, settings, target)
    with step("running golden inputs"):
        compiled = measured(made, target)
    if settings.prove == "off":
        return compiled
    with step("proving that nothing overflows"):
        return with_proof(compiled, settings.prove)


def save(path: str | Path, compiled: Compiled, *, force: bool = False) -> "Bundle":
    """Write a bundle with its page, report.html; errors as of `snnfuse.export.write_bundle`."""
    from snnfuse.export.bundle.bundle import write_compiled
    from snnfuse.report import whole_page

    return write_compiled(path, compiled, page=whole_page, force=force)


def _check_stages(floats: "StagedGraph", settings: Settings, target: Target) -> None:
    if (len(floats.stages) > 1 or settings.l2 == "host") and "stages" not in target.holds:
        raise UnsupportedError(
            f"target={target.name!r} holds one network, and this one becomes several, with a host between them, for whose counting, "
            "averaging and normalising a graph has no words; use target='loihi2' or target='lava', whose bundle holds both per stage"
        )


def _graph_only(source: Source, floats: "StagedGraph | None", samples: Samples | None, settings: Settings, target: Target) -> Compiled:
    from snnfuse.export.lowering.graph_metadata import read_notes
    from snnfuse.export.lowering.nir_to_network import lower
    from snnfuse.export.lowering.notes import note_entries

    if floats is None:
        raise UnsupportedError(
            f"{source.name}: it holds integers, of which there is no float graph; use target='loihi2', target='lava' or target='netx'"
        )
    (graph,) = floats.stages
    if source.kind == "graph":  # a foreign one is checked as for any other target; what was traced here is known to be whole
        lower(graph, settings.dt)
    unread = note_entries(graph, None if samples is None else samples.select(slice(MEASURED_SAMPLES)).inputs, settings.dt)
    return Compiled(target, (Stage(graph, graph_ledger=read_notes(graph).ledger + unread),))


def measured(made: Integers, target: Target) -> Compiled:
    """Programs, placed where the target is a board, with golden vectors, modelled energy and their accuracy."""
    pipeline, samples = made.pipeline, made.samples
    check_labels(pipeline.programs[-1], samples)
    placed = [target.place(program) for program in pipeline.programs]
    golden = run_pipeline(pipeline, pipeline.encode(golden_samples(samples, *pipeline.programs).inputs), record="all").recordings
    parts = zip(made.graphs, pipeline.programs, golden, placed, (dict(told) for told in made.stages), strict=True)
    stages = tuple(_with_energy(Stage(graph, program, run, resources, report=told)) for graph, program, run, resources, told in parts)
    if len(stages) > 1:
        stages = tuple(_from_samples(stage, samples, number) for number, stage in enumerate(stages, 1))
    told, doubts = figures(made)
    for text in doubts:
        warnings.warn(text, CalibrationWarning, stacklevel=2)
    stages = (*stages[:-1], _with_warnings(stages[-1], doubts))
    compiled = Compiled(target, stages, pipeline.links, {**told, **made.report}, made.files)
    if "network.net" in target.holds:
        network_files(compiled)  # refuses what such a file cannot say, before more work is done
    return compiled


def golden_samples(samples: Samples, *programs: Program) -> Samples:
    """The first ones, whose results a bundle holds: `GOLDEN_SAMPLES`, or as many as keep to `GOLDEN_UPDATES`, one at least."""
    neurons = sum(math.prod(node.shape) for program in programs for node in program.neurons.values())
    steps = next(iter(samples.inputs.values())).shape[0]
    return samples.select(slice(max(1, min(GOLDEN_SAMPLES, GOLDEN_UPDATES // max(1, neurons * steps)))))


def _with_energy(stage: Stage) -> Stage:
    """The same with energy and time of an inference in its report, modelled from the golden vectors, where it was placed on a board."""
    if stage.resources is None or stage.program is None or stage.golden is None:
        return stage
    from snnfuse.hardware.energy import energy_of

    found = energy_of(stage.program, [stage.golden], stage.resources.board)
    return replace(stage, report={**stage.report, "energy": found.to_json()})


def _from_samples(stage: Stage, samples: Samples, number: int) -> Stage:
    about = samples.about | {"source": f"{samples.source}, stage {number}"}
    return replace(stage, report={"calibration": about, **stage.report})


def _with_warnings(stage: Stage, found: tuple[str, ...]) -> Stage:
    return replace(stage, report={**stage.report, "warnings": [*stage.report.get("warnings", ()), *found]}) if found else stage


def _forward(made: Integers) -> str:
    """How the forward of a traced model takes time, in words; empty for anything else."""
    from snnfuse.export.lowering.graph_metadata import read_notes

    graphs = [graph for graph in made.graphs if graph is not None]
    return read_notes(graphs[0]).forward if len(graphs) == 1 else ""


def figures(made: Integers) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What calibrated the programs and, where the samples have labels and an output decides, the accuracy on them; of integers that were
    not calibrated, what made the golden vectors. And what the labels tell of how outputs are read, in sentences."""
    found, doubts = _calibrated(made)
    return found | ({"forward": forward} if (forward := _forward(made)) else {}), doubts


def _calibrated(made: Integers) -> tuple[dict[str, Any], tuple[str, ...]]:
    pipeline, samples = made.pipeline, made.samples
    last = pipeline.programs[-1]
    if made.floats is None:
        return {"golden_vectors": golden_samples(samples, *pipeline.programs).about}, ()
    if samples.labels is None:
        return {"calibration": samples.about}, ()
    if last.decides is None:
        named = next(iter(last.outputs))
        said = f"the samples have labels, and of the outputs {', '.join(last.outputs)} none is named to decide; say output={named!r}"
        return {"calibration": samples.about}, (said,)
    recording = run_pipeline(pipeline, pipeline.encode(samples.inputs)).recordings[-1]
    doubt = doubtful_classes(last, recording, samples.labels)
    found = {
        "decoder": describe_decoder(last),
        "samples": len(samples),
        "float": float_accuracy(made.floats, pipeline, samples),
        "program": program_accuracy(last, recording, samples),
    }
    return {"calibration": samples.about, "calibration_accuracy": found}, () if doubt is None else (doubt,)


def with_proof(compiled: Compiled, effort: str) -> Compiled:
    """The same with an overflow proof in each stage's report, as rows of `snnfuse.hardware.overflow.to_json`: for windows of any length,
    or where a program sums over time, as long as the calibration data's.

    Args:
        compiled: what may run; on the calibration data it is known not to wrap.
        effort: "fast", bounds and `FAST_S` seconds of search for witnesses; "full", as long as that search takes; "off", no proof.
    """
    return compiled if effort == "off" else replace(compiled, stages=tuple(_proved(stage, effort) for stage in compiled.stages))


def _proved(stage: Stage, effort: str) -> Stage:
    from snnfuse.hardware.overflow import prove, sums_over_time, to_json

    program, golden = stage.program, stage.golden
    if program is None or golden is None:
        return stage
    steps = len(next(iter(golden.events.values()))) if sums_over_time(program) else None  # a sum is bounded by its window
    verdicts = prove(program, steps, seconds=FAST_S if effort == "fast" else None)
    return replace(stage, report={**stage.report, "overflow": to_json(verdicts, steps)})
