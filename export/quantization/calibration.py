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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun
from snnfuse.export.lowering.network import Array, Network, Population
from snnfuse.export.quantization.candidates import candidates, forms, room
from snnfuse.export.quantization.channel_scaling import find_units, in_units, run_in_units
from snnfuse.export.quantization.error_feedback import with_feedback
from snnfuse.export.quantization.fitting import Fit, Input, build, connections, constant_name, effective, sends_numbers
from snnfuse.export.quantization.maxima import Readers
from snnfuse.export.quantization.rounding import Form
from snnfuse.export.quantization.settings import Width
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.encoding import membrane
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, MESSAGE_BITS
from snnfuse.hardware.ir.nodes import Constant, GradedInput, Node, SpikeInput
from snnfuse.hardware.ir.program import Program

# `python -m benchmarks.calibration` measures lower and higher ones: on the Braille graph a WORTH of 0.5 costs 9 points at 4 bits, a GAIN of
# 0 spikes at 8, and NOISE trades spikes for classes at 4. ENOUGH and WINDOW change nothing there: plain choices.
ENOUGH = 0.005  # share of spikes that may differ before a further synapse group is considered
WORTH = 0.8  # a form that takes more memory, or other integers than the nearest, must bring the quality below this share of the best so far
GAIN = 0.03  # by which, besides, a threshold per neuron must, or relays instead of fewer groups: less may be the calibration data's luck
WINDOW = 32  # steps in which spikes are counted
NOISE = 1.1  # mismatches within this factor of the best are as good: on other data they may change places


@dataclass(frozen=True, eq=False)
class FedPopulation:
    """One population of the float network with what arrives at it and what it does, on calibration data.

    Attributes:
        network: the float network.
        name: of the population.
        run: the float network's run.
        sent: by source: integer events of inputs, spikes or numbers of populations, (time, batch, *shape).
        inputs: the declared inputs, and the maxima as such.
        scale: of a maximum, which is settled; None for one that is searched.
        readers: of a maximum, the neurons that it feeds.
        others: by source that sends graded spikes, what it sent on the samples that are not among these.
    """

    network: Network
    name: str
    run: FloatRun
    sent: Mapping[str, NDArray]
    inputs: Mapping[str, Input]
    scale: float | None = None
    readers: Readers | None = None
    others: Mapping[str, NDArray] = field(default_factory=dict)

    def counted_in(self, units: Array | None) -> "FedPopulation":
        """The same with its voltages in units of their own, as of `channel_scaling`; None for none."""
        return replace(self, network=in_units(self.network, self.name, units), run=run_in_units(self.run, self.name, units))

    @property
    def apart(self) -> "tuple[Mapping[str, NDArray], FedPopulation]":
        """What errors are made to cancel on, and what judges that: other samples, for on its own anything cancels. Where there are too few
        others, it is every second sample of these."""
        samples = self.run.spikes[self.name].shape[1]
        if self.others and all(sent.shape[1] >= samples for sent in self.others.values()):
            return {**self.sent, **self.others}, self
        if samples < 2:
            return self.sent, self
        even, odd = np.arange(0, samples, 2), np.arange(1, samples, 2)
        judge = replace(self, run=self.run.select(self.name, even), sent={name: x[:, even] for name, x in self.sent.items()})
        return {name: x[:, odd] for name, x in self.sent.items()}, judge

    @property
    def fan_in(self) -> int:
        """Projections into it."""
        return len(self.network.into(self.name))


def fit_population(fed: FedPopulation, width: Width, max_groups: int, feedback: bool = True) -> Fit:
    """The best fit of one population.

    Args:
        fed: the population.
        width: weight bits, 1..8; or a pair, of excitatory and of inhibitory weights, which then have groups of their own.
        max_groups: synapse groups that one projection's weight may be stored in at most.
        feedback: whether weights may be rounded otherwise than to the nearest integers; see `snnfuse.export.quantization.error_feedback`.

    Raises:
        UnsupportedError: no threshold scale fits all ranges of the chip.
    """
    best: Fit | None = None
    units = find_units(fed.network, fed.name, fed.inputs) if fed.run.spikes[fed.name].any() else None
    ways = (None,) if units is None else (None, units)
    for own, form in ((own, form) for own in ways for form in forms(fed.network, fed.name, width, max_groups)):
        found = fit_forms(fed, [form] * fed.fan_in, own, feedback=False)
        if found is None:
            continue
        if best is None or _is_worth_it(found, best):
            best = found
        if best.mismatch + best.deviation <= ENOUGH:
            break
    if best is None:
        raise UnsupportedError(_no_scale(fed))
    return fed_back(fed, best) if feedback else best


def fit_forms(fed: FedPopulation, forms: Sequence[Form], units: Array | None = None, feedback: bool = True) -> Fit | None:
    """The best fit whose weights are divided as `forms` says, by projection; None where no scale allows it.

    units: of the neurons, as of `channel_scaling`.
    """
    own = fed.counted_in(units)
    fits = [measured(own, fit) for fit in candidates(own.network, own.name, own.run, own.inputs, forms, own.scale)]
    if not fits:
        return None
    best = replace(choose(fits, unsaturated=room(own.run.peak_voltage[own.name])), units=units)
    return fed_back(fed, best) if feedback else best


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


def measured(fed: FedPopulation, fit: Fit) -> Fit:
    """The same fit with what is wrong with it: the population alone, fed with what the float network sent."""
    program, expected = alone(fed.network, fed.name, fit, fed.inputs), fed.run.spikes[fed.name]
    if not program.inputs:
        return replace(fit, mismatch=0.0)
    if fed.readers is not None:
        return _measured_behind(fed, fed.readers, fit, program)
    spikes, is_read = np.count_nonzero(expected), not expected.any() or fed.name in fed.network.read_voltages
    recording = emulate(program, {n: fed.sent[n] for n in program.inputs}, [fed.name], states=is_read)
    wrong = np.count_nonzero(recording.spikes[fed.name] != expected)
    off = deviation(membrane(program, recording, fed.name), fed.run.v[fed.name], fit.scale) if is_read else 0.0
    if spikes:
        return replace(fit, mismatch=wrong / spikes, drift=drift(recording.spikes[fed.name], expected), deviation=off)
    return replace(fit, mismatch=float(wrong), deviation=off)


def _measured_behind(fed: FedPopulation, readers: Readers, fit: Fit, program: Program) -> Fit:
    """Of a maximum: what is wrong with the spikes of those that it feeds, or with what it sends where none can tell."""
    payload = emulate(program, {n: fed.sent[n] for n in program.inputs}, [fed.name]).spikes[fed.name]
    found, spikes = readers.found(fed.name, payload / fit.scale), sum(np.count_nonzero(s) for s in readers.spikes.values())
    if not spikes:
        return replace(fit, mismatch=0.0, deviation=deviation(payload << ALIGN_BITS, fed.run.spikes[fed.name], fit.scale))
    wrong = sum(np.count_nonzero(found[n] != expected) for n, expected in readers.spikes.items())
    drifts = [drift(found[n], expected) * np.count_nonzero(expected) for n, expected in readers.spikes.items()]
    return replace(fit, mismatch=wrong / spikes, drift=sum(drifts) / spikes)


def drift(spikes: NDArray, expected: NDArray[np.bool_]) -> float:
    """Differences of the counts in windows of `WINDOW` steps, over the spikes expected, of which there are some."""
    starts = np.arange(0, len(expected), WINDOW)
    found, wanted = (_summed(s, starts) for s in (spikes, expected))
    return float(np.abs(found - wanted).sum() / wanted.sum())


def _summed(spikes: NDArray, starts: NDArray[np.int64]) -> NDArray[np.int32]:
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
    nodes: dict[str, Node] = {s: inputs.get(s) or _input_like(network.populations[s]) for s in sources}
    if fit.bias:
        nodes[constant_name(network)] = Constant()
    return Program({**nodes, name: fit.lif}, tuple(connections(network, name, fit, timed=False)), {})


def _input_like(population: Population) -> Input:
    """What stands for a population that feeds the one fitted."""
    return GradedInput(population.shape, MESSAGE_BITS, 1.0) if population.sends_numbers else SpikeInput(population.shape)


def _no_scale(fed: FedPopulation) -> str:
    """Why no fit was found, and what to do."""
    graded = "; or send the analog inputs with fewer bits" if any(node.sends_numbers for node in fed.inputs.values()) else ""
    return (
        f"{fed.name!r}: no threshold scale keeps its weights, threshold and current within the chip's ranges (the current reaches "
        f"{fed.run.peak_current[fed.name].max():.3g} on calibration data); rescale its weights and threshold, or train with smaller "
        f"weights{graded}"
    )
