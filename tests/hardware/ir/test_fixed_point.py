"""The registers' widths as the sources of `fixed_point` have them, and each rounding against one in Python's own integers."""

import numpy as np
import pytest

from snnfuse.hardware import Lif
from snnfuse.hardware.errors import FixedPointError
from snnfuse.hardware.ir import fixed_point
from snnfuse.hardware.ir.fixed_point import check_range, clip, decay, shift, to_int32, wrap
from snnfuse.hardware.ir.synapses.weights import LIMITS, granularity

EDGES = np.array([0, 1, 2, 4095, 4096, 2**23 - 1, 2**23, 2**23 + 1, 2**24, 2**31 - 1], np.int64)
BOTH = np.concatenate([-EDGES, EDGES])


def test_widths() -> None:
    """Lava 0.10's models of LIF and Dense, and its netx for delays."""
    assert (fixed_point.DECAY_BITS, fixed_point.ALIGN_BITS, fixed_point.STATE_BITS, fixed_point.STATE_LIMIT) == (12, 6, 24, 2**23)
    assert (fixed_point.CURRENT_DECAY_OFFSET, fixed_point.WEIGHT_BITS, fixed_point.MESSAGE_BITS) == (1, 8, 24)
    assert (fixed_point.EXPONENT_RANGE, fixed_point.DELAY_RANGE, fixed_point.PRODUCT_EXPONENT_RANGE) == ((-8, 7), (0, 62), (0, 31))
    assert fixed_point.THRESHOLD_LIMIT == fixed_point.NEVER == 2**17 and fixed_point.INT32 == 2**31
    assert (fixed_point.BIAS_MANTISSA_RANGE, fixed_point.BIAS_EXPONENT_RANGE) == ((-4096, 4095), (0, 7))
    assert LIMITS == {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)}
    assert [granularity(mode, bits) for mode in LIMITS for bits in (8, 7, 1)] == [2, 4, 256, 1, 2, 128, 1, 2, 128]


@pytest.mark.parametrize(
    ("field", "low", "high"), [("du", -1, 4095), ("dv", 0, 4095), ("vth", 0, 2**17), ("bias_mant", -4096, 4095), ("bias_exp", 0, 7)]
)
def test_a_register_takes_its_range_and_no_more(field: str, low: int, high: int) -> None:
    given = {"du": 0, "dv": 0, "vth": 1}
    for value in (low, high):
        assert getattr(Lif((2,), **{**given, field: value}), field) == value
    for value in (low - 1, high + 1):
        with pytest.raises(FixedPointError, match=f"{field}={value} is outside"):
            Lif((2,), **{**given, field: value})
    lif = Lif((2,), **given)
    assert (lif.bias_mant, lif.bias_exp, lif.reset, lif.is_biased) == (0, 0, "zero", False)


@pytest.mark.parametrize("amount", [0, 1, 7, 4095, 4096])
def test_decay_truncates(amount: int) -> None:
    values = BOTH[np.abs(BOTH) <= 2**24].astype(np.int32)
    expected = [(abs(x) * (4096 - amount) // 4096) * (1 if x >= 0 else -1) for x in values.tolist()]
    assert decay(values, amount).tolist() == expected


def test_wrap_clip_and_shift() -> None:
    limit, span = 2**23, 2**24
    near = BOTH[np.abs(BOTH) <= span]
    assert wrap(near.astype(np.int32)).tolist() == [x - span if x > limit else x + span if x <= -limit else x for x in near.tolist()]
    assert clip(BOTH).tolist() == [max(1 - limit, min(limit - 1, x)) for x in BOTH.tolist()]
    for exponent in (-8, -1, 0, 1, 7):
        assert shift(BOTH, exponent).tolist() == [x << exponent if exponent >= 0 else x >> -exponent for x in BOTH.tolist()]
    wide = np.concatenate([BOTH, BOTH * 2**10, [2**31, -(2**31), 2**32, 2**31 - 1]])
    assert to_int32(wide).tolist() == [(x + 2**31) % 2**32 - 2**31 for x in wide.tolist()]


def test_a_range_holds_both_its_ends() -> None:
    check_range("x", np.array([-3, 5]), -3, 5)
    for value in (-4, 6):
        with pytest.raises(FixedPointError, match=f"x={value} is outside its register"):
            check_range("x", np.array([0, value]), -3, 5)
