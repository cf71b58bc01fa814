"""Synapse groups: what is legal, and a convolution against torch's."""

import numpy as np
import pytest
import torch
from scipy import sparse

from snnfuse.hardware import Conv2d, Dense, Sparse
from snnfuse.hardware.backends.reference import synaptic_input
from snnfuse.hardware.errors import FixedPointError, InputError
from snnfuse.hardware.ir.synapses import granularity, sign_mode


def dense(*rows: list[int], **settings: int) -> Dense:
    return Dense(np.array(rows, np.int32), **settings)


@pytest.mark.parametrize(
    "weights, bits, message",
    [
        ([1, -2], 8, "weight 1 is no multiple of 2, the step of 8-bit mixed weights"),
        ([256, 0], 8, "excitatory weight=256 is outside"),
        ([-256, 0], 8, "inhibitory weight=-256 is outside"),
        ([-258, 2], 8, "mixed weight=-258 is outside"),
        ([3], 7, "weight 3 is no multiple of 2, the step of 7-bit excitatory weights"),
        ([-128, 128], 1, "the step of 1-bit mixed weights"),
        ([1], 9, "weight bits=9 is outside"),
    ],
)
def test_a_weight_that_lava_would_change_is_refused(weights: list[int], bits: int, message: str) -> None:
    with pytest.raises(FixedPointError, match=message):
        dense(weights, bits=bits)


@pytest.mark.parametrize("weights", [[1, 255], [-255, -1], [-256, 254], [0, 0]])
def test_the_ends_of_each_sign_mode_are_legal(weights: list[int]) -> None:
    assert dense(weights).values.tolist() == [weights]


def test_zero_belongs_to_either_sign() -> None:
    assert [sign_mode(np.array(w)) for w in ([0, 1], [-1, 0], [0], [-1, 1])] == ["excitatory", "inhibitory", "excitatory", "mixed"]
    assert [granularity("mixed", b) for b in (8, 4, 1)] == [2, 32, 256]


@pytest.mark.parametrize("exponent, expected", [(0, [-6, 3]), (2, [-24, 12]), (-1, [-3, 1]), (-2, [-2, 0])])
def test_the_exponent_rounds_down_after_the_sum(exponent: int, expected: list[int]) -> None:
    """-6 >> 2 is -2, not -1; and 3 >> 1 is 1."""
    spikes = np.ones((1, 1, 3), bool)
    groups = [dense([-2, -2, -2], exponent=exponent), dense([1, 1, 1], exponent=exponent)]
    assert [int(synaptic_input(g, spikes)[0, 0, 0]) for g in groups] == expected


def test_exponents_outside_four_bits_are_refused() -> None:
    with pytest.raises(FixedPointError, match="weight exponent=8 is outside"):
        dense([1], exponent=8)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("stride, padding, dilation", [((1, 1), (0, 0), (1, 1)), ((2, 1), (1, 2), (1, 1)), ((1, 3), (2, 0), (2, 1))])
def test_a_convolution_is_torchs(groups: int, stride: tuple, padding: tuple, dilation: tuple) -> None:
    rng = np.random.default_rng(groups)
    weights = (rng.integers(-128, 127, (8, 4 // groups, 3, 2)) * 2).astype(np.int32)
    spikes = rng.random((3, 2, 4, 9, 7)) < 0.3
    conv = Conv2d(weights, (4, 9, 7), stride, padding, dilation, groups, exponent=1)
    x = torch.from_numpy(spikes.reshape(6, 4, 9, 7).astype(np.float64))
    expected = torch.nn.functional.conv2d(x, torch.from_numpy(weights.astype(np.float64)), None, stride, padding, dilation, groups) * 2
    np.testing.assert_array_equal(synaptic_input(conv, spikes), expected.numpy().astype(np.int64).reshape(3, 2, -1))
    assert conv.output_shape == tuple(expected.shape[1:])


def test_sparse_and_dense_agree() -> None:
    rng = np.random.default_rng(1)
    weights = (rng.integers(-128, 127, (20, 30)) * 2 * (rng.random((20, 30)) < 0.2)).astype(np.int32)
    graded = rng.integers(-127, 128, (4, 3, 30)).astype(np.int32)
    group = Sparse(sparse.csr_matrix(weights), exponent=-3)
    np.testing.assert_array_equal(synaptic_input(group, graded), synaptic_input(Dense(weights, exponent=-3), graded))
    assert group.size == (20, 30)


def test_sums_keep_their_low_32_bits() -> None:
    group = dense([254, 254], exponent=7)
    graded = np.full((1, 1, 2), 2**23 - 1, np.int32)
    expected = ((508 * (2**23 - 1)) & 0xFFFFFFFF) << 7 & 0xFFFFFFFF
    assert int(synaptic_input(group, graded)[0, 0, 0]) & 0xFFFFFFFF == expected


def test_geometry_must_fit() -> None:
    with pytest.raises(InputError, match="do not fit an input of"):
        Conv2d(np.zeros((4, 3, 3, 3), np.int32), (4, 8, 8))
    with pytest.raises(InputError, match="a kernel of 9 .* is larger than its padded input of 8"):
        Conv2d(np.zeros((4, 4, 9, 9), np.int32), (4, 8, 8)).matrix()
    with pytest.raises(InputError, match="need two axes"):
        Dense(np.zeros(3, np.int32))


@pytest.mark.parametrize(
    "groups, stride, padding, dilation",
    [(1, (1, 1), (0, 0), (1, 1)), (2, (2, 1), (1, 3), (1, 2)), (4, (3, 2), (2, 2), (2, 1))],
)
def test_synapses_are_counted_without_writing_a_convolution_out(
    groups: int, stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> None:
    conv = Conv2d(np.full((4, 4 // groups, 3, 2), 5, np.int32), (4, 7, 6), stride, padding, dilation, groups)
    counted = conv.count
    assert "_matrix" not in vars(conv)
    assert counted == conv.matrix().nnz
    assert Dense(np.zeros((3, 5), np.int32)).count == 15


INTEGERS = [np.int8, np.uint8, np.int16, np.int64, np.uint64]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_of_any_type_are_kept_as_int32_that_nobody_can_change(dtype: type) -> None:
    given = np.array([[[[1, 0], [100, 7]]]], dtype)
    groups = [Dense(given[0, 0]), Sparse(sparse.csr_matrix(given[0, 0])), Conv2d(given, (1, 2, 2))]
    given[...] = 3
    for group in groups:
        assert (group.values.dtype, sorted(group.values.ravel())[-2:]) == (np.int32, [7, 100])
        with pytest.raises(ValueError, match="read-only"):
            group.values[...] = 0


def test_weights_that_nobody_can_change_are_not_copied() -> None:
    group = dense([1, 2])
    assert Dense(group.weights, exponent=1).weights is group.weights
    view = np.broadcast_to(np.array([[1, 2]], np.int32), (1, 2))
    assert not np.shares_memory(Dense(view).weights, view)  # what it shows can be changed elsewhere


def csr(data: list[int], indices: list[int], indptr: list[int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.array(data, np.int32), indices, indptr), (2, 4))


def test_sparse_weights_are_sorted() -> None:
    given = csr([5, 6, 7], [3, 1, 0], [0, 2, 3])
    group = Sparse(given)
    assert (group.weights.indices.tolist(), group.values.tolist()) == ([1, 3, 0], [6, 5, 7])
    assert given.indices.tolist() == [3, 1, 0]
    before = group.values.tobytes()
    assert abs(group.weights).nnz == 3 and group.values.tobytes() == before


@pytest.mark.parametrize(
    "indices, indptr, message",
    [
        ([1, 3, 3], [0, 1, 3], "list the synapse from neuron 3 to neuron 1 twice; add them up first"),
        ([3, 1, 3], [0, 3, 3], "list the synapse from neuron 3 to neuron 0 twice"),
        ([1, 4, 3], [0, 1, 3], "no valid CSR matrix: indices must be < 4"),
    ],
)
def test_sparse_weights_that_no_backend_could_agree_on_are_refused(indices: list[int], indptr: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sparse(csr([200, 200, 1], indices, indptr))


@pytest.mark.parametrize(
    "geometry, message",
    [
        ({"stride": (0, 1)}, r"stride is two integers of at least 1, \(vertical, horizontal\), not \(0, 1\)"),
        ({"stride": 2}, "stride is two integers"),
        ({"padding": (0, -1)}, "padding is two integers of at least 0"),
        ({"dilation": (1, 1.5)}, "dilation is two integers of at least 1"),
        ({"groups": 2}, r"weights \(3, 1, 2, 2\) in 2 groups do not fit"),
        ({"dilation": (1, 5)}, "larger than its padded input of 5"),
    ],
)
def test_a_convolution_that_cannot_be_is_refused(geometry: dict, message: str) -> None:
    channels = geometry.get("groups", 1)
    with pytest.raises(InputError, match=message):
        Conv2d(np.ones((3, 1, 2, 2), np.int32), (channels, 5, 5), **geometry)
