"""Matrices are stored whole or listed by what their zeros are."""

import nir
import numpy as np
import pytest
from scipy import sparse

from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.weights import DenseWeights, SparseWeights


@pytest.mark.parametrize(("size", "filled", "expected"), [(100, 0.05, SparseWeights), (100, 0.5, DenseWeights), (10, 0.05, DenseWeights)])
def test_a_large_layer_that_is_mostly_zeros_is_listed(size: int, filled: float, expected: type) -> None:
    matrix = sparse.random(size, size, filled, random_state=0).toarray()
    ones = np.ones(size)
    network = lower(nir.NIRGraph.from_list(nir.Linear(matrix), nir.LIF(1e-3 * ones, ones, 0 * ones, ones)))
    (projection,) = network.projections
    assert isinstance(projection.weights, expected)
    held = projection.weights.matrix
    np.testing.assert_array_equal(held.toarray() if sparse.issparse(held) else held, matrix)
