"""The main job for a network in stages: a program per stage, measured and written as one bundle."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.compile.accuracy import accuracy, check_labels, describe_decoder, program_accuracy
from snnfuse.compile.compiled import Compiled, golden_samples, with_energy
from snnfuse.compile.sources import Graph
from snnfuse.data.samples import Samples
from snnfuse.hardware import Program, Recording, emulate, scores
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.encoding import output_values, reduce_window
from snnfuse.hardware.ir.pipeline import Pipeline

if TYPE_CHECKING:
    from snnfuse.export.bundle.stages import PipelineBundle
    from snnfuse.export.staging.staged import QuantizedStages, StagedGraph, StageRun

TARGETS = ("loihi2", "lava")


@dataclass(frozen=True, eq=False)
class CompiledPipeline:
    """A pipeline, and what is known about it.

    Attributes:
        pipeline: the programs, wired.
        stages: each as a program of its own, with golden vectors of the pipeline's run.
        report: JSON-able figures of the whole.
    """

    pipeline: Pipeline
    stages: tuple[Compiled, ...]
    report: dict[str, Any]

    @property
    def target(self) -> str:
        """Of every stage."""
        return self.stages[0].target


def compile_pipeline(
    staged: "StagedGraph",
    samples: Samples,
    *,
    target: str = "loihi2",
    dt: float | None = None,
    reset: str | None = None,
    weight_bits: int = 8,
    input_bits: int = 12,
    max_groups: int = 2,
    board: str = "oheo-gulch",
) -> CompiledPipeline:
    """Integers for a network in stages; arguments and errors as of `snnfuse.compile.compiled.compile_program`.

    Raises:
        UnsupportedError: for another target than loihi2 and lava.
    """
    from snnfuse.export.staging.staged import quantize_staged

    check_pipeline_target(target)
    settings = {"dt": dt, "reset": reset, "weight_bits": weight_bits, "input_bits": input_bits, "max_groups": max_groups}
    found = quantize_staged(staged, samples.inputs, **settings)
    check_labels(found.pipeline.programs[-1], samples)
    golden = found.pipeline.run(found.pipeline.encode(golden_samples(samples, *found.pipeline.programs).inputs), record="all").recordings
    graphs = [Graph(graph, ()) for graph in staged.stages]
    made = [
        _stage(graph, quantized.program, recording, target, board, _stage_report(found, number, samples))
        for number, (graph, quantized, recording) in enumerate(zip(graphs, found.stages, golden))
    ]
    return CompiledPipeline(found.pipeline, tuple(made), report(found, samples))


def compile_on_chip(
    graph: Graph,
    samples: Samples,
    *,
    target: str = "loihi2",
    dt: float | None = None,
    reset: str | None = None,
    weight_bits: int = 8,
    input_bits: int = 12,
    max_groups: int = 2,
    board: str = "oheo-gulch",
) -> Compiled:
    """One program that computes L2 on every step in neuron microcode; arguments and errors as of `compile_program`, and of
    `snnfuse.export.staging.l2_on_chip.join`. The float accuracy of its report is that of the network with L2, not with its constant.
    """
    from snnfuse.export.staging.cutting import cut
    from snnfuse.export.staging.l2_on_chip import join
    from snnfuse.export.staging.staged import quantize_staged

    settings = {"dt": dt, "reset": reset, "weight_bits": weight_bits, "input_bits": input_bits, "max_groups": max_groups}
    found = quantize_staged(cut(graph.nir), samples.inputs, **settings)
    program = with_difference(join(found.pipeline), found.pipeline, samples)
    check_labels(program, samples)
    figures = report(found, samples)
    if "calibration_accuracy" in figures:
        figures["calibration_accuracy"]["program"] = program_accuracy(program, emulate(program, program.encode(samples.inputs)), samples)
    figures["layers"] = [asdict(layer) for stage in found.stages for layer in stage.layers]
    figures["warnings"] = [text for stage in found.stages for text in stage.warnings]
    events = program.encode(golden_samples(samples, program).inputs)
    return _stage(graph, program, emulate(program, events, record="all"), target, board, figures)


def with_difference(program: Program, pipeline: Pipeline, samples: Samples) -> Program:
    """The program with what its microcode costs in its ledger: how far its outputs are from those with an exact host."""
    exact = pipeline.run(pipeline.encode(samples.inputs)).recordings[-1]
    found = emulate(program, program.encode(samples.inputs))
    effects = [difference(program, name, found, exact) for name, output in program.outputs.items()]
    names = {link.name for link in pipeline.links}
    effect = f"on {len(samples)} samples, against an exact host: {'; '.join(effects)}"
    return replace(program, ledger=tuple(replace(e, effect=effect) if e.node in names else e for e in program.ledger))


def difference(program: Program, name: str, found: Recording, exact: Recording) -> str:
    """How far an output is from an exact one: spikes that differ, or of a readout the largest difference of its voltage."""
    if program.outputs[name].decoder == "spike_count":
        wrong, spikes = int((found.spikes[name] != exact.spikes[name]).sum()), int(exact.spikes[name].sum())
        return f"{name}: {wrong} spikes differ where there are {spikes}"
    voltages, expected = (output_values(program, of, name).astype(np.int64) for of in (found, exact))
    return f"{name}: voltages differ by up to {np.abs(voltages - expected).max()} where they reach {np.abs(expected).max()}"


def check_pipeline_target(target: str) -> None:
    """UnsupportedError for a target that holds one network only."""
    if target not in TARGETS:
        raise UnsupportedError(
            f"--target {target} holds one network, and this one becomes several, with a host between them; use --target loihi2 or lava, "
            "whose bundle holds a graph and a program per stage"
        )


def _stage(graph: Graph, program: Any, golden: Recording, target: str, board: str, figures: dict[str, Any]) -> Compiled:
    resources = check_chip(program, board) if target == "loihi2" else None
    return with_energy(Compiled(graph, program, target, resources, dict(golden.events), golden, figures))


def _stage_report(found: "QuantizedStages", number: int, samples: Samples) -> dict[str, Any]:
    quantized = found.stages[number]
    about = samples.about | {"source": f"{samples.source}, stage {number + 1}"}
    return {"calibration": about, "layers": [asdict(layer) for layer in quantized.layers], "warnings": list(quantized.warnings)}


def report(found: "QuantizedStages", samples: Samples) -> dict[str, Any]:
    """What calibrated a pipeline and, where the samples have labels and it has one output, its accuracy on them."""
    last = found.pipeline.programs[-1]
    if samples.labels is None or len(last.outputs) != 1:
        return {"calibration": samples.about}
    figures = {
        "decoder": describe_decoder(last),
        "samples": len(samples),
        "float": accuracy(float_scores(found.float_runs[-1], last), samples),
        "program": accuracy(pipeline_scores(found.pipeline, samples), samples),
    }
    return {"calibration": samples.about, "calibration_accuracy": figures}


def float_scores(run: "StageRun", program: Any) -> NDArray[np.float64]:
    """What the float network's only output came to, (batch, *shape), by the decoder of the program made of it."""
    (output,) = program.outputs.values()
    values = run.run.spikes if output.decoder == "spike_count" else run.run.v
    (node,) = run.network.outputs.values()
    return reduce_window(output.decoder, values[node])


def pipeline_scores(pipeline: Pipeline, samples: Samples, backend: str = "emulator") -> NDArray[np.int64]:
    """What the pipeline's only output comes to, (batch, *shape)."""
    run = pipeline.run(pipeline.encode(samples.inputs), backend)
    return scores(pipeline.programs[-1], run.recordings[-1])


def with_proofs(compiled: CompiledPipeline, effort: str) -> CompiledPipeline:
    """The same with an overflow proof per stage; arguments as of `snnfuse.compile.compiled.with_proof`."""
    from snnfuse.compile.compiled import with_proof

    return replace(compiled, stages=tuple(with_proof(stage, effort) for stage in compiled.stages))


def save_pipeline(path: str | Path, compiled: CompiledPipeline, *, force: bool = False) -> "PipelineBundle":
    """Write a bundle with its page, report.html; errors as of `snnfuse.export.bundle.stages.write_pipeline_bundle`."""
    from snnfuse.export.bundle.content import Content
    from snnfuse.export.bundle.stages import write_pipeline_bundle
    from snnfuse.report import whole_page

    contents = [
        Content(c.target, c.graph.nir if c.graph else None, c.program, c.events, c.golden, c.resources, (), c.report, c.files)
        for c in compiled.stages
    ]
    return write_pipeline_bundle(path, contents, compiled.pipeline, report=compiled.report, page=whole_page, force=force)
