"""Convolutions in a row are one convolution exactly where their matrices' product is one."""

import nir
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lowering_graphs import RNG, chain, lif, spikes

from snnfuse.export import lower, simulate
from snnfuse.export.lowering.convolution_chain import chained
from snnfuse.export.lowering.weights import ConvWeights


def random_convolution(rng: np.random.Generator, shape: tuple[int, int, int], channels: int) -> ConvWeights:
    """With weights that are whole, so that sums are exact in any order."""
    groups = int(rng.choice([1, 2, 4]))
    taps, stride, padding, dilation = (tuple(int(n) for n in rng.integers(low, 3 + low, 2)) for low in (1, 1, 0, 1))
    kernel = rng.integers(-3, 4, (channels, shape[0] // groups, *taps)).astype(float)
    return ConvWeights(kernel, shape, stride, padding, dilation, groups)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_chain_is_the_product_of_the_matrices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = random_convolution(rng, (4, *(int(n) for n in rng.integers(4, 11, 2))), 4 * int(rng.integers(1, 3)))
    assume(min(first.output_shape) > 0)
    second = random_convolution(rng, first.output_shape, 4)
    assume(min(second.output_shape) > 0)
    whole = chained(first, second)
    assume(whole is not None)
    assert whole is not None and whole.output_shape == second.output_shape and whole.groups in (1, 2, 4)
    assert abs(whole.matrix - second.matrix @ first.matrix).max() == 0


def pooled(size: int, padding: int, out: tuple[int, int, int]) -> nir.NIRGraph:
    kernel, two = RNG.normal(size=(5, 2, 3, 3)), np.array([2, 2])
    pool = nir.AvgPool2d(two, two, np.array([0, 0]))
    conv = nir.Conv2d((size // 2,) * 2, kernel, 1, padding, 1, 1, np.zeros(5))
    return chain(pool, conv, lif(*out), size=(2, size, size))


def test_a_pool_before_a_convolution_is_a_convolution_of_stride_two() -> None:
    network = lower(pooled(12, 1, (5, 6, 6)))
    (projection,) = network.projections
    weights = projection.weights
    assert isinstance(weights, ConvWeights)
    assert (weights.kernel.shape, weights.stride, weights.padding, weights.groups) == ((5, 2, 6, 6), (2, 2), (2, 2), 1)
    found = simulate(network, {"input": spikes(20, 3, 2, 12, 12)}).spikes["n2"]
    assert 0.02 < found.mean() < 0.98


def test_a_pool_that_leaves_a_row_out_is_written_out_before_a_padded_convolution() -> None:
    """What the pool leaves out lies where the convolution pads with 0, and a window of the whole would meet it."""
    assert not isinstance(lower(pooled(13, 1, (5, 6, 6))).projections[0].weights, ConvWeights)
    assert isinstance(lower(pooled(13, 0, (5, 4, 4))).projections[0].weights, ConvWeights)


def test_padding_between_overlapping_convolutions_is_written_out() -> None:
    kernels = RNG.normal(size=(2, 2, 2, 3, 3))
    first, second = (nir.Conv2d((8, 8), kernel, 1, 1, 1, 1, np.zeros(2)) for kernel in kernels)
    assert not isinstance(lower(chain(first, second, lif(2, 8, 8), size=(2, 8, 8))).projections[0].weights, ConvWeights)
