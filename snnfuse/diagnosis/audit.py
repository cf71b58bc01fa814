"""Every register and weight of a layer against what the compiler writes for the float network, at the scale that the layer tells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.diagnosis.causes import Finding
from snnfuse.diagnosis.registers import audit_neurons
from snnfuse.diagnosis.scales import threshold_scale
from snnfuse.diagnosis.subject import Subject
from snnfuse.diagnosis.weights_audit import Held, audit_weights, hold, is_shifted
from snnfuse.export.lowering.network import Array, Network, Population
from snnfuse.export.quantization.channel_scaling import find_units, in_units
from snnfuse.export.quantization.exact_fit import fit_exactly
from snnfuse.export.quantization.fitting import effective, sends_numbers
from snnfuse.export.quantization.population_fits import search_samples
from snnfuse.hardware.errors import SnnfuseError
from snnfuse.hardware.ir.fixed_point import MESSAGE_BITS
from snnfuse.hardware.ir.maximum import Maximum
from snnfuse.hardware.ir.nodes import Connection, Constant, GradedInput, Input

TURNED = 5e-3  # how far weights that were rounded in turn may mislead about their scale
CANCELLED = 0.3  # and such as cancel errors of others at few bits
NEAR = 0.02  # how far apart what a layer's parts say of its scale may be, where they are rounded coarsely
RECORDED = 1e-5  # relative: of a scale that is written with six digits
POWER = 1e-3  # how near to a power of two a ratio of scales is one


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer beside its float population.

    Attributes:
        name: of both.
        population: float neurons, in units of their own where the compiler gave them such.
        held: its projections with what the program has for each.
        biases: connections from constants.
        extra: connections that no projection asks for.
    """

    name: str
    population: Population
    held: tuple[Held, ...]
    biases: tuple[Connection, ...]
    extra: tuple[Connection, ...]


def audit(subject: Subject) -> list[Finding]:
    """What of a program is not what the compiler writes, layer by layer; empty for one that is as it was exported."""
    found = [*_outputs(subject)]
    for name in subject.layers:
        found += audit_layer(subject, name)
    return _inputs_first(subject, found)


def _outputs(subject: Subject) -> Iterator[Finding]:
    for name, output in subject.program.outputs.items():
        expected = subject.written.outputs.get(name)
        if expected is not None and expected != output.node:
            yield Finding(output.node, "output", f"output {name!r} reads {output.node}, and the float network's reads {expected}", 1.0)


def audit_layer(subject: Subject, name: str) -> list[Finding]:
    """What is wrong with one layer."""
    if subject.written.populations[name].counts:
        return list(_exact_layer(subject, name))
    layer = layer_of(subject, name)
    if name in subject.recorded.trained:
        return [Finding(name, "trained in integers", "its weights were trained after the float network", 0.0)]
    return [*_timing(subject, layer), *_values(subject, layer)]


def layer_of(subject: Subject, name: str) -> Layer:
    """A layer beside its float population, in the neurons' units that fit its thresholds best."""
    network, program = subject.written, subject.program
    maxima = {n: GradedInput(p.shape, MESSAGE_BITS, p.scale) for n, p in program.neurons.items() if isinstance(p, Maximum)}
    inputs: dict[str, Input] = {**program.inputs, **maxima}
    units = find_units(network, name, inputs)
    scales = threshold_scale(program.neurons[name], network.populations[name].theta)
    if units is not None and (scales is None or _spread(scales) <= _spread(scales / units)):
        units = None
    own = in_units(network, name, units)
    left, held = [c for c in program.into(name) if not isinstance(program.nodes[c.source], Constant)], []
    for projection in own.into(name):
        mine = _of(left, projection.source, projection.port, projection.lag, several=_siblings(own, projection) > 1)
        left = [c for c in left if c not in mine]
        payloads = tuple(_payloads(subject, name, projection.source, x) for x in subject.data if projection.source in x)
        graded = sends_numbers(own, projection.source, inputs)
        held.append(hold(effective(own, projection, inputs), mine, graded, payloads, name in subject.recorded.cancelling))
    known = {*subject.written.populations, *inputs}
    biases = tuple(c for c in program.into(name) if isinstance(program.nodes[c.source], Constant))
    return Layer(name, own.populations[name], tuple(held), biases, tuple(c for c in left if c.source in known))


def _payloads(subject: Subject, name: str, source: str, x: Mapping[str, NDArray]) -> NDArray:
    """What an input sends on those samples that a layer would be fitted on."""
    chosen = search_samples(subject.written, name, *x[source].shape[:2])
    return subject.program.inputs[source].encode(source, x[source][:, chosen])


def _siblings(network: Network, projection: object) -> int:
    target, source = projection.target, projection.source  # pyright: ignore[reportAttributeAccessIssue]
    return sum(p.source == source for p in network.into(target))


def _of(connections: list[Connection], source: str, port: int, lag: int, several: bool) -> list[Connection]:
    """The connections of a projection: all of its source, or of several projections those of its port and lag."""
    mine = [c for c in connections if c.source == source]
    return [c for c in mine if (c.port, c.lag) == (port, lag)] or mine[:1] if several else mine


def _spread(scales: Array) -> float:
    """How far apart scales are, robustly."""
    logs = np.log(np.maximum(scales, 1e-300))
    return float(np.median(np.abs(logs - np.median(logs))) + 1e-3 * np.abs(logs - np.median(logs)).mean())


def _timing(subject: Subject, layer: Layer) -> Iterator[Finding]:
    network, program, name = subject.written, subject.program, layer.name
    for held in layer.held:
        for c in held.connections:
            if c.lag != held.projection.lag:
                late = f"what comes from {c.source} is {c.lag} steps late, and {held.projection.lag} are the network's own"
                yield Finding(name, "delay or alignment", late, 1.0)
                break
            if c.port != min(held.projection.port, program.neurons[name].ports - 1):
                yield Finding(name, "wiring", f"what comes from {c.source} arrives at port {c.port}, not {held.projection.port}", 1.0)
                break
    if set(program.neurons) == set(network.populations):
        for held in layer.held:
            expected = network.delay(held.projection)
            wrong = next((c for c in held.connections if c.delay != expected), None)
            if wrong is not None:
                words = f"what comes from {wrong.source} is delayed by {wrong.delay} steps, and {expected} match its paths"
                yield Finding(name, "delay or alignment", words, 0.9)
                break
    for c in layer.extra:
        yield Finding(name, "wiring", f"{c.source} is connected to it, and is not in the float network", 1.0)


def _values(subject: Subject, layer: Layer) -> Iterator[Finding]:
    node = subject.program.neurons[layer.name]
    scale, exact = choose_scale(subject, layer)
    if scale is None:
        return
    yield from audit_neurons(layer.population, node, scale, exact, layer.biases, layer.name)
    for held in _beside_coarser(subject, layer.held):
        found = list(audit_weights(held, scale, exact, subject.recorded.bits.get(layer.name)))
        other = _as_other_unit(subject, held, scale)
        yield from found if other is None else [other]


def _beside_coarser(subject: Subject, layer: tuple[Held, ...]) -> tuple[Held, ...]:
    """With what rounding of coarser weights from elsewhere may leave for finer ones to cancel."""

    def left(held: Held) -> float:
        node, values = subject.program.inputs.get(held.projection.source), held.projection.weights.values
        largest = 1 if not held.graded else node.limit if node is not None else 1 << (MESSAGE_BITS - 1)
        fan_in = values[0].size if values.ndim > 1 else values.size / subject.program.neurons[held.projection.target].size
        return held.step * largest * max(1.0, fan_in) ** 0.5

    placed = [held for held in layer if held.is_placed]
    return tuple(replace(h, coarser=max((left(other) for other in placed if other.step > h.step), default=0.0)) for h in layer)


def _as_other_unit(subject: Subject, held: Held, scale: float) -> Finding | None:
    """Wrong weights from an analog input that would be right if one unit of it were another; judged over all readers later."""
    source, votes = subject.program.inputs.get(held.projection.source), held.votes()
    if (
        source is None
        or not source.sends_numbers
        or votes is None
        or votes.agrees(scale)
        or abs(votes.scale / scale - 1) < (CANCELLED if held.cancelling else TURNED)
    ):
        return None
    if not is_shifted(held, votes.scale) or not _all_at(held, votes.scale):
        return None
    return Finding(held.projection.source, "input scale", str(votes.scale / scale), 1.0)


def _all_at(held: Held, scale: float) -> bool:
    """Whether the weights are what the compiler makes of them at this other scale."""
    return not any(audit_weights(held, scale, False, None))


def choose_scale(subject: Subject, layer: Layer) -> tuple[float | None, bool]:
    """K of a layer, by what is written down and by what most of its parts say; and whether it has all its digits."""
    recorded, node = subject.recorded.scales.get(layer.name), subject.program.neurons[layer.name]
    theta = layer.population.theta
    by_threshold = threshold_scale(node, theta)
    thresholds = None if by_threshold is None else float(np.median(by_threshold))
    votes = [v for held in layer.held if (v := held.votes()) is not None]
    if recorded is not None and subject.recorded.is_exact:
        return recorded, True
    said = [*([thresholds] if thresholds else []), *(v.scale for v in votes)]
    if recorded is None and not said:
        return None, False

    def support(scale: float) -> int:
        return sum(v.agrees(scale) for v in votes) + (thresholds is not None and abs(thresholds / scale - 1) < NEAR)

    best = recorded if recorded is not None else max(said, key=support)  # the first of equals: the thresholds'
    if recorded is None and thresholds and votes and best == thresholds and not any(v.agrees(best) for v in votes):
        ratio = np.log2(votes[0].scale / best)
        if abs(ratio - np.rint(ratio)) > POWER and not any(held.graded for held in layer.held):
            return votes[0].scale, False  # weights as another scale has them, and no exponent or unit that explains it
    if thresholds and abs(thresholds / best - 1) < RECORDED:
        return thresholds, not (theta % theta.min()).any()  # scales are chosen so that such thresholds are whole numbers
    near = [v.scale * 2.0 ** np.rint(np.log2(best / v.scale)) for v in votes]
    refined = [s for s in near if abs(s / best - 1) < (RECORDED if recorded else POWER)]
    return (float(max(refined, key=support)) if refined else best), False


def _exact_layer(subject: Subject, name: str) -> Iterator[Finding]:
    """A product, relay or the like, which takes counts and has nothing to round."""
    program, node = subject.program, subject.program.neurons[name]
    try:
        fit = fit_exactly(subject.written, name)
    except SnnfuseError:
        return
    if type(fit.lif) is not type(node):
        yield Finding(name, "neuron kind", f"it is a {type(node).__name__}, and a {type(fit.lif).__name__} is expected", 1.0)
        return
    for projection, (expected,) in zip(subject.written.into(name), fit.synapses):
        mine = [c for c in program.into(name) if c.source == projection.source]
        if not mine:
            continue  # by way of a relay of the board's
        held = hold(projection, mine[:1], False)
        made = hold(projection, [replace(mine[0], synapse=expected)], False)
        if any(c.lag != projection.lag for c in mine[:1]):
            yield Finding(name, "delay or alignment", f"what comes from {projection.source} is {mine[0].lag} steps late", 1.0)
        if held.is_placed and made.is_placed and (held.total != made.total).any():
            wrong = int((held.total != made.total).sum())
            yield Finding(name, "weight value", f"{wrong} counts from {projection.source} are wrong", 1.0)
    for register in ("vth", "du", "dv", "exponent"):
        if hasattr(node, register) and _differs(getattr(node, register), getattr(fit.lif, register)):
            cause = "threshold value" if register == "vth" else "decay value" if register in ("du", "dv") else "neuron parameter"
            yield Finding(name, cause, f"{register} is {getattr(node, register)}, not {getattr(fit.lif, register)}", 1.0)


def _differs(a: NDArray | int, b: NDArray | int) -> bool:
    return bool((np.asarray(a) != np.asarray(b)).any())


def _inputs_first(subject: Subject, found: list[Finding]) -> list[Finding]:
    """Scales of inputs, judged over all layers that read them; the rest as it is."""
    inputs: dict[str, list[float]] = {}
    for finding in (f for f in found if f.cause == "input scale"):
        inputs.setdefault(finding.node, []).append(float(finding.what))
    rest = [f for f in found if f.cause != "input scale"]
    return [*(_of_input(subject, name, ratios) for name, ratios in inputs.items()), *rest]


def _of_input(subject: Subject, name: str, ratios: list[float]) -> Finding:
    node, ratio = subject.program.inputs[name], float(np.median(ratios))
    readers = [p.target for p in subject.written.projections if p.source == name]
    recorded = subject.recorded.input_scales.get(name)
    is_recorded = recorded is not None and abs(node.scale / recorded - 1) < POWER
    is_power = abs(np.log2(ratio) - np.rint(np.log2(ratio))) < POWER
    if is_power and (is_recorded or len(ratios) < len(set(readers))):
        words = f"weights from {name} stand for {ratio:g} times what they should, as with another exponent"
        return Finding(readers[0], "weight exponent", words, 1.0)
    words = f"one unit of {name!r} is said to be {node.scale:.4g}, and the weights of {', '.join(dict.fromkeys(readers))} were rounded for"
    return Finding(name, "input scale", f"{words} {node.scale * ratio:.4g}", 1.0)
