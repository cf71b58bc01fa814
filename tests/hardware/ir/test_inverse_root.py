"""gain / sqrt(a) in fixed point: its error bound over everything it can be given, and every backend against the reference."""

import numpy as np
import pytest

from snnfuse.hardware import Connection, Dense, GradedInput, InverseRoot, Lif, Output, Program, compare
from snnfuse.hardware.backends import reference
from snnfuse.hardware.backends.registry import run_on
from snnfuse.hardware.errors import FixedPointError
from snnfuse.hardware.ir.inverse_root import ITERATIONS, MANTISSA_BITS, inverse_root
from snnfuse.hardware.ir.storage import load_program, save_program

GAINS = (1, 7, 2047, 40000, 2**16 - 1)


def every_mantissa_and_exponent() -> np.ndarray:
    """Every a below 2**16; beyond, a number for each mantissa that the iteration can meet at each exponent, its first and its last."""
    below = np.arange(1, 1 << 16, dtype=np.int64)
    mantissas = np.arange(1 << MANTISSA_BITS, 1 << (MANTISSA_BITS + 2), dtype=np.int64)
    above = [mantissas << shift for shift in range(2, 18, 1)]
    last = [(mantissas << shift) + (1 << shift) - 1 for shift in range(2, 17, 1)]
    every = np.concatenate([below, *above, *last])
    return np.unique(every[every < 1 << 31]).astype(np.int32)


@pytest.mark.parametrize("gain", GAINS)
def test_the_error_is_bounded_for_every_input(gain: int) -> None:
    a = every_mantissa_and_exponent()
    exact = gain / np.sqrt(a.astype(np.float64))
    found = inverse_root(InverseRoot(a.shape, gain), a)
    assert (np.abs(found - exact) <= 0.5 + 2.0**-12 * exact).all()
    assert found.max() <= gain and found.min() >= 0 and len(a) > 300_000


def test_a_further_iteration_would_gain_nothing_and_one_less_would_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    def worst(iterations: int) -> float:
        monkeypatch.setattr("snnfuse.hardware.ir.inverse_root.ITERATIONS", iterations)
        a, gain = every_mantissa_and_exponent()[: 1 << 16], 2**16 - 1
        exact = gain / np.sqrt(a.astype(np.float64))
        return float((np.maximum(np.abs(inverse_root(InverseRoot(a.shape, gain), a) - exact) - 0.5, 0) / exact).max())

    errors = {n: worst(n) for n in range(5)}
    assert errors[0] < 0.14 and errors[1] < 0.025 and errors[2] < 1e-3 and errors[3] < 2**-12 and errors[4] > errors[3] / 2
    assert errors[ITERATIONS - 1] > 2**-12


def test_what_is_not_positive_has_no_root() -> None:
    a = np.array([0, -1, np.iinfo(np.int32).min, 1, 4, np.iinfo(np.int32).max], np.int32)
    assert inverse_root(InverseRoot(a.shape, 1000), a).tolist()[:3] == [0, 0, 0]
    np.testing.assert_allclose(inverse_root(InverseRoot(a.shape, 1000), a)[3:], [1000, 500, 0], atol=1)


@pytest.mark.parametrize("gain", [0, -1, 2**16])
def test_a_gain_has_sixteen_bits(gain: int) -> None:
    with pytest.raises(FixedPointError, match="inverse root gain"):
        InverseRoot((1,), gain)


def program(gain: int) -> Program:
    """Numbers in, their inverse roots through a readout."""
    ones = Dense(np.eye(3, dtype=np.int32))
    nodes = {"x": GradedInput((3,), 24, 1.0), "root": InverseRoot((3,), gain), "v": Lif((3,), du=4095, dv=4095, vth=2**17)}
    links = (Connection("x", "root", ones), Connection("root", "v", ones), Connection("x", "root", ones, lag=1))
    return Program(nodes, links, {"v": Output("v", "membrane_last")})


def numbers() -> np.ndarray:
    rng = np.random.default_rng(0)
    x = np.rint(2.0 ** rng.uniform(0, 22.9, (6, 50, 3))) * rng.choice([1, 1, 1, -1, 0], (6, 50, 3))
    return x.astype(np.int32)


@pytest.mark.parametrize("backend", ["emulator", "torch"])
@pytest.mark.parametrize("gain", GAINS)
def test_backends_are_the_reference(backend: str, gain: int) -> None:
    net, x = program(gain), {"x": numbers()}
    expected = reference.emulate(net, x, "all", True)
    assert compare(run_on(backend, net, x, "all", True).recording, expected).mismatches == 0
    assert expected.spikes["root"].dtype == np.int32 and 0 < expected.spikes["root"].max() <= gain


def test_lava_reads_the_same_equations() -> None:
    net, x = program(2047), {"x": numbers()[:, :12]}
    found = run_on("lava", net, x, "all", True, timeout=120).recording
    assert compare(found, reference.emulate(net, x, "all", True)).mismatches == 0 and found.spikes["root"].any()


def test_it_is_stored_and_placed(tmp_path) -> None:  # noqa: ANN001
    from snnfuse.hardware.chip import check_chip, tier
    from snnfuse.hardware.overflow import prove

    save_program(program(77), tmp_path)
    again = load_program(tmp_path)
    assert again.nodes["root"].gain == 77 and tier(again.nodes["root"]) == "B"
    assert any(layer.name == "root" and layer.tier == "B" for layer in check_chip(again).layers)
    assert prove(again)
