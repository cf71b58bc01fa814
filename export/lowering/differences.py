"""How far two runs of one population are apart, and a float population by itself.

Shares are of the places at which either of two runs spikes, so that none exceeds 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun, simulate
from snnfuse.export.lowering.network import Network
from snnfuse.hardware.ir.encoding import decoded
from snnfuse.hardware.ir.nodes import Output


@dataclass(frozen=True)
class Difference:
    """Of two runs of one population on the same samples.

    Attributes:
        different: neurons, steps and samples at which only one of them spikes, or whose numbers differ; of a readout, samples whose
            largest neuron differs, read by its decoder.
        either: at which either of them spikes; of a readout, samples.
        deviation: of a readout, rms of the voltages' difference, each relative to its own rms, 0..1; of a maximum, of the numbers'; else
            None.
        is_payload: whether it is of a maximum.
    """

    different: int
    either: int
    deviation: float | None = None
    is_payload: bool = False

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.different / self.either if self.either else 0.0

    @property
    def size(self) -> float:
        """By which layers are ranked, in [0, 1]: the share of spikes, or of a readout the deviation of its voltage."""
        return self.share if self.deviation is None else self.deviation

    def __str__(self) -> str:
        if self.is_payload:
            return f"the numbers by {self.deviation:.2%} rms"
        if self.deviation is not None:
            return f"the voltage by {self.deviation:.2%} rms, the largest in {self.different} of {self.either} samples"
        return f"{self.different} of {self.either} spikes ({self.share:.1%})"


def spikes_differ(a: NDArray, b: NDArray) -> Difference:
    """Of spikes or numbers (time, batch, *shape)."""
    return Difference(int(np.count_nonzero(a != b)), int(np.count_nonzero((a != 0) | (b != 0))))


def voltages_differ(a: NDArray, b: NDArray, rule: Output) -> Difference:
    """Of a readout's voltages (time, batch, *shape); a gain in common is left out, for what decodes it looks for the largest value."""
    classes = [decoded(rule, v).reshape(v.shape[1], -1).argmax(1) for v in (a, b)]
    return Difference(int((classes[0] != classes[1]).sum()), a.shape[1], voltage_deviation(a, b))


def payloads_differ(a: NDArray, b: NDArray) -> Difference:
    """Of what maxima send, float or integer, a gain in common left out."""
    return replace(spikes_differ(a, b), deviation=voltage_deviation(a, b), is_payload=True)


def voltage_deviation(a: NDArray, b: NDArray) -> float:
    """rms of the difference of two voltages, each over its own rms; in [0, 1], 1 also for one that is as wrong as a silent one."""
    x, y = (v / max(np.sqrt((v.astype(np.float64) ** 2).mean()), 1e-300) for v in (a, b))
    return min(1.0, float(np.sqrt(((x - y) ** 2).mean())))


def float_alone(network: Network, name: str, sent: Mapping[str, NDArray]) -> FloatRun:
    """A float population fed with what its sources sent, (time, batch, *shape)."""
    shapes = {**network.inputs, **{n: p.shape for n, p in network.populations.items()}}
    sources = {p.source for p in network.into(name)} - {name} or {next(iter(network.inputs))}
    part = Network({s: shapes[s] for s in sources}, {name: network.populations[name]}, network.into(name), {}, network.dt)
    return simulate(part, {s: sent[s] for s in sources})
