"""One synapse group as a stock Lava process. Importing this module imports Lava.

Lava's traps, and how they are kept out: it clips and truncates weights on the first step (a Program holds only weights that this
leaves alone); it casts spikes to bool unless told that they carry a payload; its Conv ignores the exponent, wraps at 24 bits and
convolves, with axes (W, H, C), where a Program correlates, with axes (C, H, W).
"""

from functools import partial

import numpy as np
from scipy import sparse

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.backends.lava.processes.shifted_conv import ShiftedConv
from snnfuse.hardware.ir.fixed_point import MESSAGE_BITS, STATE_LIMIT
from snnfuse.hardware.ir.nodes import Connection, Node
from snnfuse.hardware.ir.synapses import Conv2d

INT8 = 127  # Lava keeps a Conv's geometry in int8
LARGE = 1 << 20  # synapses from which on a kernel is not written out


def build_synapse(connection: Connection, source: Node, name: str) -> stock.AbstractProcess:
    """A Dense, Sparse, DelayDense, DelaySparse or Conv process; a ShiftedConv of our own for kernels that are too large for a Sparse.

    A constant spikes on every step, so its delay changes nothing and is left out.
    """
    payload = MESSAGE_BITS if source.sends_numbers else 0  # Lava asks only whether it is zero
    delay = connection.delay + connection.lag if source.is_timed else 0
    conv = connection.synapse.convolution
    if conv is not None and not delay and (fits_conv(conv, source) or fits_shifted(conv, source)):
        return _conv(conv, payload, name)
    options = {
        "name": name,
        "num_message_bits": payload,
        "num_weight_bits": connection.synapse.bits,
        "weight_exp": connection.synapse.exponent,
    }
    matrix = connection.synapse.matrix()
    # Lava's DelayDense adds up payloads in 64 bits before its shift, every other synapse in 32.
    if not sparse.issparse(matrix) and not (delay and payload):
        return _dense(matrix, delay, options)
    return _sparse(sparse.csr_matrix(matrix, dtype=np.int32, copy=True), delay, options)


def _dense(weights: np.ndarray, delay: int, options: dict) -> stock.AbstractProcess:
    weights = weights.astype(np.int32)
    if not delay:
        return stock.Dense(weights=weights, **options)
    return stock.DelayDense(weights=weights, delays=np.full(weights.shape, delay, np.int64), max_delay=delay, **options)


def _sparse(weights: sparse.csr_matrix, delay: int, options: dict) -> stock.AbstractProcess:
    if not delay:
        return stock.Sparse(weights=weights, **options)
    delays = sparse.csr_matrix((np.full(weights.nnz, delay, np.int64), weights.indices, weights.indptr), weights.shape)
    return stock.DelaySparse(weights=weights, delays=delays, max_delay=delay, **options)


def fits_conv(conv: Conv2d, source: Node) -> bool:
    """Whether Lava's Conv, given weights 2**exponent, sends the right sum for every input there can be.

    It wraps sums at 24 bits, so that none may reach 2**23: for binary spikes the sum of a kernel's absolute weights, for graded
    ones that times the largest payload, which only an input declares.
    """
    return conv.exponent >= 0 and _stays_in_range(conv, source)


def fits_shifted(conv: Conv2d, source: Node) -> bool:
    """Whether a convolution with a negative exponent is better left one than written out, and its unshifted sums stay in range."""
    return conv.count >= LARGE and conv.exponent < 0 and _stays_in_range(conv, source)


def _stays_in_range(conv: Conv2d, source: Node) -> bool:
    """Whether the geometry fits Lava's registers, and no sum is wrapped."""
    if max(*conv.weights.shape[2:], *conv.stride, *conv.padding, *conv.dilation, conv.groups) > INT8:
        return False
    largest = max(map(abs, source.payloads))
    return conv.row_sum() * largest << max(conv.exponent, 0) < STATE_LIMIT


def _conv(conv: Conv2d, payload: int, name: str) -> stock.Conv:
    """Kernels (C_out, C_in, kH, kW) become (C_out, kW, kH, C_in), flipped, and every pair (x, y)."""
    weight = (conv.weights << max(conv.exponent, 0))[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)
    channels, height, width = conv.input_shape
    make = partial(ShiftedConv, shift=-conv.exponent) if conv.exponent < 0 else stock.Conv
    return make(
        weight=np.ascontiguousarray(weight),
        input_shape=(width, height, channels),
        stride=(conv.stride[1], conv.stride[0]),
        padding=(conv.padding[1], conv.padding[0]),
        dilation=(conv.dilation[1], conv.dilation[0]),
        groups=conv.groups,
        num_message_bits=payload,
        name=name,
    )


def connect_in(port: stock.OutPort, synapse: stock.AbstractProcess) -> None:
    """Connect a population's spikes, in its own shape, to a synapse process."""
    if isinstance(synapse, stock.Conv):
        _reshape(port, synapse.input_shape[::-1]).transpose((2, 1, 0)).connect(synapse.s_in)
    else:
        _reshape(port, synapse.s_in.shape).connect(synapse.s_in)


def connect_out(synapse: stock.AbstractProcess, port: stock.InPort) -> None:
    """Connect a synapse process's sums to a population's input, in its own shape."""
    a_out = synapse.a_out.transpose((2, 1, 0)) if isinstance(synapse, stock.Conv) else synapse.a_out
    _reshape(a_out, port.shape).connect(port)


def _reshape(port: stock.OutPort, shape: tuple[int, ...]) -> stock.OutPort:
    return port if tuple(port.shape) == tuple(shape) else port.reshape(tuple(shape))
