"""W s of a synapse group, exactly and without writing a convolution out; and the smallest and largest over messages s in intervals."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.backends.reference import EXACT_FLOAT, product
from snnfuse.hardware.ir.synapses import Conv2d, Synapse

Vector = NDArray[np.int64] | NDArray[np.float64]
WINDOWS = 1 << 23  # values that lie under a kernel at once


def exact_sums(synapse: Synapse, messages: NDArray) -> NDArray[np.int64]:
    """W s before the exponent's shift, with no wrap: messages (rows, sources), bool or int32, to (rows, targets)."""
    if not isinstance(synapse, Conv2d):
        return product(synapse.matrix(), messages)
    rows = max(1, WINDOWS // (synapse.size[0] * int(np.prod(synapse.weights.shape[1:]))))
    images = messages.reshape(-1, *synapse.input_shape)
    sums = np.empty((len(images), *synapse.output_shape), np.int64)
    for start in range(0, len(images), rows):
        block = slice(start, start + rows)
        sums[block] = _correlate(synapse, synapse.weights, images[block].astype(np.int64))
    return sums.reshape(len(images), -1)


def extreme_sums(synapse: Synapse, low: Vector, high: Vector) -> tuple[Vector, Vector]:
    """Smallest and largest W s before the exponent's shift, (targets,).

    Args:
        synapse: a group of weights.
        low, high: of the messages, (sources,), int64; or float64, and then the sums are.
    """
    positive, negative = (_weights(synapse, sign) for sign in (1, -1))
    smallest = _times(synapse, positive, low) + _times(synapse, negative, high)
    largest = _times(synapse, positive, high) + _times(synapse, negative, low)
    return smallest, largest


def _weights(synapse: Synapse, sign: int) -> NDArray[np.int64] | sparse.csr_matrix:
    """The weights of one sign, the others 0."""
    weights = synapse.weights.astype(np.int64)
    if sparse.issparse(weights):
        return weights.maximum(0) if sign > 0 else weights.minimum(0)
    return np.maximum(weights, 0) if sign > 0 else np.minimum(weights, 0)


def _times(synapse: Synapse, weights: NDArray[np.int64] | sparse.csr_matrix, messages: Vector) -> Vector:
    if isinstance(synapse, Conv2d):
        return _correlate(synapse, weights, messages.reshape(1, *synapse.input_shape)).ravel()
    return weights @ messages


def _correlate(conv: Conv2d, weights: NDArray, x: Vector) -> Vector:
    """torch.nn.functional.conv2d with other weights of the same geometry: (rows, C_in, H, W) to (rows, C_out, H, W)."""
    (top, left), (down, right), (dy, dx) = conv.padding, conv.stride, conv.dilation
    span = tuple(d * (k - 1) + 1 for d, k in zip(conv.dilation, weights.shape[2:]))
    padded = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
    windows = sliding_window_view(padded, span, axis=(2, 3))[:, :, ::down, ::right, ::dy, ::dx]
    largest = float(np.abs(x).max(initial=0)) * float(np.abs(weights).sum(axis=(1, 2, 3)).max(initial=0))
    exact = np.float64 if largest < EXACT_FLOAT or x.dtype.kind == "f" else np.int64  # BLAS is fast, and exact below 2**53
    inputs, outputs = np.split(windows, conv.groups, 1), np.split(weights.astype(exact), conv.groups)
    sums = [np.einsum("ncyxij,ocij->noyx", i.astype(exact), o, optimize=True) for i, o in zip(inputs, outputs)]
    return np.concatenate(sums, 1).astype(x.dtype)


def row(synapse: Synapse, target: int) -> tuple[Vector, Vector]:
    """The synapses into one target neuron: source indices and weights, int64."""
    if sparse.issparse(synapse.weights):
        part = slice(*synapse.weights.indptr[target : target + 2])
        return synapse.weights.indices[part].astype(np.int64), synapse.weights.data[part].astype(np.int64)
    if isinstance(synapse, Conv2d):
        chosen = np.zeros(synapse.size[0], np.int64)
        chosen[target] = 1
        weights = pull_back(synapse, chosen)
        return np.flatnonzero(weights), weights[weights != 0]
    return np.arange(synapse.size[1]), synapse.weights[target].astype(np.int64)


def pull_back(synapse: Synapse, scores: NDArray) -> NDArray:
    """W transposed times a score per target: a score per source, of the scores' dtype."""
    if not isinstance(synapse, Conv2d):
        return synapse.weights.T.astype(scores.dtype) @ scores
    (top, left), (down, right), (dy, dx) = synapse.padding, synapse.stride, synapse.dilation
    channels, height, width = synapse.input_shape
    padded = np.zeros((channels, height + 2 * top, width + 2 * left), scores.dtype)
    _, rows, columns = synapse.output_shape
    groups = (np.split(a, synapse.groups) for a in (padded, synapse.weights, scores.reshape(synapse.output_shape)))
    for into, weights, given in zip(*groups):
        for i, j in np.ndindex(*weights.shape[2:]):
            at = np.s_[:, i * dy : i * dy + down * rows : down, j * dx : j * dx + right * columns : right]
            into[at] += np.tensordot(weights[:, :, i, j].astype(scores.dtype), given, (0, 0))
    return padded[:, top : top + height, left : left + width].ravel()
