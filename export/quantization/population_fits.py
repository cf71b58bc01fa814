"""The fits of a network's populations, each alone, on calibration data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun, simulate
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.weights import count_connections
from snnfuse.export.quantization.calibration import ENOUGH, Searched, fit_forms, search_population
from snnfuse.export.quantization.calibration_data import evenly
from snnfuse.export.quantization.exact_fit import fit_exactly
from snnfuse.export.quantization.fed_population import FedPopulation
from snnfuse.export.quantization.fitting import Fit, Input
from snnfuse.export.quantization.maxima import Readers, payloads
from snnfuse.export.quantization.reading import decision
from snnfuse.export.quantization.rounding import Form
from snnfuse.export.quantization.settings import QuantizationSettings, WeightBits, Width
from snnfuse.export.targets import LAVA, Target
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import to_events
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS
from snnfuse.hardware.ir.nodes import GradedInput

# `python -m benchmarks.calibration`: a quarter of the samples moves 0.2 % of the spikes of the Braille graph at 4 bits, four times nothing.
SEARCH_SAMPLES, LEAST_SAMPLES = 96, 4  # calibration samples used to compare candidates; ranges and the result are measured on all
SEARCH_WORK = 5 * 10**7  # weights times time steps times samples that one candidate of one layer may take: a plain choice, of about 1 s


@dataclass(frozen=True, eq=False)
class Context:
    """What fits are made of.

    Attributes:
        network: float network, legalised.
        inputs: as declared.
        events: encoded calibration data, (time, batch, *shape) by input.
        run: the float network's run on what the encoding leaves of it.
        settled: fits that are not searched.
    """

    network: Network
    inputs: Mapping[str, Input]
    events: Mapping[str, NDArray[np.int32]]
    run: FloatRun
    settled: Mapping[str, Fit] = field(default_factory=dict)

    @cached_property
    def payloads(self) -> Mapping[str, GradedInput]:
        """By maximum, what its readers get."""
        return payloads(self.network, self.run, self.inputs)

    def fed(self, name: str) -> FedPopulation:
        """A population with what arrives at it, on some of the samples."""
        chosen = search_samples(self.network, name, *self.run.spikes[name].shape[:2])
        sources = {p.source for p in self.network.into(name)}
        sent = {s: self._sent(s, chosen) for s in sources}
        own = self.payloads.get(name)
        readers = None if own is None else Readers.of(self.network, name, self._values(chosen))
        inputs = {**self.inputs, **self.payloads}
        left = np.setdiff1d(np.arange(self.run.spikes[name].shape[1]), chosen)
        others = {s: self._sent(s, left) for s in sources & inputs.keys() if left.size and inputs[s].sends_numbers}
        scale = None if own is None else 1 / own.scale
        return FedPopulation(self.network, name, self.run.select(name, chosen), sent, inputs, scale, readers, others)

    def _sent(self, source: str, chosen: NDArray[np.int64]) -> NDArray:
        """Integers; of a maximum those nearest to what it sends in the float network."""
        if source in self.events:
            return self.events[source][:, chosen]
        values, payload = self.run.spikes[source][:, chosen], self.payloads.get(source)
        return values if payload is None else payload.encode(source, values)

    def _values(self, chosen: NDArray[np.int64]) -> dict[str, NDArray]:
        """What every input and population sends in the float network."""
        received = {n: self.events[n][:, chosen] * (x.scale if x.sends_numbers else 1) for n, x in self.inputs.items()}
        return received | {n: spikes[:, chosen] for n, spikes in self.run.spikes.items()}


def calibrate(network: Network, x: Mapping[str, NDArray], inputs: Mapping[str, Input]) -> Context:
    """What fits are made of, on calibration data (time, batch, *shape) by input: the float network is fed with what the encoding leaves."""
    events = to_events(inputs, x)
    received = {n: events[n] * node.scale if node.sends_numbers else events[n] for n, node in inputs.items()}
    return Context(network, inputs, events, simulate(network, received, voltages=False))


def fit_all(context: Context, settings: QuantizationSettings, target: Target = LAVA, feedback: bool = True) -> dict[str, Fit]:
    """Every population's best fit alone, in weights that the target has."""
    return {name: each.best for name, each in search_all(context, settings, target, feedback).items()}


def search_all(context: Context, settings: QuantizationSettings, target: Target = LAVA, feedback: bool = True) -> dict[str, Searched]:
    """`fit_all`, with what else there is of each."""
    widths = widths_of(context.network, settings.weight_bits, target.weight_bits)
    is_value = decision(context.network, settings.reading) in context.network.membranes  # which moves with every spike
    enough = 0.0 if is_value else ENOUGH
    return {name: search_one(context, name, widths[name], settings.max_groups, feedback, enough) for name in context.network.order}


def search_one(context: Context, name: str, width: Width, max_groups: int, feedback: bool = True, enough: float = ENOUGH) -> Searched:
    """One population's; products and relays are exact. Arguments and errors as of `search_population`."""
    if name in context.settled:
        return Searched(context.settled[name])
    if context.network.populations[name].counts:
        return Searched(fit_exactly(context.network, name))
    return search_population(context.fed(name), width, max_groups, feedback, enough)


def fit_one(context: Context, name: str, width: Width, max_groups: int, feedback: bool = True) -> Fit:
    """One population's best fit alone; as of `search_one`."""
    return search_one(context, name, width, max_groups, feedback).best


def refit(context: Context, name: str, fit: Fit, forms: Sequence[Form]) -> Fit | None:
    """The best fit with the weights divided otherwise, by projection; None where no scale allows it."""
    return fit_forms(context.fed(name), forms, fit.units)


def widths_of(network: Network, weight_bits: WeightBits, most: int = WEIGHT_BITS) -> dict[str, Width]:
    """Bits by population, none above `most`; InputError where a name is none."""
    given = weight_bits if isinstance(weight_bits, Mapping) else dict.fromkeys(network.populations, weight_bits)
    unknown = [name for name in given if name not in network.populations]
    if unknown:
        raise InputError(f"weight_bits names {unknown[0]!r}, but the populations are {', '.join(network.order)}")
    return {name: _at_most(most, given.get(name, WEIGHT_BITS)) for name in network.populations}


def _at_most(most: int, width: Width) -> Width:
    return min(most, width) if isinstance(width, int) else (min(most, width[0]), min(most, width[1]))


def search_samples(network: Network, name: str, time: int, batch: int) -> NDArray[np.int64]:
    """Evenly spaced samples, so that sorted data is not cut to its first classes; fewer for a layer whose many weights and neurons
    make each of them slow, and tell as much."""
    weights = sum(count_connections(p.weights) for p in network.into(name))
    number = int(np.clip(SEARCH_WORK // max(weights * time, 1), LEAST_SAMPLES, SEARCH_SAMPLES))
    return evenly(batch, number)
