"""Any integer weights as synapse groups that the chip holds, and back."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.fixed_point import EXPONENT_RANGE, WEIGHT_BITS, shift
from snnfuse.hardware.ir.synapses import LIMITS, Conv2d, Synapse, granularity, sign_mode

Values = NDArray[np.int64]


def split_weights(values: Values, exponent: int, where: str) -> list[tuple[NDArray[np.int32], int]]:
    """Weights times 2**exponent as (weights, exponent) of one or two groups whose sum they are, exactly.

    An odd weight among mixed signs does not fit a group's even steps: where there is room, the group is doubled and its exponent
    lowered (the doubled sum is even, so nothing is rounded); otherwise a second, excitatory group holds what the first leaves.

    Raises:
        UnsupportedError: they are too large for two groups; names them.
    """
    if _is_legal(values):
        return [(values.astype(np.int32), exponent)]
    if _is_legal(2 * values) and exponent > EXPONENT_RANGE[0]:
        return [((2 * values).astype(np.int32), exponent - 1)]
    step = granularity(sign_mode(values), WEIGHT_BITS)
    for low in range(WEIGHT_BITS):
        coarse = (values >> low) // step * step
        fine = values - (coarse << low)
        if _is_legal(coarse) and _is_legal(fine) and exponent + low <= EXPONENT_RANGE[1]:
            groups = [(coarse, exponent + low), (fine, exponent)]
            return [(weights.astype(np.int32), power) for weights, power in groups if weights.any()]
    raise UnsupportedError(
        f"{where}: weights from {values.min()} to {values.max()} do not fit two groups of {WEIGHT_BITS} bits; "
        "scale weights and threshold down"
    )


def _is_legal(values: Values) -> bool:
    mode = sign_mode(values)
    low, high = LIMITS[mode]
    inside = values.size == 0 or (values.min() >= low and values.max() <= high)
    return bool(inside and not (values % granularity(mode, WEIGHT_BITS)).any())


def total_kernel(groups: Sequence[Conv2d], where: str) -> Values:
    """One integer kernel that acts as the sum of several convolutions of one geometry.

    Raises:
        UnsupportedError: a negative exponent rounds the sum.
    """
    return np.sum([_scaled(conv, where) for conv in groups], axis=0)


def total_matrix(groups: Sequence[Synapse], where: str) -> Values:
    """One integer matrix (out, in) that acts as the sum of several groups; errors as for `total_kernel`."""
    total = np.zeros(groups[0].size, np.int64)
    for group in groups:
        matrix = group.matrix(_scaled(group, where))
        total += matrix.toarray() if sparse.issparse(matrix) else matrix
    return total


def _scaled(synapse: Synapse, where: str) -> Values:
    """Stored weights times 2**exponent."""
    values = synapse.values.astype(np.int64)
    if synapse.exponent < 0 and (values % (1 << -synapse.exponent)).any():
        raise UnsupportedError(f"{where}: its exponent {synapse.exponent} rounds sums down, which netx files cannot say")
    return shift(values, synapse.exponent)
