"""One population at a time: the threshold scale and synapse groups whose spikes differ least from the float neurons'.

A population is run alone in the emulator, fed with what the float network's populations sent on calibration data, for a handful of
threshold scales K and several ways to divide weights among synapse groups (`candidates`): mixed or by sign, with and without outliers
that saturate, and with a further round of groups for what the first leaves over. The ranges of the chip pull against each other: a finer
K rounds weights less and brings the current closer to its 24-bit wrap, the threshold to its 17 bits, the voltage to where it saturates
and a bias to its 13 bits.

Where all that still loses spikes, neurons are counted in units of their own (`channel_scaling`). At last, weights on analog payloads are
rounded so that their errors cancel (`error_feedback`), if that keeps more spikes.

Fits are ranked by spikes; where as many differ, or none can tell because the population is silent or a readout, by the voltage
and then by how little rounding changed the weights. Where an output reads the voltage of neurons that fire, both count.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from snnfuse.export.lowering.network import Array
from snnfuse.export.quantization.candidates import candidates, forms, room
from snnfuse.export.quantization.channel_scaling import find_units
from snnfuse.export.quantization.error_feedback import compensated, with_feedback
from snnfuse.export.quantization.fed_population import FedPopulation, measured, measured_in_units
from snnfuse.export.quantization.fitting import Fit, build, effective, sends_numbers
from snnfuse.export.quantization.membrane_moments import Moments, membrane_moments
from snnfuse.export.quantization.rounding import Form
from snnfuse.export.quantization.settings import Width
from snnfuse.hardware.errors import UnsupportedError

# `python -m benchmarks.calibration` measures lower and higher ones: on the Braille graph a GAIN of 0 costs spikes at 8 bits and one class
# of 350, a LIKE of 1 spares 0.2 % of the spikes at 4, and the rest change nothing, now that outputs judge: plain choices. CANCELLED is one
# of how long it may take. On 29 steady random networks (`python -m benchmarks.few_bits --only random --first 200 --networks 32`) 4 bits
# keep 96.97 % of the classes, and 96.84 % with a LIKE without end; FIRST_SAMPLES and LAST_SCALES cost nothing there.
ENOUGH = 0.005  # share of spikes that may differ before a further synapse group is considered
WORTH = 0.8  # a form that takes more memory, or other integers than the nearest, must bring the quality below this share of the best so far
GAIN = 0.03  # by which, besides, a threshold per neuron must, or relays instead of fewer groups: less may be the calibration data's luck
FIRST_SAMPLES, LAST_SCALES = 12, 5  # samples on which all scales are tried, and scales that meet all samples
SHORT = 2  # fits of a form that are judged by the network's outputs, besides
SATURATED = 0.5  # quality above which spikes do not tell one fit from another
LIKE = 1.3  # times the best's quality, up to which a fit is judged by the outputs where spikes do tell
HOPELESS = 2.0  # times the best's quality, and so much more, beyond which a fit is not
CANCELLED = 2 * 10**8  # neurons times squared inputs, summed over the alternatives of a population whose errors are made to cancel
NOISE = 1.1  # mismatches within this factor of the best are as good: on other data they may change places


@dataclass(frozen=True, eq=False)
class Searched:
    """The best fit of a population, fed alone, and what else there is.

    Attributes:
        best: see `fit_population`.
        fed: the population; None where nothing is searched.
        width, max_groups: as there.
        tried: by units and form, the best `SHORT` fits.
    """

    best: Fit
    fed: FedPopulation | None = None
    width: Width = 8
    max_groups: int = 1
    tried: tuple[tuple[Array | None, Form, tuple[Fit, ...]], ...] = ()

    @cached_property
    def compensated(self) -> tuple[Fit, ...]:
        """The best with weights whose errors cancel; none where nothing is wrong with it, or they are not known to."""
        return () if self.fed is None or not quality(self.best) else tuple(self._compensated(self.fed, [self.best]))

    @cached_property
    def alternatives(self) -> tuple[Fit, ...]:
        """Other fits: the best of every form, and the same with weights whose errors cancel; none where nothing is wrong with the best."""
        fed, best = self.fed, self.best
        if fed is None or fed.readers is not None or not quality(best):
            return ()
        tried = {(own is not None, form): fits for own, form, fits in self.tried}
        others = [tried.get((own is not None, form)) or _shortest(every_scale(fed, [form] * fed.fan_in, own))
                  for own, form in ways(fed, self.width, self.max_groups)]  # fmt: skip
        nearest = [fit for fits in others for fit in fits if quality(fit) <= HOPELESS + HOPELESS * quality(best)]
        made = 0 if self._moments is None else CANCELLED // max(self._moments.best.size * self._moments.best.shape[1], 1)
        return (*self._compensated(fed, nearest[:made]), *(fit for fit in nearest if self._may_replace(fit)))

    @cached_property
    def _moments(self) -> Moments | None:
        return None if self.fed is None else membrane_moments(self.fed)

    def _compensated(self, fed: FedPopulation, fits: list[Fit]) -> Iterator[Fit]:
        made = [] if self._moments is None else [compensated(fed.counted_in(fit.units), fit, self._moments) for fit in fits]
        yield from filter(self._may_replace, (measured_in_units(fed, fit) for fit in made if fit is not None))

    def _may_replace(self, fit: Fit) -> bool:
        """Whether outputs may prefer a fit: where spikes tell, none that loses many more, for the outputs of a few samples have luck."""
        return quality(self.best) >= SATURATED or quality(fit) <= LIKE * quality(self.best)


def fit_population(fed: FedPopulation, width: Width, max_groups: int, feedback: bool = True) -> Fit:
    """The best fit of one population, fed alone.

    Args:
        fed: the population.
        width: weight bits, 1..8; or a pair, of excitatory and of inhibitory weights, which then have groups of their own.
        max_groups: synapse groups that one projection's weight may be stored in at most.
        feedback: whether weights may be rounded otherwise than to the nearest integers; see `snnfuse.export.quantization.error_feedback`.

    Raises:
        UnsupportedError: no threshold scale fits all ranges of the chip.
    """
    return search_population(fed, width, max_groups, feedback).best


def search_population(fed: FedPopulation, width: Width, max_groups: int, feedback: bool = True, enough: float = ENOUGH) -> Searched:
    """`fit_population`, with what else was tried; arguments and errors as there.

    enough: wrong share of spikes at which no further synapse group is looked for.
    """
    best: Fit | None = None
    tried = []
    for own, form in ways(fed, width, max_groups):
        fits = every_scale(fed, [form] * fed.fan_in, own)
        if not fits:
            continue
        tried.append((own, form, _shortest(fits)))
        found = _chosen(fed, fits, own)
        if best is None or _is_worth_it(found, best):
            best = found
        if best.mismatch + best.deviation <= enough:
            break
    if best is None:
        raise UnsupportedError(_no_scale(fed))
    return Searched(fed_back(fed, best) if feedback else best, fed, width, max_groups, tuple(tried))


def ways(fed: FedPopulation, width: Width, max_groups: int) -> list[tuple[Array | None, Form]]:
    """Units of the neurons, as of `channel_scaling`, and forms of all projections' weights, those of less memory first."""
    units = find_units(fed.network, fed.name, fed.inputs) if fed.run.spikes[fed.name].any() else None
    return [(own, f) for own in ((None,) if units is None else (None, units)) for f in forms(fed.network, fed.name, width, max_groups)]


def _shortest(fits: list[Fit]) -> tuple[Fit, ...]:
    return tuple(sorted(fits, key=quality)[:SHORT])


def fit_forms(fed: FedPopulation, forms: Sequence[Form], units: Array | None = None, feedback: bool = True) -> Fit | None:
    """The best fit whose weights are divided as `forms` says, by projection; None where no scale allows it.

    units: of the neurons, as of `channel_scaling`.
    """
    fits = every_scale(fed, forms, units)
    if not fits:
        return None
    best = _chosen(fed, fits, units)
    return fed_back(fed, best) if feedback else best


def every_scale(fed: FedPopulation, forms: Sequence[Form], units: Array | None) -> list[Fit]:
    """The fits of the scales worth trying: all of them meet a few samples, and the best of these the rest; as of `fit_forms`."""
    own = fed.counted_in(units)
    made = list(candidates(own.network, own.name, own.run, own.inputs, forms, own.scale))
    few = own.some(FIRST_SAMPLES)
    if few is not own and len(made) > LAST_SCALES:
        first = sorted((measured(few, fit) for fit in made), key=quality)
        made = [fit for at, fit in enumerate(first) if at < LAST_SCALES or fit.faithful]
    return [replace(measured(own, fit), units=units) for fit in made]


def _chosen(fed: FedPopulation, fits: list[Fit], units: Array | None) -> Fit:
    return choose(fits, unsaturated=room(fed.counted_in(units).run.peak_voltage[fed.name]))


def rebuilt(fed: FedPopulation, fit: Fit, forms: Sequence[Form], measure: bool = True) -> Fit | None:
    """A fit at the same scale whose weights are divided as `forms` says, by projection; None where a range does not allow it."""
    own = fed.counted_in(fit.units)
    projections = [effective(own.network, p, own.inputs) for p in own.network.into(own.name)]
    graded = [sends_numbers(own.network, p.source, own.inputs) for p in projections]
    other = build(own.network.populations[own.name], projections, graded, fit.scale, list(forms))
    if other is None:
        return None
    return replace(measured(own, other) if measure else other, units=fit.units)


def fed_back(fed: FedPopulation, fit: Fit) -> Fit:
    """The fit, or where that is clearly better, the same with its weights on payloads rounded in turn.

    It has no say in how many groups there are: on data of another kind, the nearest integers of a further group are safer.
    """
    if fed.readers is not None:
        return fit  # its errors are those of several sums, of which one counts
    own = fed.counted_in(fit.units)
    learnt, judge = own.apart
    other = with_feedback(own.network, own.name, fit, learnt, own.inputs)
    if other is None:
        return fit
    before = fit if judge is own else measured(judge, fit)
    after = measured(judge, other)
    if quality(after) >= WORTH * quality(before):
        return fit
    return replace(after if judge is own else measured(own, other), units=fit.units)


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


def _no_scale(fed: FedPopulation) -> str:
    """Why no fit was found, and what to do."""
    graded = "; or send the analog inputs with fewer bits" if any(node.sends_numbers for node in fed.inputs.values()) else ""
    return (
        f"{fed.name!r}: no threshold scale keeps its weights, threshold and current within the chip's ranges (the current reaches "
        f"{fed.run.peak_current[fed.name].max():.3g} on calibration data); rescale its weights and threshold, or train with smaller "
        f"weights{graded}"
    )
