"""What a program does, measured against its float network, and the causes that only behaviour tells."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from snnfuse.diagnosis.ablation import cause_of
from snnfuse.diagnosis.causes import Finding
from snnfuse.diagnosis.subject import Subject
from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.quantization.layer_effects import LayerEffect, Runs, encoding_effects, layer_effect, saturation_effect
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.ir.encoding import to_events
from snnfuse.hardware.overflow.observed import state_peaks

EXCEEDED = 1e-3  # share of values beyond an input's range from which on it counts as exceeded
QUARTER = 0.25  # share of an input's range below which it counts as unused
FEW_SAMPLES = 8  # calibration samples below which scales and ranges are a matter of luck
HALF = 0.5  # share of a layer's differences that saturation must explain


def run_both(subject: Subject, x: dict[str, NDArray], states: bool = True) -> Runs:
    """Both networks on float inputs (time, batch, *shape)."""
    recording = emulate(subject.program, to_events(subject.program.inputs, x), "all", states=states)
    return Runs(subject.network, subject.program, x, simulate(subject.network, x, voltages=False), recording)


def effects_of(runs: Runs) -> dict[str, LayerEffect]:
    """By layer."""
    return {name: layer_effect(runs, name) for name in runs.network.order}


def input_findings(runs: Runs) -> Iterator[Finding]:
    """Analog inputs whose declared range is not that of the data."""
    for name, node in runs.program.inputs.items():
        x = np.abs(runs.x[name])
        if not node.sends_numbers or not x.any():
            continue
        beyond, used = float((x > (node.limit + 0.5) * node.scale).mean()), float(x.max() / (node.limit * node.scale))
        if beyond > EXCEEDED:
            words = f"{beyond:.2%} of its values lie beyond {node.limit * node.scale:.4g}, and are cut there"
            yield Finding(name, "input range exceeded", words, _encoding(runs, name))
        elif used <= QUARTER:
            words = f"its values reach {used:.1%} of the range that it was calibrated for, {used * node.limit:.0f} of {node.limit} levels"
            yield Finding(name, "input range unused", words, _encoding(runs, name))


def _encoding(runs: Runs, name: str) -> float:
    return max((effect.size for _, effect in encoding_effects(runs, name)), default=0.0)


def saturation_findings(runs: Runs, effects: dict[str, LayerEffect]) -> Iterator[Finding]:
    """Layers whose current wraps or whose voltage clips, and what that alone changes."""
    for name, peaks in state_peaks(runs.program, runs.recording.events, runs.recording).items():
        if name not in effects or not (peaks.wraps or peaks.clipped_low or peaks.clipped_high):
            continue
        measured = saturation_effect(runs, name)
        if measured is None or not measured.size:
            continue
        weight = measured.size if measured.size >= HALF * effects[name].together.size else measured.size * HALF
        clips = f"its voltage saturates {peaks.clipped_low} times below and {peaks.clipped_high} times above"
        words = f"its current wraps {peaks.wraps} times" if peaks.wraps else clips
        yield Finding(name, "wrap" if peaks.wraps else "clip", f"{words}, which alone changes {measured}", weight)


def recorded_findings(subject: Subject, effects: dict[str, LayerEffect]) -> Iterator[Finding]:
    """Changes that the ledger names: other resets, other poolings."""
    for name, reset in subject.recorded.resets.items():
        if name in effects:
            alone, asked = effects[name].alone, f"it was asked for, in place of {subject.network.populations[name].reset}"
            yield Finding(name, "reset rule", f"the reset is {reset}: {asked}; alone it changes {alone}", alone.size)
    for name, change in subject.recorded.pooled.items():
        weight = effects[name].alone.size if name in effects else 0.0
        yield Finding(name, "pooling", change, weight * HALF)


def calibration_finding(subject: Subject, effects: dict[str, LayerEffect]) -> Iterator[Finding]:
    """Few calibration samples, where anything differs."""
    number = subject.recorded.samples
    if number is not None and number < FEW_SAMPLES and any(effect.together.different for effect in effects.values()):
        words = f"scales and ranges were chosen on {number} samples"
        yield Finding("", "too few calibration samples", words, max(effect.together.size for effect in effects.values()))


def rounding_findings(subject: Subject, runs: Runs, blamed: list[str]) -> Iterator[Finding]:
    """The part of each layer's rounding that changes most."""
    for name in blamed:
        if not subject.network.populations[name].counts:
            yield cause_of(subject, runs, name)
