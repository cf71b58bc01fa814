"""The ways to hold a population in integers that are worth trying: groups that its weights are divided among, ends of their range, and
threshold scales.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np

from snnfuse.export.lowering.float_simulator import FloatRun
from snnfuse.export.lowering.network import Array, Network, Population, Projection
from snnfuse.export.lowering.weights import SparseWeights
from snnfuse.export.quantization.fitting import Fit, Input, build, effective, sends_numbers
from snnfuse.export.quantization.rounding import Form, Grid, largest, modes, weight_limit
from snnfuse.export.quantization.settings import Width
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, EXPONENT_RANGE, STATE_LIMIT, THRESHOLD_LIMIT

# `python -m benchmarks.calibration` measures lower and higher ones: on the Braille graph a HEADROOM of 2 keeps more spikes at 8 bits and
# one class of 350 less, half the SCALES cost one at 4, a NEARBY of 1.2 spares spikes there, and the rest change nothing: plain choices.
HEADROOM = 1.4  # the current may grow by this factor beyond calibration before it wraps
SCALES = 16  # threshold scales tried per population
NEARBY = 1.04  # scales closer than this are one
SPAN = 256  # the finest scale tried over the coarsest, but for the one at which no voltage saturates
DYADIC = 1 << 12  # weights that are whole multiples of 1/2**12 may be kept as they are
REACHES = tuple(2.0 ** (-i / 2) for i in range(25))  # ends of the weights' range tried, as shares of the largest: down to 1/2**12
TRIED = 2  # of them, besides 1
USUAL = 0.99  # quantile of the weights' magnitudes that no error of one counts as more than
REMEMBERED = 256  # answers of `reaches`
SPLIT_BITS = 4  # above, a second mixed group holds more than groups by sign, for as much memory


_reaches: dict[tuple, list[float]] = {}


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


def candidates(
    network: Network, name: str, run: FloatRun, inputs: Mapping[str, Input], forms: Sequence[Form], fixed: float | None = None
) -> Iterator[Fit]:
    """Fits at the scales worth trying, unmeasured; none of which rounds all the weights of a population away.

    forms: by projection, in the order of `Network.into`.
    fixed: the only scale, where it is settled.
    """
    population = network.populations[name]
    projections = [effective(network, p, inputs) for p in network.into(name)]
    graded = [sends_numbers(network, p.source, inputs) for p in projections]
    weighted = any(p.weights.values.any() for p in projections)
    for reaching in _reaching(projections, forms):
        tried = scales(population, projections, run, name, reaching, name in network.read_voltages) if fixed is None else [fixed]
        for scale in tried:
            fit = build(population, projections, graded, scale, reaching)
            if fit is not None and not (weighted and len(fit.vanished) == len(projections)):
                yield fit


def _reaching(projections: list[Projection], forms: Sequence[Form]) -> list[list[Form]]:
    """The forms with and without weights that saturate: each projection's all kept, or those reaches that leave least of it behind."""
    by_projection = [reaches(p.weights.values, form) for p, form in zip(projections, forms)]
    most = max(map(len, by_projection), default=1)
    return [[replace(form, reach=each[min(i, len(each) - 1)]) for form, each in zip(forms, by_projection)] for i in range(most)]


def reaches(values: Array, form: Form) -> list[float]:
    """Where the range may end, as shares of the largest weight: at 1, and where less is left of all weights, the best first."""
    key = (sha256(values.tobytes()).digest(), values.shape, form.bits, form.split)  # forms of one population ask the same
    if key not in _reaches:
        if len(_reaches) >= REMEMBERED:
            _reaches.clear()
        _reaches[key] = _best_reaches(values, form)
    return _reaches[key]


def _best_reaches(values: Array, form: Form) -> list[float]:
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


def scales(
    population: Population, projections: list[Projection], run: FloatRun, name: str, forms: list[Form], is_read: bool
) -> list[float]:
    """Threshold scales K at which some projection fills its weight range, or weights of one magnitude are powers of two, the finest that
    the ranges allow, and the finest at which no voltage saturates on calibration data; is_read: whether an output reads the voltage."""
    values = [p.weights.values for p in projections]
    tops = [weight_limit(w, form) / most for w, form in zip(values, forms) if (most := largest(w) * form.reach) > 0]
    finest = min([finest_scale(population, run, name, is_read), *(top * 2.0 ** EXPONENT_RANGE[1] for top in tops)])
    tops += [1 / largest(w) for w in values if w.any() and (np.abs(w[w != 0]) == largest(w)).all()]  # behind a maximum, say
    exponents = np.arange(EXPONENT_RANGE[0], EXPONENT_RANGE[1] + 1)
    wanted = sorted({finest, *(float(top * 2.0**e) for top in tops for e in exponents)}, reverse=True)
    chosen: list[float] = []
    for scale in wanted:
        if finest / SPAN <= scale <= finest and (not chosen or chosen[-1] / scale > NEARBY):
            chosen.append(scale)
    every = max(1, -(-len(chosen) // SCALES))
    unsaturated = min(finest, room(run.peak_voltage[name]))
    return [on_threshold(population, scale) for scale in dict.fromkeys([*chosen[::every], unsaturated, *_powers(projections, finest)])]


def _powers(projections: list[Projection], finest: float) -> list[float]:
    """Powers of two, which round nothing, for weights that are fractions of 2**12, of 1 or of the largest; otherwise none."""
    if any(_has_digits(p.weights.values) and _has_digits(p.weights.values / _unit(p)) for p in projections):
        return []
    return [2.0**e for e in range(int(np.floor(np.log2(finest))), -1, -1)][:SCALES]


def _has_digits(values: Array) -> bool:
    """Whether any is no multiple of 2**-12; a few first, for usually those are none."""
    flat = values.ravel()
    return any(bool((part * DYADIC % 1).any()) for part in (flat[:DYADIC], flat[DYADIC:]))


def _unit(projection: Projection) -> float:
    """The power of two below the largest weight; of graded sources alone, whose unit is in the weights, it may be far from 1."""
    return 2.0 ** np.floor(np.log2(largest(projection.weights.values) or 1.0))


def room(peaks: Array) -> float:
    """The scale at which the first of float states, grown by the headroom, reaches the end of its 24 bits."""
    return STATE_LIMIT / (HEADROOM * (1 << ALIGN_BITS) * max(float(peaks.max()), 1e-12))


def finest_scale(population: Population, run: FloatRun, name: str, is_read: bool) -> float:
    """The largest K at which the current and the threshold, and where it is read the voltage, stay within their registers."""
    limit = room(run.peak_current[name])
    if is_read or population.is_readout:  # its voltage is the result, so it must not saturate
        limit = min(limit, room(run.peak_voltage[name]))
    if population.is_readout:
        return limit
    return min(limit, (THRESHOLD_LIMIT - 1) / float(population.theta.max()))


def on_threshold(population: Population, scale: float) -> float:
    """The next scale below at which all thresholds are integers, where they are multiples of the least."""
    least = float(population.theta.min())
    if population.is_readout or (population.theta % least).any() or scale * least < 1:
        return scale
    return float(np.floor(scale * least) / least)
