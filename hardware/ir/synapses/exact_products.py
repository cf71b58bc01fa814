"""Products of weights and messages with no rounding: in float64, where BLAS is fast, as long as no sum can leave its integers."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

EXACT_FLOAT = 1 << 53  # float64 holds every integer below this, so its matrix product of integers is exact
LARGEST_WEIGHT = 256

Matrix = NDArray | sparse.csr_matrix


def product(matrix: Matrix, rows: NDArray) -> NDArray:
    """rows @ matrix.T: int64 and exact for rows of bool or integers, float64 for rows of float64.

    Args:
        matrix: weights (out, in), integers of magnitude up to 256.
        rows: messages (n, in).
    """
    dtype = sum_dtype(rows)
    if sparse.issparse(matrix):
        return np.ascontiguousarray((matrix.astype(dtype) @ rows.T.astype(dtype)).T)
    inside = product_dtype(matrix.shape[1], rows)
    return (rows.astype(inside) @ matrix.T.astype(inside)).astype(dtype, copy=False)


def sum_dtype(messages: NDArray) -> type:
    """Of sums of messages: float64 for floats, otherwise int64."""
    return np.float64 if messages.dtype.kind == "f" else np.int64


def product_dtype(fan_in: int, messages: NDArray) -> type:
    """In which to multiply messages by weights, so many into a target: float64, or int64 where that might round."""
    if messages.dtype.kind == "f":
        return np.float64
    largest = int(np.abs(messages).max(initial=0)) if messages.dtype != np.bool_ else 1
    return np.float64 if LARGEST_WEIGHT * fan_in * largest < EXACT_FLOAT else np.int64
