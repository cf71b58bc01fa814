"""Which part of a layer's rounding changes its spikes: the float layer with one part at a time as the registers have it."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.diagnosis.audit import Layer, choose_scale, layer_of
from snnfuse.diagnosis.causes import Finding
from snnfuse.diagnosis.registers import into_voltage
from snnfuse.diagnosis.subject import Subject
from snnfuse.export.lowering.differences import Difference, float_alone
from snnfuse.export.lowering.network import Network, Population, Projection
from snnfuse.export.lowering.weights import ConvWeights, DenseWeights, SparseWeights, Weights
from snnfuse.export.quantization.layer_effects import Runs, run_alone
from snnfuse.hardware.ir.encoding import membrane
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, DECAY_BITS, WEIGHT_BITS
from snnfuse.hardware.ir.lif import Lif

TIE = 3e-6  # relative: a threshold in a graph may lie a millionth above what it stands for
USUAL_GROUPS = 2  # that an export may take by default
HALF = 0.5  # share of a layer's own differences that ties, or a part, must explain to be the cause


def cause_of(subject: Subject, runs: Runs, name: str) -> Finding:
    """The part of a layer's own rounding that changes most, fed with what the float network sent."""
    layer = layer_of(subject, name)
    scale, _ = choose_scale(subject, layer)
    node = subject.program.neurons[name]
    if not isinstance(node, Lif) or scale is None or layer.population.own or not all(h.is_placed for h in layer.held):
        return Finding(name, "weight rounding", "its integers are not the float network's")
    sent = {**runs.recording.events, **runs.encoded_spikes}
    parts = _parts(layer, node, scale)
    plain = _run(subject, layer, parts["none"], sent)
    found = {what: _differ(runs, name, plain, _run(subject, layer, part, sent)) for what, part in parts.items() if what != "none"}
    integers = run_alone(subject.program, name, sent, states=runs.network.populations[name].is_readout)
    silent = runs.network.populations[name].is_readout
    all_of = _run(subject, layer, parts["all"], sent)
    other = (membrane(subject.program, integers, name) if silent else all_of[1], integers.spikes[name])
    found["decay truncation"] = _differ(runs, name, (all_of[0], all_of[1]), (other[1], other[0]))
    judged = _judged(name, found)
    return replace(judged, own_advice=_more_digits(layer)) if judged.cause == "weight rounding" else judged


def _more_digits(layer: Layer) -> str:
    """What gives a layer's weights more digits than they have."""
    bits = max((group.bits for held in layer.held for group in held.placed), default=WEIGHT_BITS)
    if bits < WEIGHT_BITS:
        return f"export with more bits for it (weight_bits={WEIGHT_BITS}, or {{{layer.name!r}: {WEIGHT_BITS}}} for it alone)"
    groups = 1 + max(USUAL_GROUPS, max((len(held.placed) for held in layer.held), default=1))
    return f"train on in integers (snnfuse train --from MODEL --qat {WEIGHT_BITS}), or export with max_groups={groups}"


def _judged(name: str, found: Mapping[str, Difference]) -> Finding:
    """The part that explains most."""
    whole = found["all"]
    tie = found["threshold tie"]
    if tie.different and tie.different >= HALF * whole.different and not whole.deviation:
        return Finding(name, "threshold tie", f"{tie.different} float voltages lie within {TIE:g} of the threshold", tie.size)
    names = {"weights": "weight rounding", "decays": "decay rounding", "decay truncation": "decay rounding",
             "threshold": "threshold rounding", "bias": "bias rounding"}  # fmt: skip
    part = max(names, key=lambda p: found[p].size if p in found else -1.0)
    others = "; ".join(f"{p} {found[p]}" for p in names if p in found and p != part and found[p].different)
    words = f"{part} alone change {found[part]}" + (f", {others}" if others else "")
    return Finding(name, names[part], words, found[part].size)


Parts = dict[str, tuple[Population, tuple[Projection, ...]]]


def _parts(layer: Layer, node: Lif, scale: float) -> Parts:
    """The float layer in integer units, and with one part at a time as it is held."""
    p, ones = layer.population, np.ones(layer.population.shape)
    bias, voltage_bias = p.gain * p.current_gain * p.bias * scale, p.voltage_bias * scale
    taken = None if p.taken is None else p.taken * scale
    start = None if p.start is None else p.start * scale
    plain = replace(p, gain=ones, current_gain=ones, theta=p.theta * scale, bias=bias, voltage_bias=voltage_bias, taken=taken, start=start)
    floats = tuple(replace(h.projection, weights=_with(h.projection.weights, h.projection.weights.values * scale)) for h in layer.held)
    held = tuple(replace(h.projection, weights=_with(h.projection.weights, h.total)) for h in layer.held)
    beta = 1.0 - np.broadcast_to(node.dv, p.shape) / (1 << DECAY_BITS)
    alpha = 1.0 - (np.broadcast_to(node.du, p.shape) + CURRENT_DECAY_OFFSET) / (1 << DECAY_BITS)
    decays = {"beta": beta, "alpha": None if p.alpha is None else alpha}
    vth = p.theta * scale if p.is_readout else np.broadcast_to(np.asarray(node.vth, np.float64), p.shape)
    threshold = {"theta": vth, "taken": None if p.taken is None else vth}
    column = sum((np.asarray(c.synapse.matrix(), np.float64).reshape(p.shape) * 2.0**c.synapse.exponent for c in layer.biases), 0 * ones)
    biases = {"bias": column, "voltage_bias": into_voltage(node, p.shape) / (1 << ALIGN_BITS)}
    return {
        "none": (plain, floats),
        "weights": (plain, held),
        "decays": (replace(plain, **decays), floats),
        "threshold": (replace(plain, **threshold), floats),
        "threshold tie": (replace(plain, theta=plain.theta * (1 + TIE), taken=plain.amount), floats),
        "bias": (replace(plain, **biases), floats),
        "all": (replace(plain, **decays, **threshold, **biases), held),
    }


def _with(weights: Weights, values: NDArray) -> Weights:
    if isinstance(weights, ConvWeights):
        return replace(weights, kernel=values)
    if isinstance(weights, DenseWeights):
        return DenseWeights(values)
    matrix = weights.matrix.copy()
    matrix.data = values
    return SparseWeights(matrix)


def _run(subject: Subject, layer: Layer, part: tuple[Population, tuple[Projection, ...]], sent: Mapping[str, NDArray]) -> tuple:
    population, projections = part
    whole = subject.network
    network = Network(whole.inputs, {**whole.populations, layer.name: population}, projections, {}, whole.dt)
    run = float_alone(network, layer.name, sent)
    return run.spikes[layer.name], run.v[layer.name]


def _differ(runs: Runs, name: str, a: tuple, b: tuple) -> Difference:
    return runs.differ(name, (a[1], b[1]), (a[0], b[0]))
