"""Compressed sparse rows (CSR), checked before compiled code sees them.

SciPy's products index memory by `indices` and `indptr` as they are, and its own check passes over both where the last row pointer is zero
or less. Here nothing is left to it: what `checked_csr` gives back is in range from end to end.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import INT32

INDEX_END = INT32  # rows and columns are counted in int32 wherever compiled code reads them


def checked_csr(data: ArrayLike, indices: ArrayLike, indptr: ArrayLike, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Build a CSR matrix of copies of its parts.

    Args:
        data: integers (n,).
        indices: integers (n,), the column of each, 0..shape[1] - 1.
        indptr: integers (shape[0] + 1,), where each row starts: from 0, never falling, to n.
        shape: (rows, columns), each 1..2**31 - 1.

    Returns:
        The matrix, of data's dtype; its rows as they were given, sorted or not.

    Raises:
        InputError: it is none; says which part and what is wrong with it.
    """
    values, columns, starts = (_integers(name, part) for name, part in (("data", data), ("indices", indices), ("indptr", indptr)))
    rows, width = _sizes(shape)
    if len(values) != len(columns):
        raise _refusal(f"{len(values)} values, but {len(columns)} column indices")
    if len(starts) != rows + 1:
        raise _refusal(f"indptr has {len(starts)} entries, {rows} rows need {rows + 1}")
    if starts[0] != 0 or starts[-1] != len(columns):
        raise _refusal(f"indptr runs from {starts[0]} to {starts[-1]}, not from 0 to the {len(columns)} entries")
    if (starts[1:] < starts[:-1]).any():
        raise _refusal("indptr falls, so that a row ends before it begins")
    if columns.size and not 0 <= columns.min() <= columns.max() < width:
        raise _refusal(f"indices must be < {width} and not negative, these are {columns.min()}..{columns.max()}")
    index = np.int32 if max(rows, width, len(columns)) < INT32 else np.int64
    return sparse.csr_matrix((values, columns.astype(index), starts.astype(index)), shape=(rows, width))


def _integers(name: str, part: ArrayLike) -> NDArray[np.integer]:
    array = np.array(part)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise _refusal(f"{name} must be one row of integers, not {array.dtype} of shape {array.shape}")
    return array


def _sizes(shape: tuple[int, int]) -> tuple[int, int]:
    if len(shape) != 2 or not all(isinstance(n, (int, np.integer)) and 1 <= n < INDEX_END for n in shape):
        raise _refusal(f"its shape must be two integers of 1..{INDEX_END - 1}, not {tuple(shape)}")
    return int(shape[0]), int(shape[1])


def _refusal(reason: str) -> InputError:
    return InputError(f"no valid CSR matrix: {reason}")
