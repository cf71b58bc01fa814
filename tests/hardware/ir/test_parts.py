"""Small parts of the integers, each tried out over a small range and at the ends of what it may be given."""

import itertools

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import Dense, Diagonal, Product, Relay, Sparse
from snnfuse.hardware.errors import FixedPointError, InputError
from snnfuse.hardware.ir.csr import checked_csr
from snnfuse.hardware.ir.fixed_point import held
from snnfuse.hardware.ir.nodes import Neuron
from snnfuse.hardware.ir.synapses import Synapse
from snnfuse.hardware.ir.synapses.exact_products import product, product_dtype, sum_dtype
from snnfuse.hardware.ir.synapses.weights import LIMITS, check_weights, granularity, sign_mode


@pytest.mark.parametrize("exponent", [0, 1, 3, 31])
def test_the_largest_payload_of_a_product_is_that_of_its_largest_drives(exponent: int) -> None:
    for a, b in itertools.product((0, 1, 2, 3, 7, 9), repeat=2):
        sent = [abs((x * y) >> exponent) for x in range(-a, a + 1) for y in range(-b, b + 1)]
        assert Product((1,), exponent).largest_payload([a, b]) == max(sent)
    for drives in ([2**16, 2**15], [2**16, 2**16], [2**31, 3]):
        assert Product((1,), exponent).largest_payload(drives) == 2**31 >> exponent
    assert Product((1,)).exponent == 0


def test_what_numbers_a_relay_and_others_send() -> None:
    assert [Relay((1,)).largest_payload([n]) for n in (0, 5, 2**31 - 1, 2**31, 2**40)] == [0, 5, 2**31 - 1, 2**31, 2**31]
    for kind, ports, all_of_them in ((Product, 2, True), (Relay, 1, False)):
        assert (kind.ports, kind.needs_all_ports, kind.sends_numbers, kind.states) == (ports, all_of_them, True, ())
        assert issubclass(kind, Neuron)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16])
def test_what_a_program_holds_nobody_can_change(dtype: type) -> None:
    given = np.array([[1, 2], [3, 4]], dtype)
    for array in (given, given.T, given[:, :1]):
        kept = held(array)
        assert kept.dtype == np.int32 and kept.flags.c_contiguous and not kept.flags.writeable and kept.tolist() == array.tolist()
        assert held(kept) is kept and not np.shares_memory(kept, given)
    locked = np.asfortranarray(np.array([[1, 2], [3, 4]], np.int32))
    locked.flags.writeable = False
    assert held(locked).flags.c_contiguous and held(locked[:1]).base is None
    assert held(np.int64(7)) == 7 and type(held(np.int64(7))) is int


def test_weights_of_every_width_and_sign() -> None:
    """Every integer near the ends: legal if it lies between them, on a step that doubles where signs mix."""
    for bits, (mode, (low, high)) in itertools.product(range(1, 9), LIMITS.items()):
        step = granularity(mode, bits)
        assert step == 2 ** (8 - bits) * (2 if mode == "mixed" else 1)
        others = {"mixed": [-256, 0], "excitatory": [0], "inhibitory": [-128]}[mode]
        for weight in (*range(-259, -250), *range(-130, 131), *range(250, 260)):
            weights = np.array([*others, weight])
            if sign_mode(weights) != mode or (mode == "mixed" and weight <= 0):
                continue
            legal = low <= weight <= high and weight % step == 0
            if legal:
                check_weights(weights, 0, bits)
                continue
            with pytest.raises(FixedPointError, match="is outside its register|is no multiple of"):
                check_weights(weights, 0, bits)
    for exponent, bits, message in (
        (-9, 8, "weight exponent=-9 is outside"),
        (8, 8, "weight exponent=8"),
        (0, 0, "weight bits=0 is outside"),
    ):
        with pytest.raises(FixedPointError, match=message):
            check_weights(np.array([2]), exponent, bits)
    for exponent in (-8, 7):
        check_weights(np.array([128]), exponent, 1)
    with pytest.raises(FixedPointError, match="weight 130 is no multiple of 4, the step of 6-bit excitatory weights"):
        check_weights(np.array([128, 130]), 0, 6)


def test_signs_of_groups() -> None:
    expected = {(0,): "excitatory", (1, 0): "excitatory", (-1,): "inhibitory", (-1, 0): "inhibitory", (-1, 1): "mixed", (0, -1, 5): "mixed"}
    assert {weights: sign_mode(np.array(weights)) for weights in expected} == expected


def test_a_product_is_computed_where_it_cannot_round() -> None:
    """float64 holds integers below 2**53; a sum is at most fan-in times the message times a weight of 256."""
    for fan_in, largest in ((1, 2**45), (2, 2**44), (2**14, 2**31), (3, 2**43), (5, 7)):
        for message in (largest - 1, largest, -largest, largest + 1):
            exact = 256 * fan_in * abs(message) < 2**53
            assert product_dtype(fan_in, np.array([0, message])) is (np.float64 if exact else np.int64)
    assert product_dtype(2**44, np.ones(2, bool)) is np.float64 and product_dtype(2**45, np.ones(2, bool)) is np.int64
    assert product_dtype(2**44, np.zeros(2, bool)) is np.float64 and product_dtype(2**60, np.zeros(0, int)) is np.float64
    assert product_dtype(2**60, np.ones(2)) is sum_dtype(np.ones(2)) is np.float64 and sum_dtype(np.ones(2, bool)) is np.int64
    rows, weights = np.array([[2**45, 2**45 + 1], [-(2**46), 3]]), np.array([[256, -255], [1, 254], [0, 7]])
    exact = [[sum(int(a) * int(b) for a, b in zip(row, target)) for target in weights] for row in rows]
    for matrix in (weights, sparse.csr_matrix(weights)):
        found = product(matrix, rows)
        assert found.tolist() == exact and found.dtype == np.int64 and found.flags.c_contiguous
        assert product(matrix, rows / 4).dtype == np.float64


GROUPS = [
    Dense(np.array([[2, -4, 0], [0, 6, 8]])), Dense(np.array([[-2, -6], [-3, -1]])), Dense(np.array([[7]])), Diagonal(np.array([2, 0, -8])),
    Sparse(sparse.csr_matrix(np.array([[0, 4, 0, -6], [0, 0, 0, 0], [8, 2, 2, 0]]))), Sparse(sparse.csr_matrix((2, 3), dtype=np.int32)),
]  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_sums_of_a_group_are_reached_by_the_target_that_has_most(group: Synapse) -> None:
    full = group.matrix()
    full = (full.toarray() if sparse.issparse(full) else full).astype(np.int64)
    assert group.row_sum() == np.abs(full).sum(1).max()
    assert group.spike_sums() == (np.minimum(full, 0).sum(1).min(), np.maximum(full, 0).sum(1).max())
    for target in range(len(full)):
        sources, weights = group.row(target)
        assert [s for s in sources.tolist() if full[target, s]] == np.flatnonzero(full[target]).tolist()
        assert weights.tolist() == full[target, sources].tolist() and weights.dtype == sources.dtype == np.int64
    assert group.fan_out(effective=True).tolist() == (full != 0).sum(0).tolist()
    assert group.fan_out().sum() == group.count


def test_groups_have_exponent_0_and_8_bits_unless_they_say_otherwise() -> None:
    for group in (Dense(np.array([[2]])), Diagonal(np.array([2])), Sparse(sparse.csr_matrix(np.array([[2]])))):
        assert (group.exponent, group.bits) == (0, 8)
        changed = type(group)(group.weights, np.int64(3), np.int8(7))
        assert (changed.exponent, changed.bits) == (3, 7) and type(changed.exponent) is type(changed.bits) is int


def test_what_sparse_weights_may_be() -> None:
    for weights in (np.array([[2]]), sparse.csc_matrix(np.array([[2]])), [[2]]):
        with pytest.raises(InputError, match="must be a scipy CSR matrix"):
            Sparse(weights)  # type: ignore[arg-type]
    for shape, message in (((0, 2), "its shape must be two integers"), ((1, 2), None)):
        matrix = sparse.csr_matrix(shape, dtype=np.int32)
        if message is None:
            assert Sparse(matrix).count == 0
            continue
        with pytest.raises(InputError, match=message):
            Sparse(matrix)
    with pytest.raises(InputError, match=r"list the synapse from neuron 2 to neuron 1 twice"):
        Sparse(sparse.csr_matrix((np.array([2, 4, 6]), [2, 2, 2], [0, 1, 3]), (2, 3)))
    ok = Sparse(sparse.csr_matrix((np.array([2, 4, 6]), [2, 2, 1], [0, 1, 3]), (2, 3)))
    assert ok.weights.toarray().tolist() == [[0, 0, 2], [0, 6, 4]]
    with pytest.raises(ValueError, match="read-only"):
        ok.weights.data[0] = 1


def test_populations_are_at_least_one_neuron_and_at_most_what_an_int32_counts() -> None:
    class Wide(Dense):
        size = property(lambda self: self.sizes)  # type: ignore[assignment]
        sizes = (1, 1)

    largest = 2**31 - 1
    for sizes, good in (((1, 1), True), ((largest, largest), True), ((0, 1), False), ((1, 0), False), ((1, largest + 1), False)):
        Wide.sizes = sizes
        if good:
            Wide(np.array([[2]]))
            continue
        with pytest.raises(InputError, match=f"synapses from {sizes[1]} to {sizes[0]} neurons; a population has 1..{largest}"):
            Wide(np.array([[2]]))


@pytest.mark.parametrize(
    ("parts", "shape", "message"),
    [
        (([1, 2, 3], [0, 1], [0, 1, 2]), (2, 2), "3 values, but 2 column indices"),
        (([1, 2], [0, 1], [0, 1, 1, 2]), (2, 2), "indptr has 4 entries, 2 rows need 3"),
        (([1, 2], [0, 1], [0, 2, 1]), (2, 2), "indptr runs from 0 to 1, not from 0 to the 2 entries"),
        (([1, 2], [0, 2], [0, 1, 2]), (2, 2), r"indices must be < 2 and not negative, these are 0\.\.2"),
        (([1.5, 2.0], [0, 1], [0, 1, 2]), (2, 2), r"data must be one row of integers, not float64 of shape \(2,\)"),
        (([[1, 2]], [0, 1], [0, 1, 2]), (2, 2), r"data must be one row of integers, not int64 of shape \(1, 2\)"),
        (([1, 2], [0, 1], [0, 1, 2]), (2.0, 2), r"two integers of 1\.\.2147483647, not \(2\.0, 2\)"),
        (([1, 2], [0, 1], [0, 1, 2]), (2,), r"two integers of 1\.\.2147483647, not \(2,\)"),
        (([], [], [0]), (0, 2), r"two integers of 1\.\.2147483647, not \(0, 2\)"),
    ],
)
def test_what_a_refused_matrix_is_told(parts: tuple, shape: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_csr(*(np.array(part, np.int64 if not len(part) else None) for part in parts), shape)


def test_the_smallest_matrices() -> None:
    assert checked_csr([5], [0], [0, 1], (1, 1)).toarray().tolist() == [[5]]
    empty = checked_csr(np.zeros(0, int), np.zeros(0, int), [0, 0], (1, 1))
    assert empty.nnz == 0 and empty.shape == (1, 1)
    assert checked_csr([5, 6], [1, 1], [0, 1, 2], (np.int64(2), np.int32(2))).toarray().tolist() == [[0, 5], [0, 6]]
    assert checked_csr([5, 6], [1, 0], [0, 0, 2, 2], (3, 2)).indices.tolist() == [1, 0]
