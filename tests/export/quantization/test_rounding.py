"""Weights in two synapse groups: how fine the second is, and what is exact stays exact."""

import numpy as np
import pytest

from snnfuse.export.lowering.weights import DenseWeights
from snnfuse.export.quantization.rounding import Form, Rounded, nearest, round_weights
from snnfuse.hardware.ir.synapses import granularity

SCALE = 1 << 12


def rounded(values: np.ndarray, bits: int, scale: float = SCALE) -> Rounded:
    found = round_weights(DenseWeights(values), scale, Form((bits, bits), depth=2))
    assert found is not None
    return found


@pytest.mark.parametrize("bits", range(2, 8))
def test_a_second_mixed_group_has_all_the_digits_that_it_can_hold(bits: int) -> None:
    values = np.random.default_rng(bits).uniform(-1, 1, (64, 64))
    found = rounded(values, bits)
    (first,), (second,) = found.rounds
    assert first.exponent - second.exponent == bits
    unit, off = second.step * 2.0**second.exponent, np.abs(found.rest)
    assert off.max() <= unit and (off > unit / 2).mean() < 2.0 ** (1 - bits), "a gap in the middle of each step of the first group"
    assert np.array_equal(nearest(found.wanted, found.rounds), found.wanted - found.rest)


@pytest.mark.parametrize("bits", (3, 4, 5))
def test_what_two_groups_hold_exactly_is_held_exactly(bits: int) -> None:
    levels, half, rng = 2 ** (bits - 1) - 1, 2 ** (bits - 2), np.random.default_rng(bits)
    whole, part = rng.integers(-levels, levels + 1, (24, 24)), rng.integers(-half, half + 1, (24, 24))
    whole[0, 0] = levels  # sets the first group's range
    step = granularity("mixed", bits) * 2.0**4
    values = step * (whole + np.where(np.abs(whole) == levels, 0, part) / (2 * half))
    assert not rounded(values, bits, 1.0).rest.any()
