"""One neuron: a real chip's trace, the edges of every register, and the reset rules by hand."""

from dataclasses import replace

import numpy as np
import pytest

from snnfuse.hardware import Lif
from snnfuse.hardware.errors import FixedPointError
from snnfuse.hardware.ir.fixed_point import NEVER, STATE_LIMIT, decay
from snnfuse.hardware.ir.lif import LifState


def run(lif: Lif, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and voltages, (time, batch, *shape), from rest."""
    state, spikes, voltages = lif.rest(inputs.shape[1]), [], []
    for a in inputs:
        s, state = lif.step(state, [a])
        spikes.append(s)
        voltages.append(state.v)
    return np.array(spikes), np.array(voltages)


def one(lif: Lif, *inputs: int) -> tuple[list[int], list[int]]:
    """A single neuron fed with a row of numbers."""
    spikes, voltages = run(lif, np.array(inputs, np.int32)[:, None, None])
    return spikes[:, 0, 0].astype(int).tolist(), voltages[:, 0, 0].tolist()


def test_equals_the_real_chip(shared_data) -> None:
    events, voltage, spike = np.loadtxt(shared_data / "nir_paper/lif_lava_loihi_fixed.csv", delimiter=",").T
    delayed = np.concatenate([[0], events[:-1]])  # a synapse takes one step
    spikes, voltages = run(Lif((1,), du=4095, dv=163, vth=25), (10 * delayed).astype(np.int32)[:, None, None])
    fired = spike.astype(bool)
    np.testing.assert_array_equal(spikes[:, 0, 0], fired)
    np.testing.assert_array_equal(voltages[~fired, 0, 0], voltage[~fired])  # while firing the chip's probe reads 128, a marker
    assert fired.sum() == 4


@pytest.mark.parametrize("start, a, expected", [((1 << 23) - 64, 1, 1 << 23), ((1 << 23) - 64, 2, 64 - (1 << 23))])
def test_current_wraps_once_above_the_limit(start: int, a: int, expected: int) -> None:
    lif = Lif((1,), du=0, dv=0, vth=(1 << 17) - 1)
    undecayed = -(-start * 4096 // 4095)  # du=0 still decays by 1/4096
    _, state = lif.step(LifState(np.array([undecayed], np.int32), np.zeros(1, np.int32)), [np.array([a], np.int32)])
    assert state.u[0] == expected


def test_current_at_the_lower_limit_wraps() -> None:
    lif = Lif((1,), du=-1, dv=0, vth=1)
    _, state = lif.step(LifState(np.array([64 - (1 << 23)], np.int32), np.zeros(1, np.int32)), [np.array([-1], np.int32)])
    assert state.u[0] == 1 << 23


def test_voltage_clips_one_below_the_limit_on_both_sides() -> None:
    _, up = one(Lif((1,), du=4095, dv=0, vth=NEVER), *[100_000] * 4)
    _, down = one(Lif((1,), du=4095, dv=0, vth=NEVER), *[-100_000] * 4)
    assert up[-1] == STATE_LIMIT - 1
    assert down[-1] == 1 - STATE_LIMIT


def test_decay_rounds_towards_zero() -> None:
    x = np.array([1, -1, 4095, -4095, 10_000, -10_000], np.int32)
    np.testing.assert_array_equal(decay(x, 1), [0, 0, 4094, -4094, 9997, -9997])


def test_threshold_is_strict() -> None:
    assert one(Lif((1,), du=4095, dv=0, vth=10), 10, 0, 1) == ([0, 0, 1], [640, 640, 0])


def test_reset_to_zero_by_subtraction_and_delayed() -> None:
    drive = (25, 0, 0)  # 2.5 thresholds at once
    assert one(Lif((1,), du=4095, dv=0, vth=10, reset="zero"), *drive) == ([1, 0, 0], [0, 0, 0])
    assert one(Lif((1,), du=4095, dv=0, vth=10, reset="subtract"), *drive) == ([1, 1, 0], [960, 320, 320])
    assert one(Lif((1,), du=4095, dv=0, vth=10, reset="subtract_delayed"), *drive) == ([1, 1, 0], [1600, 960, 320])


def test_a_delayed_subtraction_is_taken_before_the_threshold() -> None:
    """25 then 0 fires twice delayed by decay: snnTorch takes theta from the decayed voltage, not from what is left after it."""
    assert one(Lif((1,), du=4095, dv=2048, vth=10, reset="subtract_delayed"), 18, 10)[0] == [1, 0]
    assert one(Lif((1,), du=4095, dv=2048, vth=10, reset="subtract"), 18, 10)[0] == [1, 1]


def test_an_undelayed_subtraction_asks_for_twice_the_threshold_above_the_threshold() -> None:
    lif = Lif((1,), du=4095, dv=0, vth=10, reset="subtract_undelayed")
    assert one(lif, 25, 6, 0, -2, 2) == ([1, 1, 0, 0, 1], [960, 704, 704, 576, 64])


def test_delayed_resets_to_zero_drop_the_next_voltage_or_the_stored_one() -> None:
    lif, drive = Lif((1,), du=4095, dv=2048, vth=10), (18, 30, 4, 8)
    assert one(replace(lif, reset="zero_delayed"), *drive) == ([1, 0, 0, 0], [1152, 0, 256, 640])
    assert one(replace(lif, reset="zero_stored"), *drive) == ([1, 1, 0, 0], [1152, 1920, 256, 640])
    assert one(lif, *drive) == ([1, 1, 0, 0], [0, 0, 256, 640])
    slow = Lif((1,), du=2047, dv=4095, vth=10, reset="zero_delayed")  # half of the current stays, and goes on through the reset
    assert one(slow, 40, 0, 0) == ([1, 0, 0], [2560, 0, 640])


def test_bias_reaches_its_documented_ends() -> None:
    assert one(Lif((1,), du=4095, dv=0, vth=NEVER, bias_mant=-4096, bias_exp=7), 0)[1] == [-4096 * 128]
    assert one(Lif((1,), du=4095, dv=0, vth=NEVER, bias_mant=4095, bias_exp=7), 0)[1] == [4095 * 128]


def test_per_neuron_parameters_act_per_neuron() -> None:
    lif = Lif((2,), du=4095, dv=np.array([0, 4095], np.int32), vth=np.array([5, 50], np.int32))
    spikes, _ = run(lif, np.full((2, 1, 2), 4, np.int32))
    np.testing.assert_array_equal(spikes[:, 0], [[False, False], [True, False]])


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"du": 4096}, "du=4096 is outside its register"),
        ({"dv": -1}, "dv=-1 is outside"),
        ({"vth": NEVER + 1}, "vth=131073 is outside"),
        ({"bias_mant": 4096}, "bias_mant=4096 is outside"),
        ({"bias_exp": 8}, "bias_exp=8 is outside"),
        ({"vth": 1.5}, "vth holds float64 values"),
        ({"vth": np.array([1, 2], np.int32)}, r"vth has shape \(2,\), the population \(1,\)"),
        ({"reset": "none"}, "reset='none' is none of zero, subtract, subtract_delayed, subtract_undelayed, zero_delayed, zero_stored"),
    ],
)
def test_parameters_must_fit_their_registers(parameters: dict, message: str) -> None:
    with pytest.raises(FixedPointError, match=message):
        Lif((1,), **{"du": 0, "dv": 0, "vth": 1, **parameters})


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int64, np.uint64])
def test_registers_of_any_integer_type_are_the_same_numbers(dtype: type) -> None:
    """100 << 6 and 120 << 4 leave 8 bits."""
    given = {"du": 100, "dv": 50, "vth": 100, "bias_mant": 120, "bias_exp": 4}
    arrays = {name: np.full(2, value, dtype) for name, value in given.items()}
    scalars = Lif((2,), **{name: dtype(value) for name, value in given.items()})
    lif = Lif((2,), **arrays)
    arrays["vth"][:] = 1
    inputs = np.full((5, 1, 2), 30, np.int32)
    expected = run(Lif((2,), **given), inputs)
    assert expected[0].any() and not expected[0].all()
    for held in (lif, scalars):
        for ours, theirs in zip(run(held, inputs), expected):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="read-only"):
        lif.vth[:] = 1
