"""How synapses lie in a core's memory: words of 64 bits.

A listed synapse, dense or sparse, is a weight and the index of its target on the core. All synapses of one input axon stand in a
list of their own, with H = 32 bits in front. Weights of 0 are left out, but for those of a dense connection under rule `lava`:
PilotNet's first dense layer, three quarters of whose weights are 0, took the 12 cores of all of them. With b bits per weight,
i = max(8, ceil(log2(neurons on the core))) and n synapses on the core

    words of an axon = ceil((n (b + i) + H) / 64)

Where sources are shared (rule `tight`), those of a dense layer whose synapses are all equal use one axon: a mean over positions before
a classifier then has one axon per channel. Nothing published shows that Intel's compiler does so.

A convolution stores its kernel once on every core that holds a part of the layer: for each input channel and tap, the weights to
the channels on the core, padded to whole words. With c output channels of a group on the core and C_in / groups channels into it

    words = groups on the core * (C_in / groups) kH kW * ceil(c b / 64)

Its axons are shared: one for each core that sends to it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.chip.boards import Board
from snnfuse.hardware.ir.synapses import Conv2d, Synapse

ROWS = 1024  # of a matrix that are looked at together


@dataclass(frozen=True)
class Words:
    """Sizes that the formulas above take; each a limit of a board."""

    word: int
    index: int
    axon: int

    @classmethod
    def of(cls, board: Board) -> "Words":
        return cls(board.value("word_bits"), board.value("index_bits"), board.value("axon_bits"))

    def listed(self, counts: NDArray[np.int64], bits: int, neurons: int) -> NDArray[np.int64]:
        """Words of axons with so many synapses, on a core of so many neurons; 0 for an axon without any."""
        each = bits + max(self.index, (neurons - 1).bit_length())
        return np.where(counts > 0, -(-(counts * each + self.axon) // self.word), 0)

    def kernel(self, conv: Conv2d, channels: int, bits: int) -> int:
        """Words of a convolution on a core that holds so many neighbouring output channels."""
        per_group = conv.weights.shape[0] // conv.groups
        touched = min(conv.groups, -(-channels // per_group))
        taps = int(np.prod(conv.weights.shape[1:]))
        return touched * taps * -(-min(channels, per_group) * bits // self.word)


@dataclass(frozen=True, eq=False)
class Listed:
    """The listed synapses of one connection, ready to be divided among cores.

    Attributes:
        pattern: which axon reaches which target: boolean (targets, axons), an array or a CSR matrix.
        bits: per weight.
    """

    pattern: NDArray[np.bool_] | sparse.csr_matrix
    bits: int

    @property
    def targets(self) -> int:
        return self.pattern.shape[0]

    @property
    def sources(self) -> int:
        """Axons."""
        return self.pattern.shape[1]

    @cached_property
    def per_target(self) -> NDArray[np.int64]:
        """(targets,) synapses of each neuron."""
        return np.asarray(self.pattern.sum(1), np.int64).ravel()

    def loads(self, words: Words, labels: NDArray[np.int64], parts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(words, input axons) on each of `parts` cores, where labels (targets,) say which core holds a neuron."""
        most = int(np.bincount(labels, minlength=parts).max())
        if isinstance(self.pattern, np.ndarray):
            order = np.argsort(labels, kind="stable")
            rows = self.pattern if (order == np.arange(len(order))).all() else self.pattern[order]
            counts = np.add.reduceat(rows, np.searchsorted(labels[order], np.arange(parts)), axis=0, dtype=np.int32)
            return words.listed(counts, self.bits, most).sum(1), np.count_nonzero(counts, axis=1)
        where = np.repeat(labels, self.per_target) * self.sources + self.pattern.indices
        pairs, counts = np.unique(where, return_counts=True)
        stored = np.bincount(pairs // self.sources, weights=words.listed(counts, self.bits, most), minlength=parts)
        return stored.astype(np.int64), np.bincount(pairs // self.sources, minlength=parts)


def listed(synapse: Synapse, bits: int, shared: bool) -> Listed:
    """Axons and stored synapses of a connection, at no more than `bits` per weight; `shared`: equal dense sources use one axon, and
    weights of 0 none."""
    bits, matrix = min(bits, synapse.bits), synapse.matrix()
    if not sparse.issparse(matrix):
        return Listed(matrix[:, _distinct(matrix)] != 0 if shared else np.ones(matrix.shape, np.bool_), bits)
    pattern = matrix.astype(bool)  # a copy: nothing may change the program's own matrix
    pattern.eliminate_zeros()
    return Listed(pattern, bits)


def _distinct(weights: NDArray[np.int32]) -> NDArray[np.int64]:
    """The first of each set of equal columns; by a random sum of 64 bits per column, whose equality by chance can be ruled out."""
    factors = np.random.default_rng(0).integers(np.iinfo(np.int64).min, np.iinfo(np.int64).max, len(weights)) | 1
    sums = np.zeros(weights.shape[1], np.int64)
    for first in range(0, len(weights), ROWS):
        sums += factors[first : first + ROWS] @ weights[first : first + ROWS].astype(np.int64)  # wraps, as it may
    return np.sort(np.unique(sums, return_index=True)[1])


def stored_weights(synapse: Synapse) -> int:
    """Weights that are stored, a convolution's kernel once."""
    return synapse.values.size if synapse.convolution is not None else synapse.count
