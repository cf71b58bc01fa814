"""What every core does in a step: synaptic operations, and words of synapse memory that it reads for them.

A spike makes a core add one weight per synapse that its neuron has there, and read the words that hold them: of listed synapses those
of its axon (`snnfuse.hardware.chip.packing`), of a convolution those of each tap that meets the layer, all channels of the core at once.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.chip.layers import on_cores
from snnfuse.hardware.chip.packing import Words
from snnfuse.hardware.chip.resources import Resources
from snnfuse.hardware.chip.splitting import Split
from snnfuse.hardware.chip.state_memory import state_words
from snnfuse.hardware.chip.tiers import tier
from snnfuse.hardware.ir.nodes import Connection
from snnfuse.hardware.ir.program import Program

COUNTED_IN = 1 << 20  # parts of a spike that rates are rounded to


class CoreLoads:
    """The work of each core, cores numbered layer after layer.

    Attributes:
        stock: (cores,) words of state that stock silicon updates: one of a LIF, two of a sigma-delta neuron, which takes two passes.
        microcode: (cores,) words of state that microcode updates.
    """

    def __init__(self, program: Program, resources: Resources) -> None:
        self.program, self.resources = program, resources
        self.placed = [layer.name for layer in resources.layers]
        self.first = dict(zip(self.placed, np.cumsum([0, *(layer.cores for layer in resources.layers)]).tolist()))
        nodes, splits = [program.nodes[name] for name in self.placed], [resources.splits[name] for name in self.placed]
        held = [np.bincount(split.labels, minlength=split.cores) for split in splits]
        none = np.zeros(0, np.int64)
        self.stock = np.concatenate([none, *(n * state_words(node) * (tier(node) == "A") for n, node in zip(held, nodes))])
        self.microcode = np.concatenate([none, *(n * state_words(node) * (tier(node) != "A") for n, node in zip(held, nodes))])
        self._by_core = {name: _by_core(split) for name, split in zip(self.placed, splits)}
        self._connections = on_cores(program, self.placed)
        self._words = [self._read(c) for c in self._connections]

    def of_step(
        self, fired: Mapping[str, NDArray[np.bool_]], samples: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, int]]:
        """Return operations (samples, cores), words read (samples, cores), and by layer on how many neurons an event arrived.

        Args:
            fired: (samples, neurons) by node.
        """
        operations, reads = np.zeros((samples, self.resources.cores)), np.zeros((samples, self.resources.cores))
        arriving = {name: np.zeros((samples, self._by_core[name].shape[1]), np.int64) for name in self.placed}
        for connection, words in zip(self._connections, self._words):
            here = self.first[connection.target]
            cores = slice(here, here + self._by_core[connection.target].shape[0])
            arrived = connection.synapse.arrivals(fired[connection.source])
            arriving[connection.target] += arrived
            added = (self._by_core[connection.target] @ arrived.T).T
            operations[:, cores] += added
            reads[:, cores] += added * words if isinstance(words, float) else (words @ fired[connection.source].T.astype(np.float64)).T
        return operations, reads, {name: int(np.count_nonzero(array)) for name, array in arriving.items()}

    def of_rates(self, rates: Mapping[str, NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return operations (cores,) and words read (cores,) per step, for spikes per step of every neuron, flattened, by node."""
        operations, reads = np.zeros(self.resources.cores), np.zeros(self.resources.cores)
        for connection, words in zip(self._connections, self._words):
            here, rate = self.first[connection.target], rates[connection.source]
            cores = slice(here, here + self._by_core[connection.target].shape[0])
            arrived = connection.synapse.arrivals(np.rint(rate * COUNTED_IN)[None].astype(np.int64))[0] / COUNTED_IN
            added = self._by_core[connection.target] @ arrived
            operations[cores] += added
            reads[cores] += added * words if isinstance(words, float) else words @ rate
        return operations, reads

    def _read(self, connection: Connection) -> "float | sparse.csr_matrix":
        """Words per operation of a convolution; of listed synapses (cores of the target, sources) words per spike."""
        split, conv = self.resources.splits[connection.target], connection.synapse.convolution
        if conv is not None:
            held = min(split.channels, conv.weights.shape[0] // conv.groups)
            return -(-held * conv.bits // self.resources.board.value("word_bits")) / held
        per_axon = synapses_per_core(connection, split).astype(np.int64)
        words = Words.of(self.resources.board).listed(per_axon.data, connection.synapse.bits, split.neurons)
        return sparse.csr_matrix((words.astype(np.float64), per_axon.indices, per_axon.indptr), per_axon.shape)


def synapses_per_core(connection: Connection, split: Split) -> sparse.csr_matrix:
    """Return (cores of the target, sources): how many synapses a source has on each core, those of weight 0 left out."""
    rows, columns = connection.synapse.matrix().nonzero()
    found = sparse.coo_matrix((np.ones(len(rows)), (split.labels[rows], columns)), (split.cores, connection.synapse.size[1])).tocsr()
    found.sum_duplicates()
    return found


def _by_core(split: Split) -> sparse.csr_matrix:
    neurons = len(split.labels)
    return sparse.csr_matrix((np.ones(neurons), (split.labels, np.arange(neurons))), (split.cores, neurons))
