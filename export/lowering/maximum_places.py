"""The places of a pool's windows as weights: which number each neuron of a maximum reads at one of its ports."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.export.lowering.maximum_patterns import Place
from snnfuse.export.lowering.weights import ConvWeights, SparseWeights, Weights
from snnfuse.hardware.errors import InputError, UnsupportedError

MOST_LISTED = 1 << 24  # synapses: of 16 bits each, what the cores of three chips hold


def place(name: str, windows: Weights, port: int) -> ConvWeights | SparseWeights:
    """For every output the number at one place of its window, times 1.

    A window at a border has fewer places than others: what lies outside is absent from a maximum, and not 0. There the last number of the
    window stands in, which changes no maximum. Windows that are all whole keep the structure of a convolution.

    Args:
        name: of the node, for messages.
        windows: weights, of which those that are not 0 are the window of each output.
        port: which place, in the order of the inputs.

    Raises:
        InputError: a window holds nothing.
    """
    if isinstance(windows, ConvWeights) and (taps := _taps(windows)) is not None:
        return _tap(windows, taps[:, port])
    matrix = sparse.csr_matrix(windows.matrix)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    counts = np.diff(matrix.indptr)
    if not counts.all():
        raise InputError(f"node {name!r} is noted as a maximum, and {int((counts == 0).sum())} of its windows hold nothing")
    columns = matrix.indices[matrix.indptr[:-1] + np.minimum(port, counts - 1)]
    rows = np.arange(len(counts) + 1)
    return SparseWeights(sparse.csr_matrix((np.ones(len(counts)), columns, rows), shape=matrix.shape))


def check_listed(node: object, pairs: Iterable[tuple[Weights | None, Weights | None]]) -> None:
    """UnsupportedError where what is read at a place of a pool, by the weights before it and those of the place, is too much to list."""
    if not isinstance(node, Place):
        return
    for before, after in pairs:
        if isinstance(before, ConvWeights) and isinstance(after, SparseWeights):
            listed = before.kernel[0].size * after.matrix.nnz
            if listed > MOST_LISTED:
                raise UnsupportedError(
                    f"node {node.of!r} is a maximum whose windows at the border are smaller, so that the convolution before it is written "
                    f"out, {listed} synapses for each place, above {MOST_LISTED}; pool without padding and ceil_mode, or behind the neuron"
                )


def _taps(windows: ConvWeights) -> NDArray[np.int64] | None:
    """By channel, the taps of its window, flat (channels, places); None where channels differ in their number, or a tap meets padding."""
    used = (windows.kernel != 0).reshape(len(windows.kernel), -1)
    met = np.broadcast_to(windows.meetings == np.prod(windows.output_shape[1:]), windows.kernel.shape).reshape(used.shape)
    counts = used.sum(1)
    if (used & ~met).any() or (counts != counts[0]).any():
        return None
    return np.nonzero(used)[1].reshape(len(used), -1)


def _tap(windows: ConvWeights, taps: NDArray[np.int64]) -> ConvWeights:
    """A convolution of one tap per channel; channel by channel where each reads itself."""
    channels, shape = np.arange(len(taps)), windows.kernel.shape
    kernel = np.zeros((len(taps), windows.kernel[0].size))
    kernel[channels, taps] = 1.0
    kernel = kernel.reshape(shape)
    if windows.groups == 1 and shape[0] == shape[1] and (kernel[channels, channels].reshape(len(taps), -1).sum(1) == 1).all():
        return replace(windows, kernel=kernel[channels, channels][:, None], groups=len(taps))
    return replace(windows, kernel=kernel)
