"""Synaptic operations, exactly: a spike causes one for every synapse of its neuron, so none where a kernel meets padding.

Two ways to count the same, neither of which writes a convolution out: `fan_out`, synapses per source neuron, and `arrivals`, operations
per target neuron for given spikes. Sums of the two over the same spikes are equal.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.ir.synapses import Conv2d, Dense, Sparse, Synapse
from snnfuse.hardware.overflow.weighted_sums import pull_back


def fan_out(synapse: Synapse, effective: bool = False) -> NDArray[np.int64]:
    """Synapses of each source neuron, int64 (sources,).

    Args:
        synapse: a group.
        effective: count weights other than 0 only; otherwise every stored one.
    """
    if isinstance(synapse, Sparse):
        weights = synapse.weights.tocoo()
        chosen = weights.data != 0 if effective else np.ones(weights.nnz, bool)
        return np.bincount(weights.col[chosen], minlength=synapse.size[1]).astype(np.int64)
    if isinstance(synapse, Dense):
        return np.count_nonzero(synapse.weights, 0) if effective else np.full(synapse.size[1], synapse.size[0], np.int64)
    return pull_back(_counting(synapse, effective), np.ones(synapse.size[0], np.int64))


def adds_to(second: Synapse, first: Synapse) -> bool:
    """Whether a group connects no neurons that another does not: both together are one weight in floating point."""
    if isinstance(first, Conv2d) and isinstance(second, Conv2d):
        return _geometry(first) == _geometry(second)
    if isinstance(first, Sparse) and isinstance(second, Sparse) and first.size == second.size:
        held, more = (_pattern(group) for group in (first, second))
        return (held + more).nnz == held.nnz
    return isinstance(first, Dense) and isinstance(second, Dense) and first.size == second.size


def _geometry(conv: Conv2d) -> tuple:
    return (*conv.weights.shape, *conv.input_shape, *conv.stride, *conv.padding, *conv.dilation, conv.groups)


def _pattern(synapse: Sparse) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(synapse.weights.nnz), synapse.weights.indices, synapse.weights.indptr), synapse.size)


def arrivals(synapse: Synapse, spikes: NDArray) -> NDArray[np.int64]:
    """Operations that arrive at each target neuron over stored synapses.

    Args:
        synapse: a group.
        spikes: (n, sources), number of events, integers.

    Returns:
        int64 (n, targets).
    """
    if isinstance(synapse, Dense):
        return np.repeat(spikes.sum(1, dtype=np.int64)[:, None], synapse.size[0], 1)
    if isinstance(synapse, Sparse):
        weights = synapse.weights
        ones = sparse.csr_matrix((np.ones(weights.nnz, np.int64), weights.indices, weights.indptr), weights.shape)
        return np.ascontiguousarray((ones @ spikes.T.astype(np.int64)).T)
    return _conv_arrivals(synapse, spikes)


def _counting(conv: Conv2d, effective: bool) -> Conv2d:
    """The same geometry with a weight of 1 for each that counts."""
    counted = (conv.weights != 0) if effective else np.ones(conv.weights.shape, bool)
    return replace(conv, weights=counted.astype(np.int32), exponent=0, bits=8)


def _conv_arrivals(conv: Conv2d, spikes: NDArray) -> NDArray[np.int64]:
    """All output channels of a group receive the same number."""
    (top, left), (down, right), (dy, dx) = conv.padding, conv.stride, conv.dilation
    channels, height, width = conv.input_shape
    out_channels, rows, columns = conv.output_shape
    grouped = spikes.reshape(len(spikes), conv.groups, channels // conv.groups, height, width).sum(2, dtype=np.int64)
    padded = np.pad(grouped, ((0, 0), (0, 0), (top, top), (left, left)))
    total = np.zeros((len(spikes), conv.groups, rows, columns), np.int64)
    for i, j in np.ndindex(*conv.weights.shape[2:]):
        total += padded[:, :, i * dy : i * dy + down * (rows - 1) + 1 : down, j * dx : j * dx + right * (columns - 1) + 1 : right]
    return np.repeat(total, out_channels // conv.groups, 1).reshape(len(spikes), -1)
