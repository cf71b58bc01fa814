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
from snnfuse.hardware.ir.synapses import Conv2d, Dense, synapse_count

INT8 = 127  # Lava keeps a Conv's geometry in int8
LARGE = 1 << 20  # synapses from which on a kernel is not written out


def build_synapse(connection: Connection, source: Node, name: str) -> stock.AbstractProcess:
    """A Dense, Sparse, DelayDense, DelaySparse or Conv process; a ShiftedConv of our own for kernels that are too large for a Sparse.

    A constant spikes on every step, so its delay changes nothing and is left out.
    """
    payload = MESSAGE_BITS if source.sends_numbers else 0  # Lava asks only whether it is zero
    delay = connection.delay + connection.lag if source.is_timed else 0
    if not delay and fits_conv(connection.synapse, source):
        return _conv(connection.synapse, payload, name)
    if not delay and fits_shifted(connection.synapse, source):
        return _conv(connection.synapse, payload, name, shift=-connection.synapse.exponent)
    options = {
        "name": name,
        "num_message_bits": payload,
        "num_weight_bits": connection.synapse.bits,
        "weight_exp": connection.synapse.exponent,
    }
    matrix = connection.synapse.matrix()
    # Lava's DelayDense adds up payloads in 64 bits before its shift, every other synapse in 32.
    if isinstance(connection.synapse, Dense) and not (delay and payload):
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


def fits_conv(synapse: object, source: Node) -> bool:
    """Whether Lava's Conv, given weights 2**exponent, sends the right sum for every input there can be.

    It wraps sums at 24 bits, so that none may reach 2**23: for binary spikes the sum of a kernel's absolute weights, for graded
    ones that times the largest payload, which only an input declares.
    """
    return isinstance(synapse, Conv2d) and synapse.exponent >= 0 and _stays_in_range(synapse, source)


def fits_shifted(synapse: object, source: Node) -> bool:
    """Whether a convolution with a negative exponent is better left one than written out, and its unshifted sums stay in range."""
    is_large = isinstance(synapse, Conv2d) and synapse_count(synapse) >= LARGE
    return is_large and synapse.exponent < 0 and _stays_in_range(synapse, source)


def _stays_in_range(synapse: Conv2d, source: Node) -> bool:
    """Whether the geometry fits Lava's registers, and no sum is wrapped."""
    if max(*synapse.weights.shape[2:], *synapse.stride, *synapse.padding, *synapse.dilation, synapse.groups) > INT8:
        return False
    largest = max(map(abs, source.payloads))
    reach = int(np.abs(synapse.weights.astype(np.int64)).sum((1, 2, 3)).max()) * largest << max(synapse.exponent, 0)
    return reach < STATE_LIMIT


def _conv(synapse: Conv2d, payload: int, name: str, shift: int = 0) -> stock.Conv:
    """Kernels (C_out, C_in, kH, kW) become (C_out, kW, kH, C_in), flipped, and every pair (x, y)."""
    weight = (synapse.weights.astype(np.int32) << max(synapse.exponent, 0))[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)
    channels, height, width = synapse.input_shape
    make = partial(ShiftedConv, shift=shift) if shift else stock.Conv
    return make(
        weight=np.ascontiguousarray(weight),
        input_shape=(width, height, channels),
        stride=synapse.stride[::-1],
        padding=synapse.padding[::-1],
        dilation=synapse.dilation[::-1],
        groups=synapse.groups,
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
