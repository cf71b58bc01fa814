"""Synapses listed one by one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.csr import checked_csr
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS, read_only
from snnfuse.hardware.ir.json_fields import CSR
from snnfuse.hardware.ir.kinds import SynapseKind, register_synapse
from snnfuse.hardware.ir.synapses.base import GROUP_FIELDS, Synapse


@dataclass(frozen=True, eq=False)
class Sparse(Synapse):
    """Synapses listed one by one.

    Attributes:
        weights: scipy CSR matrix of int32, (out, in), over flattened neurons in C order; sorted, and each synapse listed once.
        exponent: -8..7.
        bits: 1..8.
    """

    weights: sparse.csr_matrix
    exponent: int = 0
    bits: int = WEIGHT_BITS

    def __post_init__(self) -> None:
        if not sparse.issparse(self.weights) or self.weights.format != "csr":
            raise InputError("sparse weights must be a scipy CSR matrix")
        object.__setattr__(self, "weights", canonical(self.weights))
        self.check()
        object.__setattr__(self, "weights", _held(self.weights))

    @property
    def size(self) -> tuple[int, int]:
        return self.weights.shape

    @property
    def values(self) -> NDArray[np.int32]:
        return self.weights.data

    def matrix(self, values: NDArray | None = None) -> sparse.csr_matrix:
        return self.weights if values is None else with_values(self.weights, values)


def canonical(weights: sparse.csr_matrix) -> sparse.csr_matrix:
    """Copy a matrix, with sorted indices.

    Raises:
        InputError: its parts are no valid CSR matrix, or list a synapse twice.
    """
    matrix = checked_csr(weights.data, weights.indices, weights.indptr, weights.shape)
    matrix.sort_indices()
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    again = np.flatnonzero((np.diff(rows) == 0) & (np.diff(matrix.indices) == 0))
    if again.size:
        raise InputError(
            f"sparse weights list the synapse from neuron {matrix.indices[again[0]]} to neuron {rows[again[0]]} twice; add them up first "
            "(weights.sum_duplicates()), or make them two connections"
        )
    return matrix


def _held(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix = matrix.astype(np.int32, copy=False)
    for part in (matrix.data, matrix.indices, matrix.indptr):
        read_only(part)
    return matrix


def with_values(matrix: sparse.csr_matrix, values: NDArray) -> sparse.csr_matrix:
    """The same places with other values, in the order of `matrix.data`; indices are shared."""
    return sparse.csr_matrix((values, matrix.indices, matrix.indptr), matrix.shape)


register_synapse(SynapseKind(Sparse, {"weights": CSR, **GROUP_FIELDS}))
