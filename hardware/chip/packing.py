"""How synapses lie in a core's memory: words of 64 bits.

A listed synapse, dense or sparse, is a weight and the index of its target on the core. All synapses of one input axon stand in a
list of their own, with H = 32 bits in front; weights of 0 are left out. With b bits per weight, i = max(8, ceil(log2(neurons on the
core))) and n synapses on the core

    words of an axon = ceil((n (b + i) + H) / 64)

Where sources are shared (rule `tight`), those of a dense layer whose synapses are all equal use one axon: a mean over positions before
a classifier then has one axon per channel. Nothing published shows that Intel's compiler does so.

A convolution stores its kernel once on every core that holds a part of the layer: for each input channel and tap, the weights to
the channels on the core, padded to whole words. With c output channels of a group on the core and C_in / groups channels into it

    words = groups on the core * (C_in / groups) kH kW * ceil(c b / 64)

Its axons are shared: one for each core that sends to it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.chip.boards import Board
from snnfuse.hardware.synapses import Conv2d, Dense, Sparse, Synapse


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
        rows, axons: target neuron and input axon of every synapse; int64 of equal length.
        sources: distinct axons.
        targets: neurons of the layer.
        bits: per weight.
        is_full: every axon reaches every target, so that counts follow without looking.
    """

    rows: NDArray[np.int64]
    axons: NDArray[np.int64]
    sources: int
    targets: int
    bits: int
    is_full: bool

    @property
    def count(self) -> int:
        """Synapses that are stored."""
        return self.sources * self.targets if self.is_full else len(self.rows)

    def loads(self, words: Words, labels: NDArray[np.int64], parts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(words, input axons) on each of `parts` cores, where labels (targets,) say which core holds a neuron."""
        neurons = np.bincount(labels, minlength=parts)
        if self.is_full:
            each = np.array([int(words.listed(np.int64(n), self.bits, int(n))) for n in neurons])
            return each * self.sources, np.where(neurons > 0, self.sources, 0)
        pairs, counts = np.unique(labels[self.rows] * self.sources + self.axons, return_counts=True)
        where = pairs // self.sources
        largest = int(neurons.max(initial=1))
        stored = np.bincount(where, weights=words.listed(counts, self.bits, largest), minlength=parts).astype(np.int64)
        return stored, np.bincount(where, minlength=parts)


def listed(synapse: Dense | Sparse, bits: int, shared: bool) -> Listed:
    """Axons and stored synapses of a connection, at no more than `bits` per weight; `shared`: equal dense sources use one axon."""
    bits, targets = min(bits, synapse.bits), synapse.size[0]
    if isinstance(synapse, Dense):
        kept = synapse.weights[:, _distinct(synapse.weights)] if shared else synapse.weights
        if kept.all():
            nothing = np.zeros(0, np.int64)
            return Listed(nothing, nothing, kept.shape[1], targets, bits, True)
        rows, axons = np.nonzero(kept)
        return Listed(rows, axons, kept.shape[1], targets, bits, False)
    entries = synapse.weights.tocoo()
    kept = entries.data != 0
    return Listed(entries.row[kept].astype(np.int64), entries.col[kept].astype(np.int64), synapse.size[1], targets, bits, False)


def _distinct(weights: NDArray[np.int32]) -> NDArray[np.int64]:
    """The first of each set of equal columns; by a random sum of 64 bits per column, whose equality by chance can be ruled out."""
    factors = np.random.default_rng(0).integers(np.iinfo(np.int64).min, np.iinfo(np.int64).max, len(weights)) | 1
    sums = np.zeros(weights.shape[1], np.int64)
    with np.errstate(over="ignore"):
        for factor, row in zip(factors, weights):
            sums += factor * row
    return np.sort(np.unique(sums, return_index=True)[1])


def stored_weights(synapse: Synapse) -> int:
    """Weights that are stored, a convolution's kernel once."""
    return int(synapse.values.size)

