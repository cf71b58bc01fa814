"""The float network, run: what the integers are measured against.

As in the hardware's reference, each population is evaluated over its own window, one population after the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.network import Array, Network, Population, Projection


@dataclass(frozen=True, eq=False)
class FloatRun:
    """What a float run produced, per population in its own window, each (time, batch, *shape).

    Attributes:
        spikes: bool.
        v: voltage after reset.
        peak_current, peak_voltage: largest magnitude of gain * i and of v before reset, per population; numbers.
    """

    spikes: Mapping[str, NDArray[np.bool_]]
    v: Mapping[str, Array]
    peak_current: Mapping[str, float]
    peak_voltage: Mapping[str, float]

    def select(self, name: str, batch: NDArray) -> "FloatRun":
        """One population on some of the samples; the peaks stay those of all."""
        return FloatRun({name: self.spikes[name][:, batch]}, {name: self.v[name][:, batch]}, self.peak_current, self.peak_voltage)


def simulate(network: Network, inputs: Mapping[str, NDArray]) -> FloatRun:
    """Run the float network on inputs (time, batch, *shape)."""
    sent: dict[str, NDArray] = dict(inputs)
    spikes, voltages, currents, peaks = {}, {}, {}, {}
    for name in network.order:
        population = network.populations[name]
        spikes[name], voltages[name], currents[name], peaks[name] = _run(network, name, population, sent)
        sent[name] = spikes[name]
    return FloatRun(spikes, voltages, currents, peaks)


def project(projection: Projection, spikes: NDArray) -> Array:
    """Weights times spikes: (time, batch, *source) -> (time, batch, targets)."""
    rows = spikes.reshape(spikes.shape[0] * spikes.shape[1], -1).astype(np.float64)
    return (projection.weights.matrix @ rows.T).T.reshape(*spikes.shape[:2], -1)


def _run(network: Network, name: str, population: Population, sent: Mapping[str, NDArray]) -> tuple[NDArray[np.bool_], Array, float, float]:
    time, batch = next(iter(sent.values())).shape[:2]
    into = network.into(name)
    matrix = [p.weights.matrix for p in into if p.source == name]
    drive = np.zeros((time, batch, *population.shape)) + population.bias
    for p in into:
        if p.source != name:
            drive = drive + project(p, sent[p.source]).reshape(drive.shape)
    spikes, trace = np.zeros(drive.shape, np.bool_), np.zeros(drive.shape)
    i, v, s = (np.zeros((batch, *population.shape)) for _ in range(3))
    peak_i = peak_v = 0.0
    for t in range(time):
        x = drive[t]
        for m in matrix:
            x = x + (m @ s.reshape(batch, -1).T).T.reshape(x.shape)
        i, v, s = advance(population, i, v, s, x)
        peak_i, peak_v = max(peak_i, float(np.abs(population.gain * i).max())), max(peak_v, float(np.abs(v).max()))
        if population.reset != "subtract_delayed":
            v = np.where(s > 0, 0.0 if population.reset == "zero" else v - population.amount, v)
        spikes[t], trace[t] = s > 0, v
    return spikes, trace, peak_i, peak_v


def advance(population: Population, i: Array, v: Array, s: Array, x: Array) -> tuple[Array, Array, Array]:
    """One step up to the spike, before an immediate reset: the equations of `network`."""
    i = population.current_gain * x + (0.0 if population.alpha is None else population.alpha * i)
    v = population.beta * v + population.gain * i + population.voltage_bias
    if population.reset == "subtract_delayed":
        v = v - np.where(s > 0, population.amount, 0.0)
    return i, v, (v > population.theta).astype(np.float64)
