"""What a program does, measured against its float network, and the causes that only behaviour tells."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from snnfuse.diagnosis.ablation import cause_of
from snnfuse.diagnosis.causes import Finding
from snnfuse.diagnosis.subject import Subject
from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.quantization.layer_effects import LayerEffect, Runs, encoding_effects, layer_effect, saturation_effect
from snnfuse.export.quantization.population_fits import search_samples
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.ir.encoding import to_events
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, DECAY_BITS, STATE_LIMIT
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.overflow.intervals import bounds_form
from snnfuse.hardware.overflow.observed import arriving

EXCEEDED = 1e-3  # share of values beyond an input's range from which on it counts as exceeded
QUARTER = 0.25  # share of an input's range below which it counts as unused
FEW_SAMPLES = 8  # calibration samples below which scales and ranges are a matter of luck
HALF = 0.5  # share of a layer's differences that saturation must explain


def run_both(subject: Subject, x: dict[str, NDArray], states: bool = True) -> Runs:
    """Both networks on float inputs (time, batch, *shape)."""
    recording = emulate(subject.program, to_events(subject.program.inputs, x), "all", states=states)
    return Runs(subject.network, subject.program, x, simulate(subject.network, x, voltages=False), recording)


def effects_of(runs: Runs) -> dict[str, LayerEffect]:
    """By layer; alone and inherited on fewer samples where many weights make each of them slow, as in a ledger."""
    return {name: layer_effect(runs, name, some_samples(runs, name)) for name in runs.network.order}


def some_samples(runs: Runs, name: str) -> NDArray[np.int64]:
    """The samples on which a layer is run by itself."""
    return search_samples(runs.network, name, *next(iter(runs.x.values())).shape[:2])


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
    for name, node in runs.program.neurons.items():
        if name not in effects or not isinstance(node, Lif):
            continue
        v = runs.recording.states[name]["v"]
        low, high = int((v == 1 - STATE_LIMIT).sum()), int((v == STATE_LIMIT - 1).sum())
        if not (low or high or _may_wrap(runs.program, name)):
            continue
        chosen = _likeliest(runs, name)
        part = runs.chosen(name, chosen)
        wraps = _wraps(part, name) if _may_wrap(runs.program, name) else 0
        measured = saturation_effect(part, name) if wraps or low or high else None
        if measured is None or not measured.size:
            continue
        weight = measured.size if measured.size >= HALF * effects[name].together.size else measured.size * HALF
        of = "" if len(chosen) == v.shape[1] else f" on {len(chosen)} of {v.shape[1]} samples"
        words = f"its current wraps {wraps} times{of}" if wraps else f"its voltage saturates {low} times below and {high} times above"
        yield Finding(name, "wrap" if wraps else "clip", f"{words}, which alone changes {measured}", weight)


def _likeliest(runs: Runs, name: str) -> NDArray[np.int64]:
    """The samples on which wraps and clips of a layer are looked for: as many as it is run on by itself, and where these are not all, as
    many more, whose voltages go farthest."""
    some, v = some_samples(runs, name), runs.recording.states[name]["v"]
    farthest = np.abs(v.reshape(*v.shape[:2], -1)).max((0, 2))
    return np.union1d(some, np.argsort(-farthest, kind="stable")[: len(some)])


def _may_wrap(program: Program, name: str) -> bool:
    """Whether the largest sum that can arrive, held for ever, leaves the current's 24 bits."""
    lost = (np.min(getattr(program.nodes[name], "du", 0)) + CURRENT_DECAY_OFFSET) / (1 << DECAY_BITS)
    most = sum(c.synapse.row_sum() * 2.0**c.synapse.exponent * max(map(abs, program.nodes[c.source].payloads)) for c in program.into(name))
    return most * (1 << ALIGN_BITS) >= STATE_LIMIT * lost


def _wraps(runs: Runs, name: str) -> int:
    sent: dict[str, NDArray] = {**runs.recording.events, **runs.recording.spikes}
    size = next(iter(runs.x.values())).shape[:2]
    sent |= {n: np.ones((*size, *node.shape), np.int32) for n, node in runs.program.constants.items()}
    node = runs.program.neurons[name]
    return bounds_form(node).peaks(node, [arriving(runs.program, name, 0, sent)], runs.recording.states[name]).wraps


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
            yield cause_of(subject, runs.chosen(name, some_samples(runs, name)), name)
