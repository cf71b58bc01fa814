"""One program beside its float network, on data: audited, run, taken apart and restored."""

import time
from collections.abc import Mapping
from dataclasses import replace

from numpy.typing import NDArray

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
from snnfuse.diagnosis.restoring import cost_of
from snnfuse.diagnosis.result import Diagnosis, LayerDiagnosis
from snnfuse.diagnosis.subject import Subject
from snnfuse.export.quantization.layer_effects import LayerEffect, Runs

TRAINED = "trained in integers"
BLAMED = 3  # layers whose rounding is taken apart, and that are restored to float


def examine(subject: Subject, x: dict[str, NDArray], labels: NDArray | None, name: str, source: str, all_layers: bool) -> Diagnosis:
    """Diagnose one program.

    Args:
        subject: the program and its float network.
        x: float (time, batch, *shape) by input.
        labels: (batch,), or None.
        name, source: of what is diagnosed, and of the inputs, in words.
        all_layers: restore every layer to float, not only the `BLAMED` ones.
    """
    began = time.perf_counter()
    subject = replace(subject, data=(*subject.data, x))
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
    return Outcome(
        samples, agreement(expected, found), share, accuracy(runs.program, expected, labels), accuracy(runs.program, found, labels)
    )


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
