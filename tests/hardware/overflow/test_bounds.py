"""Bounds against what they bound, counted out: charging, peaks of a run, ends of registers, and what arrives."""

import numpy as np
import pytest

from snnfuse.hardware import Connection, Dense, GradedInput, InverseRoot, Lif, Maximum, Output, Product, Program, SpikeInput
from snnfuse.hardware.overflow import state_bounds
from snnfuse.hardware.overflow.bounds import BEYOND, Event, Interval, spikes
from snnfuse.hardware.overflow.graded import INVERSE_ROOT, MAXIMUM
from snnfuse.hardware.overflow.intervals import _Arriving
from snnfuse.hardware.overflow.lif import LIF, charge, leak
from snnfuse.hardware.overflow.rates import every_step


def counted(c: int, d: int, steps: int) -> int:
    """The largest of x' = trunc(x (4096 - d) / 4096) + c from 0, in Python's own integers."""
    x, largest = 0, -(10**12)
    for _ in range(steps):
        scaled = x * (4096 - d)
        x = (abs(scaled) // 4096) * (1 if scaled >= 0 else -1) + c
        largest = max(largest, x)
    return largest


@pytest.mark.parametrize("d", [1, 7, 100, 4095, 4096])
def test_charging_without_end(d: int) -> None:
    c = np.array([-5, 0, 1, 2, 30, 999])
    expected = [counted(int(n), d, 100_000 // d + 10) for n in c]
    assert charge(c, np.full(6, d), None).tolist() == expected


@pytest.mark.parametrize("d", [0, 100, 4096])
def test_charging_for_some_steps(d: int) -> None:
    c = np.array([-5, 0, 1, 30, 10**7])
    for steps in (1, 2, 3, 9):
        assert charge(c, np.full(5, d), steps).tolist() == [counted(int(n), d, steps) for n in c]


def test_what_never_leaks_is_charged_beyond_every_register() -> None:
    assert charge(np.array([1, 0, -3]), np.zeros(3, np.int64), None).tolist() == [BEYOND, 0, -3]
    assert leak(np.array([-4097, 4097]), np.array([1, 1])).tolist() == [-4095, 4095]


def test_ends_of_a_register() -> None:
    event = Event("v", -10, 20)
    interval = Interval(np.array([-11, -10, 0, -3]), np.array([0, 20, 21, 5]))
    assert event.possible(interval).tolist() == [True, False, True, False]
    assert event.excess(np.array([-12, -10, 20, 23])).tolist() == [2, 0, 0, 3]
    assert event.farthest(interval).tolist() == [11, 20, 21, 5]
    assert event.signs == (1, -1) and Event("v", high=3).signs == (1,) and Event("v", low=3).signs == (-1,)
    assert [end.tolist() for end in spikes(np.array([True, False]))] == [[0, 0], [1, 0]]


def test_peaks_of_a_run() -> None:
    node = Lif((3,), du=4095, dv=0, vth=1)
    states = {
        "u": np.array([[[64, -128, 0]], [[6400, 0, 64 - 2**24]]], np.int32),
        "v": np.array([[[2**23 - 1, 1 - 2**23, 0]], [[2**23 - 1, 2**23 - 2, 2 - 2**23]]], np.int32),
    }
    found = LIF.peaks(node, [np.array([[[1, -2, 0]], [[100, 0, 1]]])], states)
    assert (found.current, found.wraps, found.clipped_high, found.clipped_low) == (6400, 1, 2, 1)


@pytest.mark.parametrize(("exponent", "rounded"), [(0, 0.0), (3, 0.0), (-2, 2.0)])
def test_what_arrives_over_time_and_leaks(exponent: int, rounded: float) -> None:
    """A source on every step, half of which is left after each: twice its weight, and a rounding down of less than 1 on every step."""
    node = Lif((2,), du=2047, dv=0, vth=1)
    links = tuple(Connection("s", "n", Dense(np.array(w, np.int32), exponent)) for w in ([[6, -8], [10, 0]], [[4, 4], [0, -20]]))
    program = Program({"s": SpikeInput((2,)), "n": node}, links, {"o": Output("n")})
    sent = {"s": spikes(np.ones(2, np.bool_))}
    arriving = _Arriving(program, "n", sent, {"s": every_step(2)}, {})
    scale = 2.0**exponent
    low, high = np.array([-8, -20]) * 2 * scale - 2 * rounded, np.array([6 + 4 + 4, 10]) * 2 * scale
    found = arriving.charged(0.5, 1)
    slack = 1 + 1e-9 * np.maximum(-low, high)
    assert found.low.tolist() == np.trunc(low - slack).tolist() and found.high.tolist() == np.trunc(high + slack).tolist()
    assert [end.tolist() for end in arriving.charged(0.5, 64)] == [
        np.trunc((low - slack) * 64).tolist(),
        np.trunc((high + slack) * 64).tolist(),
    ]
    step = arriving.drive()
    assert step.low.tolist() == [sum(int(np.floor(w * scale)) for w in row) for row in ([-8, 0], [0, -20])]
    assert step.high.tolist() == [sum(int(np.floor(w * scale)) for w in row) for row in ([6, 8], [10, 0])]
    total = arriving.total(10)
    each = 0.0 if exponent >= 0 else 10.0
    assert total.low.tolist() == np.trunc(np.array([-8, -20]) * 10 * scale - 2 * each).tolist()
    assert total.high.tolist() == np.trunc(np.array([14, 10]) * 10 * scale).tolist()


def test_products_at_the_edge_of_32_bits() -> None:
    for bits, exponent, expected in ((16, 0, 32767**2), (16, 1, 32767**2 >> 1), (17, 0, BEYOND)):
        nodes = {"a": GradedInput((1,), bits, 1.0), "p": Product((1,), exponent)}
        one = Dense(np.ones((1, 1), np.int32))
        program = Program(nodes, (Connection("a", "p", one), Connection("a", "p", one, port=1)), {})
        found = state_bounds(program)["p"].payload
        assert found.high.tolist() == [expected]
        assert found.low.tolist() == [-BEYOND if expected == BEYOND else -(32767**2) >> exponent]


def test_sums_that_may_wrap_may_be_anything() -> None:
    node, one = Lif((1,), du=4095, dv=0, vth=1), Connection("g", "n", Dense(np.array([[254, 254]], np.int32), 3))
    for bits, expected in ((22, 2 * 254 * (2**21 - 1) * 8), (24, BEYOND)):
        program = Program({"g": GradedInput((2,), bits, 1.0), "n": node}, (one,), {})
        bound = _arriving_of(program)
        assert (bound.low.tolist(), bound.high.tolist()) == ([-expected], [expected])


def _arriving_of(program: Program) -> Interval:
    low, high = program.inputs["g"].payloads
    return _Arriving(program, "n", {"g": Interval(np.full(2, low), np.full(2, high))}, {}, {}).drive()


def test_the_slowest_neuron_leaks_least() -> None:
    each = Lif((2,), np.array([5, 9], np.int32), np.array([7, 3], np.int32), 1)
    assert LIF.leaks(each) == (6, 3)
    for reset, vth, event, harmless in (
        ("zero", 2**17 - 1, "v clips high", True), ("zero", 2**17, "v clips high", False), ("subtract", 1, "v clips high", False),
        ("zero", 1, "v clips low", False), ("zero", 1, "u wraps", False),
    ):  # fmt: skip
        assert LIF.is_harmless(Lif((1,), 0, 0, vth, reset=reset), event) is harmless


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-(2**31), 2**31 - 1, (-3, 2**31 - 1)), (-(2**31) - 1, 5, (-BEYOND, BEYOND)), (-7, 2**31, (-BEYOND, BEYOND)), (-7, 5, (-3, 9))],
)
def test_the_largest_of_sums_that_may_wrap(low: int, high: int, expected: tuple[int, int]) -> None:
    ports = [Interval(np.array([low]), np.array([high])), Interval(np.array([-3]), np.array([9]))]
    for inputs in (ports, ports[::-1]):
        found = MAXIMUM.payload(Maximum((1,), 2), inputs)
        assert (found.low[0], found.high[0]) == expected


def test_roots_of_what_may_be_positive() -> None:
    node = InverseRoot((4,), 2047)
    found = INVERSE_ROOT.payload(node, [Interval(np.array([-5, -5, 0, -(2**31) - 1]), np.array([-1, 0, 1, -1]))])
    assert (found.low.tolist(), found.high.tolist()) == ([0, 0, 0, 0], [0, 0, 2047, 2047])
