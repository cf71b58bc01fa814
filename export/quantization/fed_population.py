"""One population of the float network with what arrives at it, and what is wrong with a fit that is fed with the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.differences import float_alone
from snnfuse.export.lowering.float_simulator import FloatRun
from snnfuse.export.lowering.network import Array, Network, Population
from snnfuse.export.quantization.calibration_data import evenly
from snnfuse.export.quantization.channel_scaling import in_units, run_in_units
from snnfuse.export.quantization.fitting import Fit, Input, connections, constant_name
from snnfuse.export.quantization.maxima import Readers
from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.ir.encoding import membrane
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, MESSAGE_BITS
from snnfuse.hardware.ir.nodes import Constant, GradedInput, Node, SpikeInput
from snnfuse.hardware.ir.program import Program

# Plain choices: on the Braille graph a tenth, a quarter and four and ten times change nothing (`python -m benchmarks.calibration`).
TELLING = 500  # spikes that tell one scale from another
WINDOW = 32  # steps in which spikes are counted


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
        return {name: x[:, odd] for name, x in self.sent.items()}, self.on(even)

    def on(self, chosen: NDArray[np.int64]) -> "FedPopulation":
        """The same on some of the samples."""
        return replace(self, run=self.run.select(self.name, chosen), sent={name: x[:, chosen] for name, x in self.sent.items()})

    def some(self, most: int) -> "FedPopulation":
        """The same on so many samples, evenly spaced, or more where it spikes less than `TELLING` times there; itself where that is most of
        them, or readers are fed beside it."""
        samples, spikes = self.run.spikes[self.name].shape[1], np.count_nonzero(self.run.spikes[self.name])
        most = max(most, -(-TELLING * samples // spikes)) if spikes else most
        return self if samples <= 2 * most or self.readers is not None else self.on(evenly(samples, most))

    @property
    def own_voltage(self) -> Array:
        """The float population's membrane, (time, batch, *shape)."""
        sent = {s: x * self.inputs[s].scale if s in self.inputs and self.inputs[s].sends_numbers else x for s, x in self.sent.items()}
        return float_alone(self.network, self.name, sent).v[self.name]

    @property
    def fan_in(self) -> int:
        """Projections into it."""
        return len(self.network.into(self.name))


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


def measured_in_units(fed: FedPopulation, fit: Fit) -> Fit:
    """`measured`, of a fit in units of its own."""
    return replace(measured(fed.counted_in(fit.units), fit), units=fit.units)


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
