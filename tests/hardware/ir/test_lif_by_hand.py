"""`Lif` step by step against Python's own integers, at the edges of every register and of every comparison."""

from typing import get_args

import lif_by_hand
import numpy as np
import pytest

from snnfuse.hardware import Lif
from snnfuse.hardware.ir.bias_input import BiasedLif
from snnfuse.hardware.ir.lif import LifState, Reset

LIMIT = 2**23
NEURONS = 1500


def drawn(rng: np.random.Generator, reset: str) -> tuple[dict[str, np.ndarray], list[lif_by_hand.Parameters]]:
    """Registers with many at an end of their range."""

    def register(low: int, high: int, *likely: int) -> np.ndarray:
        return np.where(
            rng.random(NEURONS) < 0.5, rng.integers(low, high, NEURONS, endpoint=True), rng.choice([low, high, *likely], NEURONS)
        ).astype(np.int32)

    values = {
        "du": register(-1, 4095, 0, 2047), "dv": register(0, 4095, 1, 2048), "vth": register(0, 2**17, 1, 10, 2**17 - 1, 2**16),
        "bias_mant": register(-4096, 4095, 0, 1, -1), "bias_exp": register(0, 7),
    }  # fmt: skip
    rows = zip(*(values[name].tolist() for name in lif_by_hand.FIELDS), strict=True)
    return values, [lif_by_hand.Parameters(reset, *row) for row in rows]


@pytest.mark.parametrize("reset", get_args(Reset))
def test_a_step_is_that_of_pythons_integers(reset: str) -> None:
    rng = np.random.default_rng(get_args(Reset).index(reset))
    values, parameters = drawn(rng, reset)
    theta = 64 * values["vth"].astype(np.int64)
    u = rng.choice([0, 1, -1, LIMIT, LIMIT - 1, 1 - LIMIT, 4096, -4096, 5000, -70_000], NEURONS)
    near = [theta - 1, theta, theta + 1, 0 * theta, 2 * theta + 1, -theta, 0 * theta + LIMIT]
    v = np.clip(np.choose(rng.integers(0, len(near), NEURONS), near), 1 - LIMIT, LIMIT - 1)
    v = np.where(rng.random(NEURONS) < 0.2, rng.integers(1 - LIMIT, LIMIT, NEURONS), v)
    # so much arrives that the current, or the voltage, ends at an edge: near the wrap, the threshold or twice that, or beyond 32 bits
    aim = rng.choice([LIMIT, -LIMIT, LIMIT + 64, 3 * LIMIT, 2**25, 2**32, 0], NEURONS)
    aim = np.where(rng.random(NEURONS) < 0.5, theta + rng.choice([-64, 0, 64, 1], NEURONS), aim)
    a = np.clip((aim - u) // 64 + rng.integers(-2, 3, NEURONS), -(2**31), 2**31 - 1).astype(np.int32)
    written = rng.choice([0, 1, -7, 4095, -4095], NEURONS).astype(np.int32)
    state = LifState(u[None].astype(np.int32), v[None].astype(np.int32))
    shape = (NEURONS,)
    plain, biased = Lif(shape, **values, reset=reset), BiasedLif(shape, **values, reset=reset)  # type: ignore[arg-type]
    for lif, mantissas, inputs in ((plain, 0 * written, [a[None]]), (biased, written, [a[None], written[None]])):
        with np.errstate(over="ignore"):
            fired, after = lif.step(state, inputs)
        expected = [lif_by_hand.step(p, *row) for p, *row in zip(parameters, u.tolist(), v.tolist(), a.tolist(), mantissas.tolist())]
        assert fired[0].tolist() == [e.fired for e in expected]
        assert after.u[0].tolist() == [e.u for e in expected]
        assert after.v[0].tolist() == [e.v for e in expected]
        assert after.u.dtype == after.v.dtype == np.int32
        assert 0.03 < fired.mean() < 0.9


def test_what_a_lif_says_of_itself() -> None:
    some = Lif((3,), 0, 0, 1, bias_mant=np.array([0, 2, 0], np.int32))
    assert some.is_biased and not Lif((3,), 0, 0, 1).is_biased
    assert (Lif((1,), 0, 0, 1).custom_reset, Lif((1,), 0, 0, 1, reset="subtract").custom_reset) == (None, "subtract")
    assert (Lif.states, Lif.membrane, Lif.registers) == (("u", "v"), "v", lif_by_hand.FIELDS)
    rest = Lif((2, 3), 0, 0, 1).rest(4)
    assert rest.u.shape == rest.v.shape == (4, 2, 3) and not rest.u.any() and not rest.v.any()
