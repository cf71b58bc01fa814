"""Whether a network is chaotic: what moving float weights by a ten thousandth of themselves does to its spikes.

Where that changes as many output spikes as the hardware does, nothing is wrong with the hardware: no other would do better.
"""

from dataclasses import dataclass, replace

import numpy as np

from snnfuse.diagnosis.restoring import random_moves
from snnfuse.export.lowering.differences import spikes_differ, voltages_differ
from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.lowering.network import Network, Projection
from snnfuse.export.lowering.weights import ConvWeights, DenseWeights, SparseWeights
from snnfuse.export.quantization.agreement import rule_of
from snnfuse.export.quantization.layer_effects import Runs

MOVE = 1e-4  # of each weight, rms
CHAOTIC = 0.1  # share of output spikes that change so, from which on a network is called chaotic
SAMPLES = 16
SEED = 0


@dataclass(frozen=True)
class Chaos:
    """What moving the weights does.

    Attributes:
        changed: output spikes that change, of `spikes` of either run; of a readout, samples whose largest neuron does.
        spikes: see there.
        share: of output spikes, or of a readout the deviation of its voltage; in [0, 1].
        samples: on which.
    """

    changed: int
    spikes: int
    share: float
    samples: int

    @property
    def is_chaotic(self) -> bool:
        """Whether no hardware can keep its spikes."""
        return self.share >= CHAOTIC

    def __str__(self) -> str:
        verdict = "the network is chaotic, and no hardware keeps its spikes" if self.is_chaotic else "the network is not chaotic"
        moved = f"moving float weights by {MOVE:g} changes {self.changed} of {self.spikes} outputs ({self.share:.2%})"
        return f"{moved}, on {self.samples} samples: {verdict}"


def measure_chaos(runs: Runs, number: int = SAMPLES) -> Chaos:
    """Run the float network with all weights moved, on some of the samples."""
    network = runs.network
    batch = next(iter(runs.x.values())).shape[1]
    chosen = np.unique(np.linspace(0, batch - 1, min(batch, number)).astype(int))
    nodes = list(dict.fromkeys(network.outputs.values()))
    run = simulate(moved(network), {name: x[:, chosen] for name, x in runs.x.items()}, voltages=False)
    found = []
    for node in nodes:
        rule = rule_of(runs.program, node)
        silent = network.populations[node].is_readout
        before = runs.run.v[node] if silent else runs.run.spikes[node]
        after = run.v[node] if silent else run.spikes[node]
        found.append(voltages_differ(before[:, chosen], after, rule) if silent else spikes_differ(before[:, chosen], after))
    changed, spikes = sum(f.different for f in found), sum(f.either for f in found)
    return Chaos(changed, spikes, max((f.size for f in found), default=0.0), len(chosen))


def moved(network: Network) -> Network:
    """The network with every weight moved by a normal share of itself, `MOVE` rms."""
    rng = np.random.default_rng(SEED)
    return replace(network, projections=tuple(_moved(p, rng) for p in network.projections))


def _moved(projection: Projection, rng: np.random.Generator) -> Projection:
    """Weights that spell an operation, as a pooling, stay."""
    weights = projection.weights
    if projection.is_fixed:
        return projection
    if isinstance(weights, ConvWeights):
        return replace(projection, weights=replace(weights, kernel=random_moves(weights.kernel, MOVE, rng)))
    if isinstance(weights, DenseWeights):
        return replace(projection, weights=DenseWeights(random_moves(weights.matrix, MOVE, rng)))
    matrix = weights.matrix.copy()
    matrix.data = random_moves(matrix.data, MOVE, rng)
    return replace(projection, weights=SparseWeights(matrix))
