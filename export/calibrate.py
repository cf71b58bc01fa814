"""One population at a time: the threshold scale and synapse groups whose spikes differ least from the float neurons'.

A population is run alone in the hardware's own reference, fed with what the float network's populations sent on calibration data,
for a handful of threshold scales K and for one and two synapse groups per projection. The ranges of the chip pull against each
other: a finer K rounds weights less and brings the current closer to its 24-bit wrap, the threshold to its 17 bits, the voltage to
where it saturates and a bias to its 13 bits.

Fits are ranked by spikes; where as many differ, or none can tell because the population is silent or a readout, by the voltage
and then by how little rounding changed the weights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.fitting import Fit, Input, build, connections, constant_name, effective
from snnfuse.export.float_run import FloatRun
from snnfuse.export.network import Network, Population, Projection
from snnfuse.export.rounding import weight_limit
from snnfuse.hardware.emulator import emulate
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.fixed_point import ALIGN_BITS, EXPONENT_RANGE, STATE_LIMIT, THRESHOLD_LIMIT
from snnfuse.hardware.program import Constant, GradedInput, Program, SpikeInput

HEADROOM = 1.4  # the current may grow by this factor beyond calibration before it wraps
SCALES = 8  # threshold scales tried per population
NEARBY = 1.04  # scales closer than this are one
SPAN = 256  # the finest scale tried over the coarsest, but for the one at which no voltage saturates
ENOUGH = 0.005  # share of spikes that may differ before a second synapse group is considered
WORTH = 0.8  # a second group must bring the mismatch below this share of the first's
DYADIC = 1 << 12  # weights that are whole multiples of 1/2**12 may be kept as they are
NOISE = 1.1  # mismatches within this factor of the best are as good: on other data they may change places


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
        found = choose(fits, unsaturated=_room(run.peak_voltage[name]))
        if best is None or quality(found) < WORTH * quality(best):
            best = found
        if quality(best) <= ENOUGH:
            break
    if best is None:
        raise UnsupportedError(_no_scale(name, run, inputs))
    return best


def quality(fit: Fit) -> float:
    """What is wrong with a fit, as a share: of spikes, or of the voltage where no spikes can tell."""
    return fit.mismatch + fit.deviation


def choose(fits: list[Fit], unsaturated: float) -> Fit:
    """The fit to take: among those as good as the best, one that rounds nothing, else one whose voltage cannot saturate (its scale is
    at most `unsaturated`), else one without a column of biases, else the one that rounds least."""
    good = min(map(quality, fits)) * NOISE

    def rank(fit: Fit) -> tuple:
        return not fit.faithful, fit.scale > unsaturated, bool(fit.bias), fit.rounding, fit.scale

    return min((fit for fit in fits if quality(fit) <= good), key=rank)


def candidates(
    network: Network, name: str, run: FloatRun, inputs: Mapping[str, Input], bits: int, groups: int
) -> Iterator[Fit]:
    """Fits at the scales worth trying, unmeasured; none of which rounds all the weights of a population away."""
    population = network.populations[name]
    projections = [effective(network, p, inputs) for p in network.into(name)]
    if any(weight_limit(p.weights.values, bits) == 0 for p in projections):
        raise UnsupportedError(f"{name!r}: a {bits}-bit group that mixes signs holds -256 and 0 only; use 2 bits or more")
    graded = [isinstance(inputs.get(p.source), GradedInput) for p in projections]
    weighted = any(p.weights.values.any() for p in projections)
    for scale in scales(population, projections, run, name, bits):
        fit = build(population, projections, graded, scale, bits, groups)
        if fit is not None and not (weighted and len(fit.vanished) == len(projections)):
            yield fit


def scales(population: Population, projections: list[Projection], run: FloatRun, name: str, bits: int) -> list[float]:
    """Threshold scales K at which some projection fills its weight range, the finest that the ranges allow, and the finest at which
    no voltage saturates on calibration data."""
    tops = [weight_limit(p.weights.values, bits) / m for p in projections if (m := np.abs(p.weights.values).max(initial=0.0)) > 0]
    finest = min([_finest(population, run, name), *(top * 2.0 ** EXPONENT_RANGE[1] for top in tops)])
    exponents = np.arange(EXPONENT_RANGE[0], EXPONENT_RANGE[1] + 1)
    wanted = sorted({finest, *(float(top * 2.0**e) for top in tops for e in exponents)}, reverse=True)
    chosen: list[float] = []
    for scale in wanted:
        if finest / SPAN <= scale <= finest and (not chosen or chosen[-1] / scale > NEARBY):
            chosen.append(scale)
    every = max(1, -(-len(chosen) // SCALES))
    unsaturated = min(finest, _room(run.peak_voltage[name]))
    return [_on_threshold(population, scale) for scale in dict.fromkeys([*chosen[::every], unsaturated, *_powers(projections, finest)])]


def _powers(projections: list[Projection], finest: float) -> list[float]:
    """Powers of two, which round nothing, for weights that are fractions of 2**12; otherwise none."""
    if any((p.weights.values * DYADIC % 1).any() for p in projections):
        return []
    return [2.0**e for e in range(int(np.floor(np.log2(finest))), -1, -1)][:SCALES]


def _room(peak: float) -> float:
    """The scale at which a float state, grown by the headroom, reaches the end of its 24 bits."""
    return STATE_LIMIT / (HEADROOM * (1 << ALIGN_BITS) * max(peak, 1e-12))


def _finest(population: Population, run: FloatRun, name: str) -> float:
    limit = _room(run.peak_current[name])
    if population.is_readout:  # its voltage is the result, so it must not saturate
        return min(limit, _room(run.peak_voltage[name]))
    return min(limit, (THRESHOLD_LIMIT - 1) / float(population.theta.max()))


def _on_threshold(population: Population, scale: float) -> float:
    """The next scale below at which a shared threshold is an integer."""
    theta = population.theta.ravel()
    if population.is_readout or (theta != theta[0]).any() or scale * theta[0] < 1:
        return scale
    return float(np.floor(scale * theta[0]) / theta[0])


def measured(
    network: Network, name: str, fit: Fit, run: FloatRun, sent: Mapping[str, NDArray], inputs: Mapping[str, Input]
) -> Fit:
    """The same fit with what is wrong with it: the population alone, fed with what the float network sent."""
    program = alone(network, name, fit, inputs)
    if not program.inputs:
        return replace(fit, mismatch=0.0)
    spikes = np.count_nonzero(run.spikes[name])
    recording = emulate(program, {n: sent[n] for n in program.inputs}, [name], states=not spikes)
    wrong = np.count_nonzero(recording.spikes[name] != run.spikes[name])
    if spikes:
        return replace(fit, mismatch=wrong / spikes)
    return replace(fit, mismatch=float(wrong), deviation=deviation(recording.states[name]["v"], run.v[name], fit.scale))


def deviation(v: NDArray[np.int32], expected: NDArray[np.float64], scale: float) -> float:
    """rms error of integer voltages at scale K, over the rms of the float ones."""
    error = v / (scale * (1 << ALIGN_BITS)) - expected
    return float(np.sqrt((error**2).mean()) / max(np.sqrt((expected**2).mean()), 1e-12))


def alone(network: Network, name: str, fit: Fit, inputs: Mapping[str, Input]) -> Program:
    """A program of one population, whose sources are inputs."""
    sources = {p.source for p in network.into(name)} - {name}
    nodes = {s: inputs.get(s) or SpikeInput(network.populations[s].shape) for s in sources}
    if fit.bias:
        nodes[constant_name(network)] = Constant()
    return Program({**nodes, name: fit.lif}, tuple(connections(network, name, fit, timed=False)), {})


def _no_scale(name: str, run: FloatRun, inputs: Mapping[str, Input]) -> str:
    """Why no fit was found, and what to do."""
    graded = "; or send the analog inputs with fewer bits" if any(isinstance(node, GradedInput) for node in inputs.values()) else ""
    return (
        f"{name!r}: no threshold scale keeps its weights, threshold and current within the chip's ranges (the current reaches "
        f"{run.peak_current[name]:.3g} on calibration data); rescale its weights and threshold, or train with smaller weights{graded}"
    )
