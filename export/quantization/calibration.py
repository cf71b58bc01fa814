"""One population at a time: the threshold scale and synapse groups whose spikes differ least from the float neurons'.

A population is run alone in the hardware's own reference, fed with what the float network's populations sent on calibration data,
for a handful of threshold scales K and several ways to divide weights among synapse groups: mixed or by sign, with and without outliers
that saturate, and with a further round of groups for what the first leaves over. The ranges of the chip pull against each
other: a finer K rounds weights less and brings the current closer to its 24-bit wrap, the threshold to its 17 bits, the voltage to
where it saturates and a bias to its 13 bits.

Where all that still loses spikes, neurons are counted in units of their own (`levels`). At last, weights on analog payloads are rounded
so that their errors cancel (`feedback`), if that keeps more spikes.

Fits are ranked by spikes; where as many differ, or none can tell because the population is silent or a readout, by the voltage
and then by how little rounding changed the weights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun
from snnfuse.export.lowering.network import Array, Network, Population, Projection
from snnfuse.export.lowering.weights import SparseWeights
from snnfuse.export.quantization.channel_scaling import find_units, in_units, run_in_units
from snnfuse.export.quantization.error_feedback import with_feedback
from snnfuse.export.quantization.fitting import Fit, Input, build, connections, constant_name, effective, sends_numbers
from snnfuse.export.quantization.rounding import Form, Grid, largest, modes, weight_limit
from snnfuse.export.quantization.settings import Width
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.encoding import membrane
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, EXPONENT_RANGE, MESSAGE_BITS, STATE_LIMIT, THRESHOLD_LIMIT
from snnfuse.hardware.ir.nodes import Constant, GradedInput, SpikeInput
from snnfuse.hardware.ir.program import Program

HEADROOM = 1.4  # the current may grow by this factor beyond calibration before it wraps
SCALES = 16  # threshold scales tried per population
NEARBY = 1.04  # scales closer than this are one
SPAN = 256  # the finest scale tried over the coarsest, but for the one at which no voltage saturates
ENOUGH = 0.005  # share of spikes that may differ before a further synapse group is considered
WORTH = 0.8  # a form that takes more memory, or other integers than the nearest, must bring the quality below this share of the best so far
GAIN = 0.03  # by which, besides, a threshold per neuron must: less may be the calibration data's luck, and a chip is assumed to have it
DYADIC = 1 << 12  # weights that are whole multiples of 1/2**12 may be kept as they are
WINDOW = 32  # steps in which spikes are counted
REACHES = tuple(2.0 ** (-i / 2) for i in range(25))  # ends of the weights' range tried, as shares of the largest
TRIED = 2  # of them, besides 1
USUAL = 0.99  # quantile of the weights' magnitudes that no error of one counts as more than
SPLIT_BITS = 4  # above, a second mixed group holds more than groups by sign, for as much memory
NOISE = 1.1  # mismatches within this factor of the best are as good: on other data they may change places


def fit_population(
    network: Network,
    name: str,
    run: FloatRun,
    sent: Mapping[str, NDArray],
    inputs: Mapping[str, Input],
    width: Width,
    max_groups: int,
    feedback: bool = True,
) -> Fit:
    """The best fit of one population.

    Args:
        network: float network.
        name: population to fit.
        run: the float network's run on calibration data.
        sent: what each source sent: integer events of inputs, spikes or numbers of populations, (time, batch, *shape).
        inputs: the declared inputs.
        width: weight bits, 1..8; or a pair, of excitatory and of inhibitory weights, which then have groups of their own.
        max_groups: synapse groups that one projection's weight may be stored in at most.
        feedback: whether weights may be rounded otherwise than to the nearest integers; see `snnfuse.export.quantization.error_feedback`.

    Raises:
        UnsupportedError: no threshold scale fits all ranges of the chip.
    """
    best: Fit | None = None
    units = find_units(network, name, inputs) if run.spikes[name].any() else None
    ways = (None,) if units is None else (None, units)
    for own, stage in ((own, stage) for own in ways for stage in forms(network, name, width, max_groups)):
        found = best_of(in_units(network, name, own), name, run_in_units(run, name, own), sent, inputs, stage)
        if found is None:
            continue
        found = replace(found, units=own)
        if best is None or _is_worth_it(found, best):
            best = found
        if best.mismatch + best.deviation <= ENOUGH:
            break
    if best is None:
        raise UnsupportedError(_no_scale(name, run, inputs))
    return fed_back(network, name, best, run, sent, inputs) if feedback else best


def best_of(network: Network, name: str, run: FloatRun, sent: Mapping[str, NDArray], inputs: Mapping[str, Input], form: Form) -> Fit | None:
    """The best fit of one form; None where no scale allows it. Arguments as of `fit_population`."""
    fits = [measured(network, name, fit, run, sent, inputs) for fit in candidates(network, name, run, inputs, form)]
    return choose(fits, unsaturated=_room(run.peak_voltage[name])) if fits else None


def fed_back(network: Network, name: str, fit: Fit, run: FloatRun, sent: Mapping[str, NDArray], inputs: Mapping[str, Input]) -> Fit:
    """The fit, or where that is clearly better, the same with its weights on payloads rounded in turn. Arguments as of `fit_population`.

    It has no say in how many groups there are: on data of another kind, the nearest integers of a further group are safer.
    """
    counted = in_units(network, name, fit.units)
    fed = with_feedback(counted, name, fit, sent, inputs)
    fed = fed and replace(measured(counted, name, fed, run_in_units(run, name, fit.units), sent, inputs), units=fit.units)
    return fed if fed and quality(fed) < WORTH * quality(fit) else fit


def _is_worth_it(fit: Fit, best: Fit) -> bool:
    """Whether it is so much better than the best so far that it may take more memory, where it does, or a threshold per neuron."""
    is_first_own = fit.units is not None and best.units is None
    if is_first_own and quality(best) - quality(fit) < GAIN:
        return False
    return quality(fit) < quality(best) * (WORTH if is_first_own or _stored(fit) > _stored(best) else 1)


def _stored(fit: Fit) -> int:
    """Bits of its weights."""
    return sum(s.values.size * s.bits for groups in fit.synapses for s in groups)


def quality(fit: Fit) -> float:
    """What is wrong with a fit, as a share: of spikes and of their counts, or of the voltage where no spikes can tell."""
    return fit.mismatch + fit.drift + fit.deviation


def choose(fits: list[Fit], unsaturated: float) -> Fit:
    """The fit to take: among those as good as the best, one that rounds nothing, else one whose voltage cannot saturate (its scale is
    at most `unsaturated`), else one without a column of biases, else the one that rounds least."""
    good = min(map(quality, fits)) * NOISE

    def rank(fit: Fit) -> tuple:
        return not fit.faithful, fit.scale > unsaturated, bool(fit.bias), fit.rounding, fit.scale

    return min((fit for fit in fits if quality(fit) <= good), key=rank)


def forms(network: Network, name: str, width: Width, max_groups: int) -> Iterator[Form]:
    """The ways to divide a population's weights that are worth trying, those of less memory first.

    Listed synapses are stored once however they are divided; all-to-all ones and kernels once per group, so that there two groups by
    sign take as much as one mixed group of twice the bits, and pay at few bits only.
    """
    if not isinstance(width, int):
        yield from (Form(width, depth, split=True) for depth in range(1, max_groups + 1))
        return
    bits, mixed = (width, width), [p.weights for p in network.into(name) if len(modes(p.weights.values, split=True)) > 1]
    listed = all(isinstance(weights, SparseWeights) for weights in mixed)
    for depth in range(1, max_groups + 1):
        if width > 1:
            yield Form(bits, depth)
        if width == 1 or (mixed and listed):
            yield Form(bits, depth, split=True)
        elif mixed and depth % 2 == 0 and width <= SPLIT_BITS:
            yield Form(bits, depth // 2, split=True)


def candidates(network: Network, name: str, run: FloatRun, inputs: Mapping[str, Input], form: Form) -> Iterator[Fit]:
    """Fits at the scales worth trying, unmeasured; none of which rounds all the weights of a population away."""
    population = network.populations[name]
    projections = [effective(network, p, inputs) for p in network.into(name)]
    graded = [sends_numbers(network, p.source, inputs) for p in projections]
    weighted = any(p.weights.values.any() for p in projections)
    for reaching in _reaching(projections, form):
        for scale in scales(population, projections, run, name, reaching):
            fit = build(population, projections, graded, scale, reaching)
            if fit is not None and not (weighted and len(fit.vanished) == len(projections)):
                yield fit


def _reaching(projections: list[Projection], form: Form) -> list[list[Form]]:
    """The form with and without weights that saturate: each projection's all kept, or those reaches that leave least of it behind."""
    by_projection = [reaches(p.weights.values, form) for p in projections]
    most = max(map(len, by_projection), default=1)
    return [[replace(form, reach=each[min(i, len(each) - 1)]) for each in by_projection] for i in range(most)]


def reaches(values: Array, form: Form) -> list[float]:
    """Where the range may end, as shares of the largest weight: at 1, and where less is left of all weights, the best first."""
    usual = float(np.quantile(np.abs(values[values != 0]), USUAL)) if values.any() else 0.0
    errors = {reach: left_over(values, form, reach, usual) for reach in REACHES}
    good = [reach for reach in sorted(REACHES, key=errors.__getitem__)[:TRIED] if errors[reach] < errors[1.0]]
    return [1.0, *good]


def left_over(values: Array, form: Form, reach: float, usual: float) -> float:
    """Sum of the magnitudes that the first round leaves of the weights. An outlier's counts as no more than a usual weight's, `usual`: it
    moves one neuron, and must not cost all others their digits."""
    left = 0.0
    for mode in modes(values, form.split):
        grid, top = Grid(mode, form.bits[mode == "inhibitory"], 0), largest(values, mode) * reach
        if grid.limit and top:
            unit = top / grid.limit
            kept = {"excitatory": values > 0, "inhibitory": values < 0}.get(mode, np.True_)
            left += float(np.minimum(np.abs(values - grid.integers(values / unit) * unit), usual).sum(where=kept))
    return left


def scales(population: Population, projections: list[Projection], run: FloatRun, name: str, forms: list[Form]) -> list[float]:
    """Threshold scales K at which some projection fills its weight range, the finest that the ranges allow, and the finest at which
    no voltage saturates on calibration data."""
    values = [p.weights.values for p in projections]
    tops = [weight_limit(w, form) / most for w, form in zip(values, forms) if (most := largest(w) * form.reach) > 0]
    finest = min([finest_scale(population, run, name), *(top * 2.0 ** EXPONENT_RANGE[1] for top in tops)])
    exponents = np.arange(EXPONENT_RANGE[0], EXPONENT_RANGE[1] + 1)
    wanted = sorted({finest, *(float(top * 2.0**e) for top in tops for e in exponents)}, reverse=True)
    chosen: list[float] = []
    for scale in wanted:
        if finest / SPAN <= scale <= finest and (not chosen or chosen[-1] / scale > NEARBY):
            chosen.append(scale)
    every = max(1, -(-len(chosen) // SCALES))
    unsaturated = min(finest, _room(run.peak_voltage[name]))
    return [on_threshold(population, scale) for scale in dict.fromkeys([*chosen[::every], unsaturated, *_powers(projections, finest)])]


def _powers(projections: list[Projection], finest: float) -> list[float]:
    """Powers of two, which round nothing, for weights that are fractions of 2**12; otherwise none."""
    if any((p.weights.values * DYADIC % 1).any() for p in projections):
        return []
    return [2.0**e for e in range(int(np.floor(np.log2(finest))), -1, -1)][:SCALES]


def _room(peaks: Array) -> float:
    """The scale at which the first of float states, grown by the headroom, reaches the end of its 24 bits."""
    return STATE_LIMIT / (HEADROOM * (1 << ALIGN_BITS) * max(float(peaks.max()), 1e-12))


def finest_scale(population: Population, run: FloatRun, name: str) -> float:
    """The largest K at which the current and the threshold, and of a readout the voltage, stay within their registers."""
    limit = _room(run.peak_current[name])
    if population.is_readout:  # its voltage is the result, so it must not saturate
        return min(limit, _room(run.peak_voltage[name]))
    return min(limit, (THRESHOLD_LIMIT - 1) / float(population.theta.max()))


def on_threshold(population: Population, scale: float) -> float:
    """The next scale below at which all thresholds are integers, where they are multiples of the least."""
    least = float(population.theta.min())
    if population.is_readout or (population.theta % least).any() or scale * least < 1:
        return scale
    return float(np.floor(scale * least) / least)


def measured(network: Network, name: str, fit: Fit, run: FloatRun, sent: Mapping[str, NDArray], inputs: Mapping[str, Input]) -> Fit:
    """The same fit with what is wrong with it: the population alone, fed with what the float network sent."""
    program = alone(network, name, fit, inputs)
    if not program.inputs:
        return replace(fit, mismatch=0.0)
    spikes = np.count_nonzero(run.spikes[name])
    recording = emulate(program, {n: sent[n] for n in program.inputs}, [name], states=not spikes)
    wrong = np.count_nonzero(recording.spikes[name] != run.spikes[name])
    if spikes:
        return replace(fit, mismatch=wrong / spikes, drift=drift(recording.spikes[name], run.spikes[name]))
    return replace(fit, mismatch=float(wrong), deviation=deviation(membrane(program, recording, name), run.v[name], fit.scale))


def drift(spikes: NDArray[np.bool_], expected: NDArray[np.bool_]) -> float:
    """Differences of the counts in windows of `WINDOW` steps, over the spikes expected, of which there are some."""
    starts = np.arange(0, len(expected), WINDOW)
    found, wanted = (_summed(s, starts) for s in (spikes, expected))
    return float(np.abs(found - wanted).sum() / wanted.sum())


def _summed(spikes: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.int32]:
    """Counts from each start on; a single window is added up at once, which NumPy does much faster."""
    if len(starts) == 1:
        return spikes.sum(0, dtype=np.int32)[None]
    return np.add.reduceat(spikes.astype(np.int32), starts, axis=0)


def deviation(v: NDArray[np.int32], expected: NDArray[np.float64], scale: float) -> float:
    """rms error of integer voltages at scale K, over the rms of the float ones."""
    error = v / (scale * (1 << ALIGN_BITS)) - expected
    return float(np.sqrt((error**2).mean()) / max(np.sqrt((expected**2).mean()), 1e-12))


def alone(network: Network, name: str, fit: Fit, inputs: Mapping[str, Input]) -> Program:
    """A program of one population, whose sources are inputs."""
    sources = {p.source for p in network.into(name)} - {name}
    nodes = {s: inputs.get(s) or _input_like(network.populations[s]) for s in sources}
    if fit.bias:
        nodes[constant_name(network)] = Constant()
    return Program({**nodes, name: fit.lif}, tuple(connections(network, name, fit, timed=False)), {})


def _input_like(population: Population) -> Input:
    """What stands for a population that feeds the one fitted."""
    return GradedInput(population.shape, MESSAGE_BITS, 1.0) if population.sends_numbers else SpikeInput(population.shape)


def _no_scale(name: str, run: FloatRun, inputs: Mapping[str, Input]) -> str:
    """Why no fit was found, and what to do."""
    graded = "; or send the analog inputs with fewer bits" if any(node.sends_numbers for node in inputs.values()) else ""
    return (
        f"{name!r}: no threshold scale keeps its weights, threshold and current within the chip's ranges (the current reaches "
        f"{run.peak_current[name].max():.3g} on calibration data); rescale its weights and threshold, or train with smaller weights{graded}"
    )
