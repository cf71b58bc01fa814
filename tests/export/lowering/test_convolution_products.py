"""A large convolution is multiplied without being written out: the same sums."""

import numpy as np
import pytest

from snnfuse.export.lowering.weights import ConvWeights

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "channels, size, kernel, stride, padding, dilation, groups",
    [
        ((3, 4), (7, 6), (3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((4, 6), (9, 8), (3, 2), (2, 1), (0, 1), (1, 2), 2),
        ((4, 4), (5, 5), (1, 1), (2, 2), (0, 0), (1, 1), 4),
    ],
)
def test_products_are_those_of_the_matrix(channels, size, kernel, stride, padding, dilation, groups) -> None:
    values = RNG.integers(-9, 9, (channels[1], channels[0] // groups, *kernel)) / 8.0  # whose sums are exact in any order
    weights = ConvWeights(values, (channels[0], *size), stride, padding, dilation, groups)
    rows = RNG.integers(0, 5, (6, channels[0] * size[0] * size[1]))
    assert (weights.times(rows) == (weights.matrix @ rows.T).T).all()
