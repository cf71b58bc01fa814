"""The float network, run: what the integers are measured against.

As in the hardware's reference, each population is evaluated over its own window, one after the other; those of a loop step by step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.export.lowering.float_neurons import FloatNeuron
from snnfuse.export.lowering.network import Array, Network, Population, Projection
from snnfuse.export.lowering.weights import ConvWeights, count_connections
from snnfuse.hardware.errors import InputError

LARGE = 1 << 22  # synapses of a convolution that are not written out


@dataclass(frozen=True, eq=False)
class FloatRun:
    """What a float run produced, per population in its own window, each (time, batch, *shape).

    Attributes:
        spikes: bool; of products and relays that send numbers int32, of maxima float64.
        v: voltage after reset; of products, relays and maxima what they send; NaN where it was not kept.
        peak_current, peak_voltage: largest magnitude of gain * i and of v before reset, or of what is sent, per population and neuron,
            (*shape).
    """

    spikes: dict[str, NDArray]
    v: dict[str, NDArray]
    peak_current: dict[str, Array]
    peak_voltage: dict[str, Array]

    def select(self, name: str, batch: NDArray) -> "FloatRun":
        """One population on some of the samples; the peaks stay those of all."""
        return FloatRun({name: self.spikes[name][:, batch]}, {name: self.v[name][:, batch]}, self.peak_current, self.peak_voltage)


def simulate(network: Network, inputs: Mapping[str, NDArray], voltages: bool = True) -> FloatRun:
    """Run the float network on inputs (time, batch, *shape); without `voltages` it keeps only those of populations that are silent
    in some sample, of which nothing else tells there, and those that an output reads."""
    sent: dict[str, NDArray] = dict(inputs)
    run = FloatRun({}, {}, {}, {})
    read = network.read_voltages
    for group in network.groups:
        if network.populations[group[0]].kind == "maximum":
            _run_maximum(network, group[0], sent, run)
        elif not network.populations[group[0]].counts:
            _run_group(network, group, sent, run)
            for name in (n for n in group if not voltages and n not in read and _always_fires(run.spikes[n])):
                run.v[name] = np.broadcast_to(np.nan, run.v[name].shape)
        else:
            _run_counting(network, group[0], sent, run)
        sent |= {name: run.spikes[name] for name in group}

    def ordered(found: dict[str, NDArray]) -> dict[str, NDArray]:
        return {name: found[name] for name in network.order}

    return FloatRun(ordered(run.spikes), ordered(run.v), ordered(run.peak_current), ordered(run.peak_voltage))


def _always_fires(spikes: NDArray[np.bool_]) -> bool:
    """Whether there is a spike in every sample."""
    return bool(spikes.any(axis=(0, *range(2, spikes.ndim))).all())


def project(projection: Projection, spikes: NDArray) -> Array:
    """Weights times spikes: (time, batch, *source) -> (time, batch, targets)."""
    rows, weights = spikes.reshape(spikes.shape[0] * spikes.shape[1], -1), projection.weights
    if isinstance(weights, ConvWeights) and count_connections(weights) >= LARGE:
        return weights.times(rows).reshape(*spikes.shape[:2], -1)
    rows = rows.astype(np.float64)
    return (projection.weights.matrix @ rows.T).T.reshape(*spikes.shape[:2], -1)


def _run_group(network: Network, group: tuple[str, ...], sent: Mapping[str, NDArray], run: FloatRun) -> None:
    """All steps of populations that depend on each other's last ones; what they did is entered into `run`."""
    drives = {name: _feed_forward(network, name, group, sent) for name in group}
    within = {name: [(p.source, p.weights.matrix, network.late(p)) for p in network.into(name) if p.source in group] for name in group}
    neurons = {name: network.populations[name] for name in group}
    states = {name: _start(p, drives[name].shape[1:]) for name, p in neurons.items()}
    run.spikes.update({name: np.zeros(drive.shape, np.bool_) for name, drive in drives.items()})
    run.v.update({name: np.zeros(drive.shape) for name, drive in drives.items()})
    run.peak_current.update({name: np.zeros(p.shape) for name, p in neurons.items()})
    run.peak_voltage.update({name: np.zeros(p.shape) for name, p in neurons.items()})
    for t in range(len(drives[group[0]])):
        for name, population in neurons.items():
            x = drives[name][t]
            for source, matrix, late in within[name]:
                if t >= late:
                    x = x + _times(matrix, run.spikes[source][t - late]).reshape(x.shape)
            step = _own_step(population.own, states[name], x) if population.own else _lif_step(population, states[name], x)
            np.maximum(run.peak_current[name], step.current.max(0), out=run.peak_current[name])
            np.maximum(run.peak_voltage[name], step.voltage.max(0), out=run.peak_voltage[name])
            states[name], run.spikes[name][t], run.v[name][t] = step.state, step.spikes, step.v


class _Step(NamedTuple):
    """What a step did: the state after it, spikes, what is recorded, and magnitudes of current, and of voltage before its reset."""

    state: tuple[Array, ...]
    spikes: NDArray[np.bool_]
    v: Array
    current: Array
    voltage: Array


def _start(population: Population, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """The state at the start: of a LIF current and voltage."""
    if population.own:
        return population.own.rest(shape)
    zeros = np.zeros(shape)
    return zeros, zeros if population.start is None else zeros + population.start


def _lif_step(population: Population, state: tuple[Array, ...], x: Array) -> _Step:
    before, voltage = state
    i, v, s = advance(population, before, voltage, x)
    after = after_spike(population, v, s, voltage)
    return _Step((i, after), s, after, np.abs(population.gain * i), np.abs(v))


def _own_step(neuron: FloatNeuron, state: tuple[Array, ...], x: Array) -> _Step:
    """All its states count as current and voltage: each must stay within its register."""
    spikes, after = neuron.step(state, x)
    largest = np.max(np.abs(after), axis=0)
    return _Step(after, spikes, after[neuron.kind.states.index(neuron.kind.membrane or neuron.kind.states[-1])], largest, largest)


def _run_counting(network: Network, name: str, sent: Mapping[str, NDArray], run: FloatRun) -> None:
    """A product or relay, all steps at once, in integers."""
    population = network.populations[name]
    ports = [_counts(network, name, port, sent) for port in range(2 if population.kind == "product" else 1)]
    for factor, bound in zip(ports if population.kind == "product" else [], population.bounds):
        if factor.max(initial=0) > bound:
            raise InputError(f"a factor of the product {name!r} reaches {factor.max()}, above its bound of {bound}: give it a higher bound")
    counts = ports[0] * ports[1] if len(ports) == 2 else ports[0]
    if any(p.source == name for p in network.into(name)):
        counts = counts.cumsum(0, dtype=np.int32)
    run.spikes[name] = counts if population.sends_numbers else counts.astype(np.bool_)
    run.v[name] = run.spikes[name]
    run.peak_current[name] = run.peak_voltage[name] = counts.max((0, 1), initial=0).astype(np.float64)


def _run_maximum(network: Network, name: str, sent: Mapping[str, NDArray], run: FloatRun) -> None:
    """The largest of what arrives, all steps at once; nothing of a loop."""
    population, into = network.populations[name], network.into(name)
    shape = (*next(iter(sent.values())).shape[:2], *population.shape)
    largest = np.full(shape, -np.inf)
    for port in range(population.ports):
        arriving = np.broadcast_to(population.bias[port], shape)
        for p in (p for p in into if p.port == port):
            arriving = arriving + project(p, _later(sent[p.source], p.lag)).reshape(shape)
        np.maximum(largest, arriving, out=largest)
    run.spikes[name] = run.v[name] = largest
    run.peak_current[name] = run.peak_voltage[name] = np.abs(largest).max((0, 1), initial=0)


def _counts(network: Network, name: str, port: int, sent: Mapping[str, NDArray]) -> NDArray[np.int32]:
    """What arrives at one port from other populations, (time, batch, *shape)."""
    shape = (*next(iter(sent.values())).shape[:2], *network.populations[name].shape)
    total = np.zeros(shape, np.int32)
    for p in network.into(name):
        if p.port == port and p.source != name:
            total += np.rint(project(p, _later(sent[p.source], p.lag)).reshape(shape)).astype(np.int32)
    return total


def _feed_forward(network: Network, name: str, group: tuple[str, ...], sent: Mapping[str, NDArray]) -> Array:
    """The bias, and what arrives from outside the group: (time, batch, *shape)."""
    population = network.populations[name]
    drive = np.zeros((*next(iter(sent.values())).shape[:2], *population.shape)) + population.bias
    for p in network.into(name):
        if p.source not in group:
            drive = drive + project(p, _later(sent[p.source], p.lag)).reshape(drive.shape)
    return drive


def _later(values: NDArray, steps: int) -> NDArray:
    """The same some steps later, nothing before."""
    return np.concatenate([np.zeros_like(values[:steps]), values[: max(len(values) - steps, 0)]]) if steps else values


def _times(matrix: NDArray | sparse.csr_matrix, spikes: NDArray) -> Array:
    return (matrix @ spikes.reshape(len(spikes), -1).T.astype(np.float64)).T


def advance(population: Population, i: Array, v: Array, x: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """One step up to the spike, before an immediate reset: the equations of `network`, and the delayed resets of `hardware.ir.lif`, in the
    order in which snnTorch computes them, so that they round alike."""
    late = v > population.theta
    i = population.current_gain * x + (0.0 if population.alpha is None else population.alpha * i)
    kept = np.where(late, 0.0, v) if population.reset == "zero_stored" else v
    v = population.beta * kept + population.gain * i + population.voltage_bias
    if population.reset in ("subtract_delayed", "subtract_undelayed"):
        v = v - np.where(late, population.amount, 0.0)
    if population.reset == "zero_delayed":
        v = np.where(late, 0.0, v)
    return i, v, v > population.theta


def after_spike(population: Population, v: Array, s: NDArray[np.bool_], before: Array) -> Array:
    """The voltage after an immediate reset; `before` is the one that was stored."""
    if population.reset == "subtract":
        return np.where(s, v - population.amount, v)
    if population.reset == "subtract_undelayed":  # a subtraction that came late is not taken again, and given back where nothing fires
        return v - (s * 1.0 - (before > population.theta)) * population.amount
    if population.reset == "zero":
        return np.where(s, 0.0 if population.reset_to is None else population.reset_to, v)
    return v
