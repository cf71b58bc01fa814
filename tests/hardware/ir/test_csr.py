"""What compiled code indexes by is in range from end to end, whichever part of it is not."""

import numpy as np
import pytest

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.csr import checked_csr


def test_a_matrix_of_copies() -> None:
    data = np.array([5, -7, 9], np.int32)
    matrix = checked_csr(data, [0, 2, 1], [0, 2, 2, 3], (3, 3))
    data[:] = 0
    assert matrix.toarray().tolist() == [[5, 0, -7], [0, 0, 0], [0, 9, 0]]
    assert matrix.dtype == matrix.indices.dtype == matrix.indptr.dtype == np.int32


@pytest.mark.parametrize(
    ("columns", "starts", "shape", "message"),
    [
        ([-1, 1], [0, 1, 2], (2, 2), r"indices must be < 2 and not negative, these are -1\.\.1"),
        ([0, 2], [0, 1, 2], (2, 2), "indices must be < 2"),
        ([1, -(2**31)], [0, 1, 2], (2, 2), "indices must be < 2"),
        ([0, 1], [0, 3, 2], (2, 2), "indptr falls"),
        ([0, 1], [0, -1, 2], (2, 2), "indptr falls"),
        ([0, 1], [1, 1, 2], (2, 2), "indptr runs from 1 to 2"),
        ([0, 1], [0, 1, 1], (2, 2), "indptr runs from 0 to 1"),
        ([0, 1], [0, 0, -1], (2, 2), "indptr runs from 0 to -1"),
        ([0, 1], [0, 2], (2, 2), "indptr has 2 entries, 2 rows need 3"),
        ([0, 1, 1], [0, 1, 2], (2, 2), "2 values, but 3 column indices"),
        ([[0, 1]], [0, 1, 2], (2, 2), "indices must be one row of integers"),
        ([0.0, 1.0], [0, 1, 2], (2, 2), "indices must be one row of integers"),
        ([0, 1], [0, 1, 2], (2, 0), "its shape must be two integers"),
        ([0, 1], [0, 1, 2], (2, 2**31), "its shape must be two integers"),
        ([0, 1], [0, 1, 2], (2, 2, 1), "its shape must be two integers"),
    ],
)
def test_what_is_out_of_range_is_refused(columns: list, starts: list, shape: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_csr([1, 2], columns, starts, shape)


def test_the_largest_matrix() -> None:
    assert checked_csr([3], [2**31 - 2], [0, 1], (1, 2**31 - 1)).shape == (1, 2**31 - 1)
