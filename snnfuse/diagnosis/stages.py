"""Networks in stages: each stage's program beside its own graph, fed with what the float stages before it carry."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike, NDArray

from snnfuse.diagnosis.examine import examine
from snnfuse.diagnosis.outcome import Outcome, accuracy, agreement, deployed_scores, float_scores
from snnfuse.diagnosis.recorded import read_recorded
from snnfuse.diagnosis.result import Diagnosis
from snnfuse.diagnosis.subject import pair
from snnfuse.export.lowering.outputs import reading
from snnfuse.export.staging.staged import StagedGraph, simulate_staged
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import as_inputs
from snnfuse.hardware.ir.pipeline import layer_name

if TYPE_CHECKING:
    from snnfuse.export.bundle.bundle import Bundle


def diagnose_stages(
    bundle: "Bundle", inputs: ArrayLike | Mapping[str, ArrayLike] | None, labels: NDArray | None, all_layers: bool, source: str
) -> Diagnosis:
    """`snnfuse.diagnose` of a bundle in stages. What a stage inherits from those before it is left out of its layers: each is fed with
    what the float network carries; the outcome is that of all stages together.

    Raises:
        InputError: it holds no graphs, or no inputs were given.
    """
    began, pipeline = time.perf_counter(), bundle.pipeline
    if inputs is None:
        raise InputError(f"{bundle.path}: a network in stages is diagnosed on data: give inputs (--input FILE or --data NAME)")
    x = as_inputs(pipeline.inputs, inputs)
    staged = StagedGraph(tuple(stage.graph for stage in bundle.stages), bundle.links)
    floats, parts = simulate_staged(staged, x, pipeline.programs[0].dt), []
    for number, (stage, fed) in enumerate(zip(bundle.stages, floats)):
        subject = pair(stage.graph, stage.program, read_recorded(stage.program.ledger, stage.report))
        last = number + 1 == len(floats)
        part = examine(subject, dict(fed.inputs), labels if last else None, stage.path.name, source, all_layers)
        parts.append(_named(part, len(floats), number))
    program, run = pipeline.programs[-1], floats[-1]
    found = deployed_scores(program, run_pipeline(pipeline, pipeline.encode(x)).recordings[-1])
    network = reading(run.network, {name: rule.reads_membrane for name, rule in program.outputs.items()})
    expected = float_scores(network, program, run.run)
    shares, samples = max(part.outcome.output_share for part in parts), next(iter(x.values())).shape[1]
    right = accuracy(program, expected, labels), accuracy(program, found, labels)
    outcome = Outcome(samples, agreement(expected, found), shares, *right)
    findings = sorted((f for part in parts for f in part.findings), key=lambda f: -f.weight)
    layers = tuple(layer for part in parts for layer in part.layers)
    return Diagnosis(
        bundle.path.resolve().name, source or "given inputs", outcome, layers, tuple(findings), parts[-1].chaos, time.perf_counter() - began
    )


def _named(part: Diagnosis, stages: int, number: int) -> Diagnosis:
    """Its layers under the names that several stages' have."""

    def named(name: str) -> str:
        return layer_name(stages, number, name) if name else name

    layers = tuple(replace(layer, name=named(layer.name)) for layer in part.layers)
    return replace(part, layers=layers, findings=tuple(replace(f, node=named(f.node)) for f in part.findings))
