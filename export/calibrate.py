"""One population at a time: the threshold scale and synapse groups whose spikes differ least from the float neurons'.

A population is run alone in the hardware's own reference, fed with what the float network's populations sent on calibration
data, for a handful of threshold scales K and for one and two synapse groups per projection. The ranges of the chip pull against
each other: a finer K rounds weights less and brings the current closer to its 24-bit wrap, the threshold to its 17 bits and a
bias to its 13.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.float_run import FloatRun
from snnfuse.export.network import Array, Network, Population, Projection
from snnfuse.export.rounding import largest_weight, round_bias, round_weights, voltage_units
from snnfuse.export.weights import DenseWeights
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.fixed_point import (
    ALIGN_BITS,
    CURRENT_DECAY_OFFSET,
    DECAY_BITS,
    EXPONENT_RANGE,
    NEVER,
    STATE_LIMIT,
    THRESHOLD_LIMIT,
)
from snnfuse.hardware.lif import Lif
from snnfuse.hardware.program import Connection, Constant, GradedInput, Program, SpikeInput
from snnfuse.hardware.reference import emulate
from snnfuse.hardware.synapses import Synapse

HEADROOM = 1.4  # the current may grow by this factor beyond calibration before it wraps
SCALES = 8  # threshold scales tried per population
NEARBY = 1.04  # scales closer than this are one
SPAN = 256  # the finest scale tried over the coarsest
ENOUGH = 0.01  # share of spikes that may differ before a second synapse group is considered
WORTH = 0.8  # a second group must bring the mismatch below this share of the first's
SLACK = 1.15  # fits within this factor of the best mismatch are as good; the coarsest of them has most room
CONSTANT = "constant"  # name of the node that spikes on every step

Input = SpikeInput | GradedInput


@dataclass(frozen=True, eq=False)
class Fit:
    """A population in integers.

    Attributes:
        lif: neurons.
        synapses: by projection, in the order of `Network.into`, each its groups.
        bias: groups from the constant, (neurons, 1).
        scale: K, the integer threshold for theta = 1.
        groups: groups per projection that were allowed.
        mismatch: differing spikes over float spikes on calibration data (of a readout: rms error over rms voltage).
    """

    lif: Lif
    synapses: tuple[tuple[Synapse, ...], ...]
    bias: tuple[Synapse, ...]
    scale: float
    groups: int
    mismatch: float = np.inf


def fit_population(
    network: Network, name: str, run: FloatRun, sent: Mapping[str, NDArray], inputs: Mapping[str, Input], bits: int, max_groups: int
) -> Fit:
    """The best fit of one population.

    Args:
        network: float network.
        name: population to fit.
        run: the float network's run on calibration data.
        sent: what each source sent: integer events of inputs, bool spikes of populations, (time, batch, *shape).
        inputs: the declared inputs.
        bits: weight bits, 1..8.
        max_groups: synapse groups per projection at most.

    Raises:
        UnsupportedError: no threshold scale fits all ranges of the chip.
    """
    best: Fit | None = None
    for groups in range(1, max_groups + 1):
        fits = [measured(network, name, fit, run, sent, inputs) for fit in candidates(network, name, run, inputs, bits, groups)]
        if not fits:
            continue
        found = least_scale_of_the_best(fits)
        if best is None or found.mismatch < WORTH * best.mismatch:
            best = found
        if best.mismatch <= ENOUGH:
            break
    if best is None:
        raise UnsupportedError(
            f"{name!r}: no threshold scale keeps its weights, threshold and current within the chip's ranges (the current reaches "
            f"{run.peak_current[name]:.3g} on calibration data); rescale its weights and threshold, or train with smaller weights"
        )
    return best


def least_scale_of_the_best(fits: list[Fit]) -> Fit:
    """Among fits as good as the best, the one with most room for larger inputs."""
    good = min(fit.mismatch for fit in fits) * SLACK + 1e-4
    return min((fit for fit in fits if fit.mismatch <= good), key=lambda fit: fit.scale)


def candidates(
    network: Network, name: str, run: FloatRun, inputs: Mapping[str, Input], bits: int, groups: int
) -> Iterator[Fit]:
    """Fits at the scales worth trying, unmeasured."""
    population = network.populations[name]
    projections = [effective(network, p, inputs) for p in network.into(name)]
    if any(largest_weight(p.weights.values, bits) == 0 for p in projections):
        raise UnsupportedError(f"{name!r}: a {bits}-bit group that mixes signs holds -256 and 0 only; use 2 bits or more")
    for scale in scales(population, projections, run, name, bits):
        fit = build(population, projections, [is_graded(inputs, p.source) for p in projections], scale, bits, groups)
        if fit is not None:
            yield fit


def is_graded(inputs: Mapping[str, Input], source: str) -> bool:
    """Whether a source sends graded spikes."""
    return isinstance(inputs.get(source), GradedInput)


def effective(network: Network, projection: Projection, inputs: Mapping[str, Input]) -> Projection:
    """A projection in voltage per unit of what its source sends: the neurons' gains and a graded input's scale are in it."""
    population = network.populations[projection.target]
    rows = (population.gain * population.current_gain).ravel()
    source = inputs.get(projection.source)
    if isinstance(source, GradedInput):
        rows = rows * source.scale
    return replace(projection, weights=projection.weights.scaled(rows))


def scales(population: Population, projections: list[Projection], run: FloatRun, name: str, bits: int) -> list[float]:
    """Threshold scales K at which some projection fills its weight range, and the finest that the ranges allow."""
    tops = [largest_weight(p.weights.values, bits) / m for p in projections if (m := np.abs(p.weights.values).max(initial=0.0)) > 0]
    finest = min([_finest(population, run, name), *(top * 2.0 ** EXPONENT_RANGE[1] for top in tops)])
    exponents = np.arange(EXPONENT_RANGE[0], EXPONENT_RANGE[1] + 1)
    wanted = sorted({finest, *(float(top * 2.0**e) for top in tops for e in exponents)}, reverse=True)
    chosen: list[float] = []
    for scale in wanted:
        if scale <= finest and scale >= finest / SPAN and (not chosen or chosen[-1] / scale > NEARBY):
            chosen.append(scale)
    every = max(1, -(-len(chosen) // SCALES))
    return [_on_threshold(population, scale) for scale in chosen[::every]]


def _finest(population: Population, run: FloatRun, name: str) -> float:
    room = STATE_LIMIT / (HEADROOM * (1 << ALIGN_BITS))
    limit = room / max(run.peak_current[name], 1e-12)
    if population.is_readout:  # its voltage is the result, so it must not saturate either
        return min(limit, room / max(run.peak_voltage[name], 1e-12))
    return min(limit, (THRESHOLD_LIMIT - 1) / float(population.theta.max()))


def _on_threshold(population: Population, scale: float) -> float:
    """The next scale below at which a shared threshold is an integer."""
    theta = population.theta.ravel()
    if population.is_readout or (theta != theta[0]).any() or scale * theta[0] < 1:
        return scale
    return float(np.floor(scale * theta[0]) / theta[0])


def build(
    population: Population, projections: list[Projection], graded: list[bool], scale: float, bits: int, groups: int
) -> Fit | None:
    """A population at one scale; None where a range does not allow it."""
    synapses = tuple(round_weights(p.weights, scale, bits, groups, g) for p, g in zip(projections, graded))
    vth = np.full(population.shape, NEVER) if population.is_readout else np.rint(population.theta * scale)
    into_voltage, into_current = _split_bias(population, scale)
    bias = round_bias(into_voltage)
    column = DenseWeights(into_current.reshape(-1, 1))
    constant = round_weights(column, scale, 8, 2) if into_current.any() else ()
    if any(s is None for s in synapses) or bias is None or constant is None or (vth < 1).any() or (vth > NEVER).any():
        return None  # a threshold rounded to 0 would fire at anything
    lif = Lif(
        shape=population.shape,
        du=_scalar(_current_decay(population)),
        dv=_scalar(_decay(1.0 - population.beta, 0)),
        vth=_scalar(vth.astype(np.int32)),
        bias_mant=_scalar(bias[0]),
        bias_exp=_scalar(bias[1]),
        reset=population.reset,
    )
    return Fit(lif, synapses, constant, scale, groups)


def _split_bias(population: Population, scale: float) -> tuple[Array, Array]:
    """What is added to the voltage (in its least significant bits) and to the current (in units of theta).

    Neurons that forget their current at once may take their bias either way: into the voltage, unless it exceeds the mantissa there.
    """
    current = population.gain * population.current_gain * population.bias
    if population.alpha is None:
        voltage = voltage_units(population.voltage_bias + current, scale)
        if round_bias(voltage) is not None:
            return voltage, np.zeros_like(current)
    return voltage_units(population.voltage_bias, scale), current


def _current_decay(population: Population) -> NDArray[np.int32]:
    if population.alpha is None:
        return np.full(population.shape, (1 << DECAY_BITS) - CURRENT_DECAY_OFFSET, np.int32)
    return _decay(1.0 - population.alpha, CURRENT_DECAY_OFFSET)


def _decay(lost: Array, offset: int) -> NDArray[np.int32]:
    """A fraction lost per step as a decay register that adds `offset`; 4096 in the voltage is out of reach and becomes 4095."""
    return np.clip(np.rint(lost * (1 << DECAY_BITS)) - offset, -offset, (1 << DECAY_BITS) - 1).astype(np.int32)


def _scalar(values: NDArray[np.int32]) -> int | NDArray[np.int32]:
    """One number where all neurons share it."""
    first = values.ravel()[0]
    return int(first) if (values == first).all() else values.astype(np.int32)


def measured(
    network: Network, name: str, fit: Fit, run: FloatRun, sent: Mapping[str, NDArray], inputs: Mapping[str, Input]
) -> Fit:
    """The same fit with its mismatch: the population alone, fed with what the float network sent."""
    program = alone(network, name, fit, inputs)
    if not program.inputs:
        return replace(fit, mismatch=0.0)
    population = network.populations[name]
    recording = emulate(program, {n: sent[n] for n in program.inputs}, [name], states=population.is_readout)
    if population.is_readout:
        error = recording.states[name]["v"] / (fit.scale * (1 << ALIGN_BITS)) - run.v[name]
        return replace(fit, mismatch=float(np.sqrt((error**2).mean()) / max(np.sqrt((run.v[name] ** 2).mean()), 1e-12)))
    wrong = np.count_nonzero(recording.spikes[name] != run.spikes[name])
    return replace(fit, mismatch=wrong / max(np.count_nonzero(run.spikes[name]), 1))


def alone(network: Network, name: str, fit: Fit, inputs: Mapping[str, Input]) -> Program:
    """A program of one population, whose sources are inputs."""
    sources = {p.source for p in network.into(name)} - {name}
    nodes = {s: inputs.get(s) or SpikeInput(network.populations[s].shape) for s in sources}
    if fit.bias:
        nodes[CONSTANT] = Constant()
    return Program({**nodes, name: fit.lif}, tuple(connections(network, name, fit, timed=False)), {})


def connections(network: Network, name: str, fit: Fit, timed: bool = True) -> Iterator[Connection]:
    """The synapse groups into a population; `timed` adds the delays that match its paths."""
    for projection, groups in zip(network.into(name), fit.synapses):
        delay = network.delay(projection) if timed else 0
        for synapse in groups:
            yield Connection(projection.source, name, synapse, delay)
    for synapse in fit.bias:
        yield Connection(CONSTANT, name, synapse)
