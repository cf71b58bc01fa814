"""Two models of energy and time, and a CPU to compare with. Each gives a range, of an inference, per layer, and per input.

Loihi 1    The energies of Loihi 1's operations, before silicon. The lower bound takes spiking neurons for active, weights that are not 0
           for operations, and messages within a tile; the upper bound every neuron, every stored weight, and the whole way across the
           mesh. Dynamic energy only: no static power is published beside these constants.

Calibrated The published run of PilotNet on Loihi 2. Let E = a n + b u + c o for n cores times steps, u neuron updates and o
           operations of an inference. Whatever a, b, c >= 0 make E the published energy for PilotNet, E of another network lies between
           the smallest and the largest of n, u, o relative to PilotNet's, times that energy: it is their weighted mean. The spikes of
           the published run are not known, so that its o is a range too. Static power goes with cores or with chips in the same way,
           and the time of a step with one, or with the neurons or operations of the busiest core.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from snnfuse.hardware.energy.activity import NO_INPUT, Activity, Link, Population
from snnfuse.hardware.energy.constants import CPU, LOIHI1, NOTHING, PILOTNET, Range, published_energy_mj

PJ_PER_UJ = 1e6
NS_PER_US = 1e3

Keep = Callable[[Link | Population], bool]


@dataclass(frozen=True)
class Estimate:
    """What one model says of an inference.

    Attributes:
        model: its name.
        about: in a sentence.
        dynamic_uj: dynamic energy, microjoules.
        static_uj: static energy while it runs; None where the model has no static power.
        time_us: microseconds of the inference's steps.
        latency_us: from the first input to the decision: the window, and the steps by which the output lags.
        layers: dynamic energy by node.
        inputs: dynamic energy by the input whose spikes cause it, "fused" and "no input".
    """

    model: str
    about: str
    dynamic_uj: Range
    static_uj: Range | None
    time_us: Range
    latency_us: Range
    layers: Mapping[str, Range]
    inputs: Mapping[str, Range]

    @property
    def total_uj(self) -> Range:
        """Dynamic and, where it is known, static energy."""
        return self.dynamic_uj + (self.static_uj or NOTHING)


def loihi1(activity: Activity) -> Estimate:
    """Return energy and time by the published constants of Loihi 1's operations."""
    steps = LOIHI1["barrier_ns"].range * activity.steps
    time = (activity.busy_ns + steps) * (1 / NS_PER_US)
    return Estimate(
        "Loihi 1 constants",
        "a prediction from the energies of Loihi 1's operations before silicon; dynamic energy only",
        _loihi1(activity, lambda _: True),
        None,
        time,
        time * _lag(activity),
        *_shares(activity, lambda keep: _loihi1(activity, keep)),
    )


def _loihi1(activity: Activity, keep: Keep) -> Range:
    energy = {name: constant.range for name, constant in LOIHI1.items()}
    total = NOTHING
    for link in filter(keep, activity.links):
        message = energy["tile_pj"] + energy["mesh_pj"]
        total += Range(
            link.effective * energy["operation_pj"].low + link.messages * message.low,
            link.operations * energy["operation_pj"].high + link.messages * message.high,
        )
    for layer in filter(keep, activity.populations):
        inactive = (layer.updates - layer.spikes) * energy["inactive_pj"].low
        total += Range(layer.spikes * energy["active_pj"].low + inactive, layer.updates * energy["active_pj"].high)
    return total * (1 / PJ_PER_UJ)


def calibrated(activity: Activity) -> Estimate:
    """Return energy and time calibrated on the published run of PilotNet on Loihi 2."""
    published = {name: constant.range for name, constant in PILOTNET.items()}
    seconds = 1 / published["rate"].low
    time = _time(activity, published) * (1e6 * seconds)
    static = _bounds([(activity.cores, published["cores"]), (activity.chips, published["chips"])])
    watts = static * published["static_w"].low
    return Estimate(
        "calibrated on PilotNet",
        "bounds of every model that is linear in core-steps, neuron updates and operations and gives the published run its energy",
        _calibrated(activity, lambda _: True),
        Range(time.low * watts.low, time.high * watts.high),
        time,
        time * _lag(activity),
        *_shares(activity, lambda keep: _calibrated(activity, keep)),
    )


def _calibrated(activity: Activity, keep: Keep) -> Range:
    published = {name: constant.range for name, constant in PILOTNET.items()}
    layers = list(filter(keep, activity.populations))
    steps = published["steps"].low
    ratios = [
        (sum(a.cores for a in layers) * activity.steps, published["cores"] * steps),
        (sum(a.updates for a in layers), published["neurons"] * steps),
        (sum(a.operations for a in filter(keep, activity.links)), _of_rate(published["synapses"], published["activity"]) * steps),
    ]
    return _bounds(ratios) * (1e3 * published_energy_mj()["dynamic"])


def _time(activity: Activity, published: Mapping[str, Range]) -> Range:
    """Of the inference's steps, relative to the published run."""
    steps = published["steps"].low
    return _bounds(
        [
            (activity.steps, published["steps"]),
            (activity.steps * float(activity.core_neurons.max(initial=0)), published["core_neurons"] * steps),
            (float(activity.core_operations.max(initial=0)), _of_rate(published["core_synapses"], published["activity"]) * steps),
        ]
    )


def _of_rate(synapses: Range, rate: Range) -> Range:
    return Range(synapses.low * rate.low, synapses.high * rate.high)


def _bounds(pairs: list[tuple[float, Range]]) -> Range:
    """The smallest and largest of quantities relative to published ones."""
    return Range(min(x / of.high for x, of in pairs), max(x / of.low for x, of in pairs))


def _lag(activity: Activity) -> float:
    return (activity.steps + activity.latency) / activity.steps


def _shares(activity: Activity, energy: Callable[[Keep], Range]) -> Iterator[dict[str, Range]]:
    """Per layer, whose incoming connections count for it, and per input."""
    yield {layer.name: energy(lambda part, name=layer.name: _place(part) == name) for layer in activity.populations}
    yield {origin: energy(lambda part, origin=origin: part.origin == origin) for origin in activity.origins}


def _place(part: Link | Population) -> str:
    return part.name if isinstance(part, Population) else part.target


def macs(activity: Activity) -> int:
    """Multiply-accumulates of the same network in floating point: one for every synapse and step, but for biases, and one where a weight
    takes two groups."""
    return activity.steps * sum(link.synapses for link in activity.links if link.origin != NO_INPUT and not link.further)


def cpu_uj(activity: Activity) -> Range:
    """Energy of these on a CPU, microjoules."""
    return CPU["mac_pj"].range * (macs(activity) / PJ_PER_UJ)
