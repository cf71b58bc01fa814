"""Energy and time of an inference, in two regimes that are never mixed, and a second opinion.

Free-running     The network steps as fast as the chip can (`step_time`). Energy is static power, power while the chip steps, and energy
                 per operation:

                     E = (P_static chips + P_running chips + P_core cores) T + e_u updates + e_o operations + e_m messages

                 where an update in microcode counts as many stock updates as it takes longer.
Fed by the host  The same, and the time in which the chip waits for its inputs: T + t_x exchanges + t_v values. Meanwhile it takes static
                 power only: PilotNet's SDNN, 59 ms a frame, has a dynamic power "below noise". Inputs are written once per sample, or on
                 every step.
Loihi 1          SANA-FE's fit to Loihi 1 silicon: another chip, but measured operation by operation.

An interval is the median divided and multiplied by a factor that covers the published runs of Loihi 2, each left out of the fit
(`python -m benchmarks.published`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from snnfuse.hardware.energy.activity import NO_INPUT, Activity, Link, Population
from snnfuse.hardware.energy.constants import CATALOGUE, CPU, Range, values
from snnfuse.hardware.energy.step_time import decided_by, inference_us, part_times

PJ_PER_UJ = 1e6
FREE, HOST_ONCE, HOST_EVERY, LOIHI1 = (
    "free-running", "fed by the host once per sample", "fed by the host on every step", "Loihi 1 silicon (SANA-FE)",
)  # fmt: skip
HOPS = 10  # at most, from corner to corner of the mesh

Keep = Callable[[Link | Population], bool]
Numbers = Mapping[str, Mapping[str, float]]
"""Constants by group and name, as `default_numbers` gives them."""


def default_numbers() -> dict[str, dict[str, float]]:
    """Return the catalogue's numbers."""
    return {group: values(group) for group in CATALOGUE}


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
        median: the one figure of `dynamic_uj`, `static_uj`, `total_uj`, `time_us` and `latency_us`; without those that are not known.
        layers: dynamic energy by node; empty where it is that of the free-running model.
        inputs: dynamic energy by the input whose spikes cause it, "fused" and "no input"; likewise.
        decided_by: share of steps that each part of the chip decides.
    """

    model: str
    about: str
    dynamic_uj: Range
    static_uj: Range | None
    time_us: Range
    latency_us: Range
    median: Mapping[str, float]
    layers: Mapping[str, Range] = field(default_factory=dict)
    inputs: Mapping[str, Range] = field(default_factory=dict)
    decided_by: Mapping[str, float] = field(default_factory=dict)

    @property
    def total_uj(self) -> Range:
        """Dynamic and, where it is known, static energy."""
        return self.dynamic_uj if self.static_uj is None else self.dynamic_uj + self.static_uj


def around(value: float, factor: float) -> Range:
    """Return an interval around a median."""
    return Range(value / factor, value * factor)


def free_running(activity: Activity, numbers: Numbers | None = None) -> Estimate:
    """Return energy and time of a network that steps as fast as the chip can; `numbers` in place of the catalogue's."""
    numbers = numbers or default_numbers()
    time = inference_us(activity, numbers["time"])
    about = (
        "steps follow each other as fast as the busiest core, the busiest link and the barrier allow; constants fitted to published runs"
    )
    shares = _shares(activity, lambda keep: around(dynamic_uj(activity, numbers, time, keep), numbers["validation"]["energy_factor"]))
    return _estimate(FREE, about, activity, numbers, time, time, *shares, decided_by=decided_by(activity, numbers["time"]))


def host_fed(activity: Activity, every_step: bool, numbers: Numbers | None = None) -> Estimate:
    """Return energy and time where a host writes the inputs, once per sample or on every step, and the chip waits for them."""
    numbers = numbers or default_numbers()
    time, exchanges = inference_us(activity, numbers["time"]), activity.steps if every_step else 1
    model = HOST_EVERY if every_step else HOST_ONCE
    about = (
        f"free-running time, and the chip waits for {activity.values} values in {exchanges} {'exchanges' if every_step else 'exchange'} "
        "with the host; rate per value fitted to published runs, cost per exchange assumed"
    )
    return _estimate(model, about, activity, numbers, time, time + waiting_us(activity.values, exchanges, numbers))


def waiting_us(moved: float, exchanges: float, numbers: Numbers) -> float:
    """Return microseconds of so many values moved in so many exchanges with a host."""
    return exchanges * numbers["host"]["exchange_us"] + moved * numbers["host"]["value_us"]


def static_w(activity: Activity, numbers: Numbers) -> float:
    """Return watts of static power: of the only chip of a board, or of each chip in use of a larger one."""
    power = numbers["power"]
    return power["static_w"] if activity.board_chips == 1 else power["shared_static_w"] * activity.chips


def dynamic_uj(activity: Activity, numbers: Numbers, time_us: float, keep: Keep | None = None) -> float:
    """Return microjoules of dynamic energy of an inference whose steps take so long, of the parts to keep or of all.

    What the chip takes while it steps belongs to layers as their cores do.
    """
    layers = [layer for layer in activity.populations if keep is None or keep(layer)]
    links = [link for link in activity.links if keep is None or keep(link)]
    power, cores = numbers["power"], sum(layer.cores for layer in layers)
    watts = power["core_w"] * cores + power["running_w"] * activity.chips * cores / max(1, activity.cores)
    picojoules = power["update_pj"] * sum(layer.updates * _as_stock(layer, numbers["time"]) for layer in layers)
    picojoules += sum(power["operation_pj"] * link.operations + power["message_pj"] * link.messages for link in links)
    return watts * time_us + picojoules / PJ_PER_UJ


def _as_stock(layer: Population, rates: Mapping[str, float]) -> float:
    """Updates of LIF neurons that take as long as one of this layer's."""
    return layer.words * (1.0 if layer.tier == "A" else rates["microcode_ns"] / rates["update_ns"])


def loihi1(activity: Activity) -> Estimate:
    """Return energy and time by SANA-FE's fit to Loihi 1 silicon: the lower bound overlaps everything, the upper bound nothing."""
    given = values("loihi1")
    rates = values("time") | {"update_ns": given["access_ns"] + given["update_ns"], "operation_ns": given["dense_ns"], "read_ns": 0.0}
    rates |= {"microcode_ns": given["access_ns"] + given["update_ns"], "barrier_us": given["barrier_us"]}
    parts = part_times(activity, rates)
    time = Range(float(parts.max(0).sum(-1).mean()), float(parts.sum(0).sum(-1).mean()))
    energy = _loihi1(activity, given, lambda _: True)
    middle = (energy.low * energy.high) ** 0.5, (time.low * time.high) ** 0.5
    median = {"dynamic_uj": middle[0], "time_us": middle[1], "latency_us": middle[1] * _lag(activity)}
    shares = tuple(_shares(activity, lambda keep: _loihi1(activity, given, keep)))
    return Estimate(
        LOIHI1,
        "a second opinion: operations of Loihi 1, fitted to its silicon; dynamic energy only",
        energy,
        None,
        time,
        time * _lag(activity),
        median,
        shares[0],
        shares[1],
    )


def _loihi1(activity: Activity, given: Mapping[str, float], keep: Keep) -> Range:
    layers, links = [each for each in activity.populations if keep(each)], [each for each in activity.links if keep(each)]
    neurons = sum(
        each.updates * given["access_pj"] + each.reached * given["update_pj"] + each.spikes * given["spike_pj"] for each in layers
    )
    messages, out = sum(link.messages for link in links), given["axon_out_pj"]
    low = sum(link.effective for link in links) * given["convolution_pj"]
    high = sum(link.operations for link in links) * given["dense_pj"] + messages * HOPS * given["hop_pj"]
    return Range(neurons + messages * out + low, neurons + messages * out + high) * (1 / PJ_PER_UJ)


def _estimate(
    model: str,
    about: str,
    activity: Activity,
    numbers: Numbers,
    stepping_us: float,
    time_us: float,
    layers: Mapping[str, Range] | None = None,
    inputs: Mapping[str, Range] | None = None,
    decided_by: Mapping[str, float] | None = None,
) -> Estimate:
    dynamic, static = dynamic_uj(activity, numbers, stepping_us), static_w(activity, numbers) * time_us
    latency = time_us + (_lag(activity) - 1) * stepping_us
    slack = {part: numbers["validation"][f"{part}_factor"] for part in ("time", "energy")}
    return Estimate(
        model,
        about,
        around(dynamic, slack["energy"]),
        around(static, slack["energy"]),
        around(time_us, slack["time"]),
        around(latency, slack["time"]),
        {"dynamic_uj": dynamic, "static_uj": static, "total_uj": dynamic + static, "time_us": time_us, "latency_us": latency},
        layers or {},
        inputs or {},
        decided_by or {},
    )


def _lag(activity: Activity) -> float:
    return (activity.steps + activity.latency) / max(1, activity.steps)


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
    """Energy of these on a CPU by a cited table, microjoules: arithmetic alone, and with an instruction's overhead and a cache read."""
    return Range(CPU["mac_pj"].value, CPU["mac_with_overhead_pj"].value) * (macs(activity) / PJ_PER_UJ)
