"""Synapse groups: what is legal, and a convolution against torch's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ring_synapse import Ring
from scipy import sparse

from snnfuse.hardware import Conv2d, Dense, Diagonal, Sparse
from snnfuse.hardware.backends.reference import synaptic_input
from snnfuse.hardware.errors import FixedPointError, InputError
from snnfuse.hardware.ir.synapses import Synapse, granularity, sign_mode


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


def some_csr(draw: st.DrawFn) -> sparse.csr_matrix:
    rows, columns, seed = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    places = rng.random((rows, columns)) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    return sparse.csr_matrix((2 * rng.integers(1, 100, (rows, columns)) * places).astype(np.int32))


@st.composite
def damaged_csr(draw: st.DrawFn) -> sparse.csr_matrix:
    """A CSR matrix whose parts were changed behind SciPy's back, in no, one or several places."""
    matrix = some_csr(draw)
    for _ in range(draw(st.integers(0, 3))):
        part = draw(st.sampled_from(["indptr", "indptr", "indices", "data"]))
        array = getattr(matrix, part).copy()
        change = draw(st.sampled_from(["value", "value", "value", "shorter", "longer", "dtype", "shape"]))
        if change == "value" and array.size:
            value = draw(st.sampled_from([-(2**31), -1, 0, 1, 2, 3, 4, 6, 9, 2**31 - 1]))
            array.flat[draw(st.integers(0, array.size - 1))] = np.array(value).astype(array.dtype)
        elif change == "shorter":
            array = array[: draw(st.integers(0, array.size))]
        elif change == "longer":
            array = np.concatenate([array, array[-1:], array[:1]])
        elif change == "dtype":
            array = array.astype(draw(st.sampled_from([np.int64, np.uint64, np.float64, np.int8, np.bool_])))
        elif change == "shape":
            array = array[None]
        setattr(matrix, part, array)
    return matrix


def by_hand(matrix: sparse.csr_matrix) -> np.ndarray:
    """What the parts of a CSR matrix say, without SciPy."""
    full = np.zeros(matrix.shape, np.int64)
    for row, (first, last) in enumerate(zip(matrix.indptr, matrix.indptr[1:])):
        for place in range(first, last):
            full[row, matrix.indices[place]] += matrix.data[place]
    return full


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(matrix=damaged_csr())
def test_damaged_sparse_weights_are_refused_or_mean_what_they_say(matrix: sparse.csr_matrix) -> None:
    try:
        group = Sparse(matrix)
    except InputError as error:
        assert "\n" not in str(error)
        return
    full = by_hand(matrix)
    messages = np.arange(2 * full.shape[1]).reshape(2, -1)
    np.testing.assert_array_equal(group.times(messages), messages @ full.T)
    np.testing.assert_array_equal(group.transposed_times(np.ones(len(full), np.int64)), full.sum(0))
    assert np.diff(group.weights.indptr).min() >= 0 and group.count == len(group.weights.indices) == group.weights.indptr[-1]


@pytest.mark.parametrize(
    "indices, indptr, message",
    [
        ([0], [0, 5, -1], "indptr runs from 0 to -1, not from 0 to the 1 entries"),
        ([0], [0, 5, 0], "indptr runs from 0 to 0, not from 0 to the 1 entries"),
        ([0, 1], [0, 3, 2], "indptr falls"),
        ([0], [1, 1, 1], "indptr runs from 1"),
        ([0, 1], [0, 2], "indptr has 2 entries, 2 rows need 3"),
        ([-1], [0, 1, 1], "indices must be < 4 and not negative, these are -1..-1"),
    ],
)
def test_row_pointers_that_scipy_lets_pass_are_refused(indices: list[int], indptr: list[int], message: str) -> None:
    matrix = sparse.csr_matrix((2, 4), dtype=np.int32)
    matrix.data, matrix.indices, matrix.indptr = np.full(len(indices), 2, np.int32), np.array(indices), np.array(indptr)
    with pytest.raises(InputError, match=message):
        Sparse(matrix)


def test_populations_that_compiled_code_cannot_count_are_refused() -> None:
    with pytest.raises(InputError, match="shape must be two integers of 1..2147483647"):
        Sparse(sparse.csr_matrix((1, 2**31), dtype=np.int32))
    with pytest.raises(InputError, match=r"synapses from 0 to 3 neurons"):
        Dense(np.zeros((3, 0), np.int32))


HUGE = 2**31 - 1


@pytest.mark.parametrize(
    "geometry, message",
    [
        ({"padding": (2**40, 0)}, f"padding is two integers of at most {HUGE}"),
        ({"stride": (2**63, 1)}, f"stride is two integers of at most {HUGE}"),
        ({"padding": (HUGE, HUGE)}, f"more than {HUGE} neurons"),
        ({"dilation": (HUGE, 1)}, "larger than its padded input"),
        ({"groups": -1}, "-1 groups do not divide"),
        ({"groups": 1.0}, "1.0 groups do not divide"),
        ({"input_shape": (1, 5)}, "input shape is three integers"),
        ({"input_shape": (1, 0, 5)}, "input shape is three integers of at least 1"),
        ({"input_shape": (1, 5.0, 5)}, "input shape is three integers"),
        ({"input_shape": (1, 2**20, 2**20)}, f"more than {HUGE} neurons"),
    ],
)
def test_a_geometry_beyond_memory_or_integers_is_refused(geometry: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Conv2d(np.ones((3, 1, 2, 2), np.int32), **({"input_shape": (1, 5, 5)} | geometry))


@st.composite
def convolutions(draw: st.DrawFn) -> Conv2d:
    """Small ones whose stride, padding and dilation may be larger than all else."""
    groups, per_group, out = (draw(st.integers(1, 3)) for _ in range(3))
    axes = []
    for _ in range(2):
        size, kernel, dilation = draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 5, 2**28]))
        short = max(0, dilation * (kernel - 1) + 1 - size)
        padding = -(-short // 2) + draw(st.integers(0, 3))
        stride = draw(st.sampled_from([1, 2, 3, 7])) if padding < 99 else padding // draw(st.integers(1, 3)) + draw(st.integers(0, 2))
        axes.append((size, kernel, stride, padding, dilation))
    size, kernel, stride, padding, dilation = zip(*axes)
    values = 2 * np.random.default_rng(draw(st.integers(0, 99))).integers(-100, 100, (groups * out, per_group, *kernel))
    return Conv2d(values, (groups * per_group, *size), stride, padding, dilation, groups)


def assert_like_its_matrix(group: Synapse, seed: int) -> None:
    """Whatever a kind can do for less is what its matrix says."""
    rng, full = np.random.default_rng(seed), group.matrix()
    places = group.matrix(np.ones(group.values.shape, np.int64))
    full, places = (m.toarray() if sparse.issparse(m) else m for m in (full, places))
    assert group.size == full.shape and group.count == places.sum()
    numbers, scores = rng.integers(-(2**31), 2**31, (3, full.shape[1])), rng.integers(-9, 9, len(full))
    for messages in (numbers, numbers > 0, numbers / 2**20):
        sums = group.times(messages)
        assert sums.dtype == (np.float64 if messages.dtype == np.float64 else np.int64)
        np.testing.assert_array_equal(sums, messages @ full.T.astype(sums.dtype))
    np.testing.assert_array_equal(group.transposed_times(scores), full.T.astype(np.int64) @ scores)
    np.testing.assert_array_equal(group.fan_out(), places.sum(0))
    np.testing.assert_array_equal(group.fan_out(effective=True), (full != 0).sum(0))
    np.testing.assert_array_equal(group.arrivals(numbers % 9), (numbers % 9) @ places.T)
    assert group.row_sum() >= np.abs(full).sum(1).max()
    lowest, highest = group.spike_sums()
    assert lowest <= np.minimum(full, 0).sum(1).min() and highest >= np.maximum(full, 0).sum(1).max()
    for target in range(len(full)):
        row = np.zeros(full.shape[1], np.int64)
        sources, weights = group.row(target)
        row[sources] = weights
        np.testing.assert_array_equal(row, full[target])


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(conv=convolutions(), seed=st.integers(0, 99))
def test_a_convolution_is_like_its_matrix_whatever_its_geometry(conv: Conv2d, seed: int) -> None:
    assert_like_its_matrix(conv, seed)


@pytest.mark.parametrize(
    "group",
    [
        dense([2, -4, 0], [0, 6, 8]),
        Sparse(csr([4, -6, 8], [3, 1, 0], [0, 2, 3])),
        Diagonal(np.array([2, 0, -8])),
        Ring(np.array([2, 0, -6]), 5),
        Ring(np.array([8, 2]), 2),
    ],
)
def test_every_kind_is_like_its_matrix(group: Synapse) -> None:
    assert_like_its_matrix(group, 1)


def test_groups_within_another_add_no_connection() -> None:
    ones, ring = Diagonal(np.array([1, 1])), Ring(np.array([1, 1]), 2)
    crossed = Sparse(sparse.csr_matrix(np.array([[0, 1], [1, 0]], np.int32)))
    conv, wider = (Conv2d(np.ones((1, 1, 1, k), np.int32), (1, 1, 2), padding=(0, k // 2)) for k in (1, 3))
    assert ones.connects_within(Sparse(sparse.identity(2, np.int32, "csr"))) and ones.connects_within(ring)
    assert not ring.connects_within(ones) and not crossed.connects_within(ones) and not ones.connects_within(Diagonal(np.array([1])))
    assert conv.connects_within(conv) and not conv.connects_within(wider) and not ones.connects_within(conv)
    assert dense([1, 0], [0, 1]).connects_within(dense([1, 2], [3, 4])) and not dense([1, 0], [0, 1]).connects_within(ones)


def test_one_to_one_weights_are_checked_and_kept() -> None:
    with pytest.raises(InputError, match="one-to-one weights need one axis"):
        Diagonal(np.ones((2, 2), np.int32))
    with pytest.raises(FixedPointError, match="weight 1 is no multiple of 2"):
        Diagonal(np.array([1, -2]))
    with pytest.raises(InputError, match="from 0 to 0 neurons"):
        Diagonal(np.zeros(0, np.int32))
    with pytest.raises(ValueError, match="read-only"):
        Diagonal(np.array([1, 2])).weights[0] = 3
