"""Linear maps from a population to what a linear node puts out: composed along a graph, and added where its ways meet."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from snnfuse.export.lowering.convolution_chain import chained
from snnfuse.export.lowering.network import Array
from snnfuse.export.lowering.shapes import Shape, size
from snnfuse.export.lowering.weights import ConvWeights, DenseWeights, Weights, from_matrix


@dataclass(frozen=True, eq=False)
class LinearMap:
    """factor * weights, to numbers of `shape`, `lag` steps later; weights None is the identity.

    Attributes:
        selects: whether the weights select some of its numbers, as a delay does, so that whatever is before them becomes sparse.
    """

    shape: Shape
    weights: Weights | None = None
    factor: float = 1.0
    lag: int = 0
    selects: bool = False

    @property
    def structure(self) -> tuple[object, ...]:
        """What maps that add without losing their structure have in common: one-to-one, a convolution's geometry, dense or sparse."""
        if isinstance(self.weights, ConvWeights):
            return ConvWeights, self.weights.geometry
        return (type(self.weights),)

    def resolved(self) -> Weights:
        """The weights with the factor in them."""
        count = size(self.shape)
        if self.weights is None:
            return from_matrix(sparse.identity(count, format="csr") * self.factor)
        return self.weights.scaled(np.full(count, self.factor)) if self.factor != 1.0 else self.weights

    def then(self, after: "LinearMap") -> "LinearMap":
        """This map and another one behind it, as one; convolutions in a row are one where they can be."""
        factor, lag = self.factor * after.factor, self.lag + after.lag
        if self.weights is None or after.weights is None:
            return LinearMap(after.shape, self.weights if after.weights is None else after.weights, factor, lag)
        if after.selects:
            return LinearMap(after.shape, from_matrix(after.weights.matrix @ sparse.csr_matrix(self.resolved().matrix)), lag=lag)
        whole = None
        if isinstance(self.weights, ConvWeights) and isinstance(after.weights, ConvWeights):
            whole = chained(self.weights, after.weights)
        return LinearMap(after.shape, whole or from_matrix(after.weights.matrix @ self.weights.matrix), factor, lag)

    def plus(self, other: "LinearMap") -> "LinearMap":
        """The sum of two maps from one source to one shape, with the same lag; it has their structure where they share one."""
        if self.weights is None and other.weights is None:
            return replace(self, factor=self.factor + other.factor)
        a, b = self.resolved(), other.resolved()
        if self.structure == other.structure and isinstance(a, ConvWeights) and isinstance(b, ConvWeights):
            return replace(self, weights=replace(a, kernel=a.kernel + b.kernel), factor=1.0)
        if isinstance(a, DenseWeights) and isinstance(b, DenseWeights):
            return replace(self, weights=DenseWeights(a.matrix + b.matrix), factor=1.0)
        return replace(self, weights=from_matrix(_sum(a.matrix, b.matrix)), factor=1.0)


def _sum(a: Array | sparse.csr_matrix, b: Array | sparse.csr_matrix) -> Array | sparse.csr_matrix:
    """Two matrices added; dense where one of them is."""
    if sparse.issparse(a) and sparse.issparse(b):
        return a + b
    return np.asarray(a + b)
