"""NeuroBench's metrics of a Program, by the definitions of neurobench 2.3 (Yik et al. 2025, The neurobench framework, Nat. Commun. 16).

    footprint               bytes of parameters; here weights at their bits, and four bytes for each register of the neurons
    connection sparsity     zeros among the weights; a kernel counts once, what a sparse group does not list is zero
    activation sparsity     1 - spikes / (neurons x steps x samples), over all neurons but inputs
    synaptic operations     effective: spikes times weights that are not 0, ACs where every value of a step is -1, 0 or 1, otherwise MACs;
                            dense: all weights on all steps. Biases are none

`snnfuse.measures.neurobench` has the package itself compute the last three of the same Program; a test compares them with `==`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.nodes import Connection
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ir.synapses import Synapse

REGISTER_BYTES = 4


@dataclass(frozen=True)
class Metrics:
    """By NeuroBench's definitions.

    Attributes:
        footprint: bytes.
        connection_sparsity, activation_sparsity: shares, 0..1.
        effective_acs, effective_macs, dense: synaptic operations per sample.
    """

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    effective_acs: float
    effective_macs: float
    dense: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class MetricsCounter:
    """Adds up recordings of every layer."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.links = [c for c in program.connections if program.nodes[c.source].is_timed and not program.nodes[c.source].is_written]
        self.fans = [c.synapse.fan_out(effective=True) for c in self.links]
        self.samples = self.steps = self.spikes = self.neurons = self.acs = self.macs = 0

    def add(self, recording: Recording) -> None:
        for connection, fan in zip(self.links, self.fans):
            self._operations(sent_by(self.program, recording, connection), fan)
        for name in self.program.neurons:
            self.spikes += int(np.count_nonzero(recording.spikes[name]))
            self.neurons += recording.spikes[name].size
        first = recording.spikes[next(iter(self.program.neurons))]
        self.steps, self.samples = len(first), self.samples + first.shape[1]

    def _operations(self, spikes: NDArray, fan: NDArray[np.int64]) -> None:
        for step in spikes:
            operations = int(np.count_nonzero(step, 0).ravel() @ fan)
            if step.dtype == np.bool_ or np.isin(step, (-1, 0, 1)).all():
                self.acs += operations
            else:
                self.macs += operations

    def metrics(self) -> Metrics:
        zeros, weights = _zeros(self.links)
        dense = self.steps * sum(_layer(c.synapse)[2] for c in self.links)
        return Metrics(
            footprint=footprint(self.program),
            connection_sparsity=zeros / max(weights, 1),
            activation_sparsity=(self.neurons - self.spikes) / self.neurons,
            effective_acs=self.acs / self.samples,
            effective_macs=self.macs / self.samples,
            dense=float(dense),
        )


def sent_by(program: Program, recording: Recording, connection: Connection) -> NDArray:
    """Return the spikes that a connection delivers, (time, batch, *shape): a recurrent one takes a step more, and lags add."""
    spikes = np.asarray(recording.spikes.get(connection.source, recording.events.get(connection.source)))
    late = min(connection.lag + connection.is_recurrent, len(spikes))
    return np.concatenate([np.zeros_like(spikes[:late]), spikes[: len(spikes) - late]]) if late else spikes


def footprint(program: Program) -> int:
    """Bytes of weights and registers."""
    weights = sum(-(-c.synapse.values.size * c.synapse.bits // 8) for c in program.connections)
    registers = sum(int(np.size(getattr(node, name))) for node in program.neurons.values() for name in node.registers)
    return weights + REGISTER_BYTES * registers


def _zeros(links: list[Connection]) -> tuple[int, int]:
    layers = [_layer(c.synapse) for c in links]
    return sum(weights - filled for weights, filled, _ in layers), sum(weights for weights, _, _ in layers)


def _layer(synapse: Synapse) -> tuple[int, int, int]:
    """The layer that the package has for a group, a convolution or a full matrix: its weights, those not 0, and the pairs connected."""
    conv = synapse.convolution
    if conv is not None:
        return conv.weights.size, int(np.count_nonzero(conv.weights)), conv.count
    pairs = synapse.size[0] * synapse.size[1]
    return pairs, int(synapse.fan_out(effective=True).sum()), pairs
