"""From "float 97 %, deployed 80 %" to the layer, the step and the cause."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.diagnosis.audit import audit
from snnfuse.diagnosis.behaviour import (
    calibration_finding,
    effects_of,
    input_findings,
    recorded_findings,
    rounding_findings,
    run_both,
    saturation_findings,
)
from snnfuse.diagnosis.causes import Finding
from snnfuse.diagnosis.chaos import measure_chaos
from snnfuse.diagnosis.divergence import first_divergences
from snnfuse.diagnosis.outcome import Outcome, accuracy, agreement, deployed_scores, float_scores, rate_distance
from snnfuse.diagnosis.recorded import read_recorded
from snnfuse.diagnosis.restoring import cost_of
from snnfuse.diagnosis.result import Diagnosis, LayerDiagnosis
from snnfuse.diagnosis.subject import Subject, pair
from snnfuse.export.quantization.layer_effects import LayerEffect, Runs
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import as_inputs
from snnfuse.hardware.ir.program import Program

if TYPE_CHECKING:
    import nir

    from snnfuse.export.bundle.bundle import Bundle

TRAINED = "trained in integers"
BLAMED = 3  # layers whose rounding is taken apart, and that are restored to float
Inputs = ArrayLike | Mapping[str, ArrayLike]


def diagnose(
    deployed: "str | Path | Bundle | Program",
    inputs: Inputs | None = None,
    labels: ArrayLike | None = None,
    *,
    graph: "nir.NIRGraph | None" = None,
    all_layers: bool = False,
    source: str = "",
) -> Diagnosis:
    """Say why a program does something else than the float network that it was made from.

    Args:
        deployed: a bundle, opened or by path, or a Program, which goes with `graph`.
        inputs: float (time, batch, *shape), or {input name: such an array}; by default a bundle's golden inputs, as they were encoded.
        labels: integers (batch,), classes of the only output.
        graph: the float graph of a Program.
        all_layers: restore every layer to float, not only the three blamed most.
        source: what the inputs are, in words.

    Returns:
        Diagnosis, whose `layer`, `cause` and `advice` say it in short; print it for all.

    Raises:
        InputError: a bundle without a float graph, a Program that was made from another one, or inputs that it does not take.
        UnsupportedError: the graph holds what no program can.
    """
    if isinstance(deployed, Program):
        if graph is None or inputs is None:
            raise InputError("a Program is diagnosed beside its float graph, on data: give graph= and inputs=")
        subject = pair(graph, deployed, read_recorded(deployed.ledger))
        return examine(subject, _arrays(deployed, inputs), _labels(labels), "program", source or "given inputs", all_layers)
    bundle = deployed if not isinstance(deployed, (str, Path)) else _open(deployed)
    if bundle.is_staged:
        from snnfuse.diagnosis.stages import diagnose_stages

        return diagnose_stages(bundle, inputs, _labels(labels), all_layers, source)
    program = bundle.program
    subject = pair(bundle.graph if graph is None else graph, program, read_recorded(program.ledger, bundle.report))
    given = golden_inputs(bundle) if inputs is None else _arrays(program, inputs)
    about = source or ("golden inputs" if inputs is None else "given inputs")
    return examine(subject, given, _labels(labels), bundle.path.resolve().name, about, all_layers)


def _open(path: str | Path) -> "Bundle":
    from snnfuse.export.bundle.bundle import read_bundle

    return read_bundle(path)


def golden_inputs(bundle: "Bundle") -> dict[str, NDArray]:
    """What a bundle's golden inputs stand for, float (time, batch, *shape) by name."""
    return {name: array * bundle.program.inputs[name].scale for name, array in bundle.events.items()}


def _arrays(program: Program, inputs: Inputs) -> dict[str, NDArray]:
    arrays = as_inputs(program.inputs, inputs)
    return {name: arrays[name] for name in program.inputs}


def _labels(labels: ArrayLike | None) -> NDArray | None:
    return None if labels is None else np.asarray(labels)


def examine(subject: Subject, x: dict[str, NDArray], labels: NDArray | None, name: str, source: str, all_layers: bool) -> Diagnosis:
    """`diagnose` of one program."""
    began = time.perf_counter()
    audited = audit(subject)
    runs = run_both(subject, x)
    effects = effects_of(runs)
    ranked = sorted(effects, key=lambda n: -effects[n].alone.size)
    differing = [n for n in ranked if effects[n].alone.size > 0]
    certain, measured = _findings(subject, runs, effects, audited, differing[:BLAMED])
    blamed = list(dict.fromkeys([f.node for f in (*certain, *measured) if f.node in effects] + differing))
    restored = list(effects) if all_layers else blamed[:BLAMED]
    costs = {n: cost_of(runs, n, labels) for n in restored}
    findings = [*certain, *sorted(measured, key=lambda f: (-max(0.0, costs[f.node].points) if f.node in costs else 0.0, -f.weight))]
    firsts = first_divergences(runs)
    rates = {n: rate_distance(runs.run.spikes[n], runs.recording.spikes[n]) for n in effects}
    layers = tuple(LayerDiagnosis(n, effects[n], rates[n], firsts.get(n), costs.get(n)) for n in subject.layers)
    return Diagnosis(
        name, source, outcome_of(runs, effects, labels), layers, tuple(findings), measure_chaos(runs), time.perf_counter() - began
    )


def outcome_of(runs: Runs, effects: Mapping[str, LayerEffect], labels: NDArray | None) -> Outcome:
    """Accuracy and agreement."""
    expected, found = float_scores(runs.network, runs.program, runs.run), deployed_scores(runs.program, runs.recording)
    nodes = {output.node for output in runs.program.outputs.values()}
    share = max((effects[node].together.size for node in nodes if node in effects), default=0.0)
    samples = next(iter(runs.x.values())).shape[1]
    return Outcome(samples, agreement(expected, found), share, accuracy(expected, labels), accuracy(found, labels))


def _findings(
    subject: Subject, runs: Runs, effects: dict[str, LayerEffect], audited: list[Finding], blamed: list[str]
) -> tuple[list[Finding], list[Finding]]:
    """What is certainly wrong, the largest effect before: what was written otherwise than it should be, then few samples; and causes by
    what they change, largest first."""
    written = sorted(audited, key=lambda f: -_effect(runs, effects, f))
    measured = [
        *input_findings(runs),
        *saturation_findings(runs, effects),
        *recorded_findings(subject, effects),
        *rounding_findings(subject, runs, blamed),
        *(replace(f, weight=_effect(runs, effects, f)) for f in written if f.cause == TRAINED),
    ]
    certain = [f for f in written if f.cause != TRAINED]
    return [*certain, *calibration_finding(subject, effects)], sorted((f for f in measured if f.weight > 0), key=lambda f: -f.weight)


def _effect(runs: Runs, effects: Mapping[str, LayerEffect], finding: Finding) -> float:
    """What the layer that a finding concerns changes alone; of an input, the most that a reader of it does."""
    if finding.node in effects:
        return effects[finding.node].alone.size
    readers = {p.target for p in runs.network.projections if p.source == finding.node}
    return max((effects[n].alone.size for n in readers), default=0.0)
