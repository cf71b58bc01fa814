"""Bounds of every kind against their equations, neuron by neuron in Python's own integers: exactly, at the edges of every register."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Any, get_args

import lif_by_hand
import numpy as np
import pytest
from lif_by_hand import BEYOND

from snnfuse.hardware import Connection, Constant, Dense, Diagonal, GradedInput, Lif, Maximum, Product, Program, Relay, SpikeInput
from snnfuse.hardware.ir.bias_input import BiasedLif
from snnfuse.hardware.ir.inverse_root import InverseRoot
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.sigma_delta import Sigma
from snnfuse.hardware.overflow import state_bounds
from snnfuse.hardware.overflow.bounds import Event, Interval, NeuronBounds, Peaks, States
from snnfuse.hardware.overflow.graded import INVERSE_ROOT, MAXIMUM, PRODUCT, RELAY
from snnfuse.hardware.overflow.intervals import _Arriving, sums_over_time
from snnfuse.hardware.overflow.lif import BIASED_LIF, LIF
from snnfuse.hardware.overflow.rates import Rate, every_step, spike_rate

INT32 = 2**31
EDGES = (0, 1, 5, 63, 64, 2**17, 2**17 + 1, 2**18, 2**18 + 1, 2**23 - 1, 2**23, 2**25, 2**31 - 1, 2**31, 2**31 + 1, 2**33, BEYOND)


def interval(rows: Sequence[tuple[int, int]]) -> Interval:
    return Interval(*(np.array(ends, np.int64) for ends in zip(*rows, strict=True)))


def pairs(found: Interval) -> list[tuple[int, int]]:
    return list(zip(found.low.tolist(), found.high.tolist(), strict=True))


def drawn_intervals(rng: np.random.Generator, size: int, edges: Sequence[int] = EDGES) -> list[tuple[int, int]]:
    """Ends at an edge of some register, on either side of 0 or both on one."""
    ends = rng.choice([*edges, *(-e for e in edges)], (size, 2)) + rng.integers(-1, 2, (size, 2))
    return [(min(a, b), max(a, b)) for a, b in np.clip(ends, -BEYOND, BEYOND).tolist()]


@dataclass
class Given:
    """What arrives, given; keeps what is asked of it."""

    drives: Mapping[int, Interval]
    summed: Interval
    feeds_itself: bool = False
    assumed: list[tuple[Interval, Rate | None]] = field(default_factory=list)
    asked: list[tuple[float, int]] = field(default_factory=list)

    def drive(self, port: int = 0) -> Interval:
        return self.drives[port]

    def charged(self, kept: float, unit: int) -> Interval:
        self.asked.append((kept, unit))
        return self.summed

    def total(self, steps: int | None) -> Interval:
        raise NotImplementedError

    def assume(self, sent: Interval, rate: Rate | None = None) -> None:
        self.assumed.append((sent, rate))


@pytest.mark.parametrize("steps", [None, 1, 2, 5])
@pytest.mark.parametrize("reset", get_args(Reset))
def test_bounds_of_a_lif_are_those_of_its_equations(reset: str, steps: int | None) -> None:
    rng, size = np.random.default_rng([get_args(Reset).index(reset), steps or 0]), 400
    values = {
        "du": rng.choice([-1, 0, 7, 2047, 4095], size), "dv": rng.choice([0, 1, 300, 2048, 4095], size),
        "vth": rng.choice([0, 1, 10, 1000, 2**16, 2**17 - 1, 2**17], size), "bias_mant": rng.choice([0, 0, 3, -100, 4095, -4096], size),
        "bias_exp": rng.choice([0, 7, 2], size),
    }  # fmt: skip
    near = [*EDGES, *rng.integers(0, 300, 20).tolist(), *values["vth"].tolist()]
    a, written = (drawn_intervals(rng, size, edges) for edges in (near, [0, 1, 4095]))
    summed = drawn_intervals(rng, size, [2**23, 2**24, BEYOND, BEYOND])
    arrays = {name: value.astype(np.int32) for name, value in values.items()}
    parameters = [lif_by_hand.Parameters(reset, *row) for row in zip(*(values[n].tolist() for n in lif_by_hand.FIELDS), strict=True)]
    for kind, form, biases in (
        (Lif, LIF, [(p.bias(), p.bias()) for p in parameters]),
        (BiasedLif, BIASED_LIF, [(p.bias(low), p.bias(high)) for p, (low, high) in zip(parameters, written)]),
    ):
        node = kind((size,), **arrays, reset=reset)  # type: ignore[arg-type]
        given = Given({0: interval(a), 1: interval(written)}, interval(summed))
        found = form.bounds(node, given, steps)
        expected = [lif_by_hand.bounds(*row, steps) for row in zip(parameters, a, summed, biases)]
        assert pairs(found.u) == [each.u for each, _ in expected]
        assert pairs(found.v) == [each.v for each, _ in expected]
        assert found.fires.tolist() == [each.fires for each, _ in expected]
        assert pairs(found.sent) == [(0, int(each.fires)) for each, _ in expected]
        assert found.a is given.drives[0] and found.intervals == {"u": found.u, "v": found.v}
        gained = np.array([c for _, (_, c) in expected])
        rate = spike_rate(gained, values["dv"], 64 * values["vth"], reset)  # type: ignore[arg-type]
        assert (found.rate.first.tolist(), found.rate.every.tolist()) == (rate.first.tolist(), rate.every.tolist())


def test_a_lif_that_feeds_itself_is_narrowed_in_four_rounds() -> None:
    node = Lif((2,), np.array([1023, 2047], np.int32), 0, 1)
    for feeds_itself, rounds in ((False, 1), (True, 4)):
        given = Given({0: interval([(0, 5), (-1, 1)])}, interval([(-BEYOND, BEYOND)] * 2), feeds_itself)
        found = LIF.bounds(node, given, None)
        assert given.asked == [(0.75, 64)] * rounds  # the slowest current keeps three quarters; 64 times a sum of weights
        assert [pairs(sent) for sent, _ in given.assumed] == [[(0, 1)] * 2] + [pairs(found.sent)] * (rounds - 1)
        assert [rate is None for _, rate in given.assumed] == [True] + [False] * (rounds - 1)


def test_registers_end_where_they_do() -> None:
    """The current wraps at -2**23 and above 2**23, a voltage clips at either, and 24 bits of a message hold neither."""
    for end in (0, 2**23 - 2, 2**23 - 1, 2**23, 2**23 + 1):
        for low, high in ((-end, 0), (0, end)):
            bound = interval([(low, high)])
            possible = {event: bool(found.possible(bound)[0]) for event, found in {**LIF.events, **RELAY.events}.items()}
            assert possible == {
                "u wraps": low <= -(2**23) or high > 2**23, "v clips high": high >= 2**23, "v clips low": low <= -(2**23),
                "payload leaves its message": max(-low, high) >= 2**23,
            }  # fmt: skip
    assert LIF.events["u wraps"].farthest(interval([(-7, 5), (-5, 7)])).tolist() == [7, 7]


def test_only_a_voltage_that_fires_and_resets_to_zero_may_clip() -> None:
    below, never = np.array([1, 2**17 - 1], np.int32), np.array([1, 2**17], np.int32)
    for reset in get_args(Reset):
        for vth, event in ((below, "v clips high"), (never, "v clips high"), (below, "v clips low"), (below, "u wraps")):
            harmless = reset == "zero" and vth is below and event == "v clips high"
            assert LIF.is_harmless(Lif((2,), 0, 0, vth, reset=reset), event) is harmless


@pytest.mark.parametrize("kind", [Lif, BiasedLif])
@pytest.mark.parametrize("reset", get_args(Reset))
def test_raw_states_and_peaks_of_a_run(reset: str, kind: type[Lif]) -> None:
    rng, size, steps = np.random.default_rng(get_args(Reset).index(reset)), 40, 12
    form = LIF if kind is Lif else BIASED_LIF
    values = {
        "du": rng.choice([-1, 7, 4095], size), "dv": rng.choice([0, 300, 4095], size), "vth": rng.choice([1, 1000, 2**17 - 1, 2**17], size),
        "bias_mant": rng.choice([0, -100, 4095], size), "bias_exp": rng.choice([0, 7], size),
    }  # fmt: skip
    node = kind((size,), **{name: v.astype(np.int32) for name, v in values.items()}, reset=reset)  # type: ignore[arg-type]
    parameters = [lif_by_hand.Parameters(reset, *row) for row in zip(*(values[n].tolist() for n in lif_by_hand.FIELDS), strict=True)]
    a = rng.choice([0, 1, -3, 900, 2**17, -(2**17), 2**18], (steps, 1, size))
    written = np.repeat(rng.choice([0, 5, -5], (1, 1, size)), steps, 0) * (kind is BiasedLif)
    rows = []
    for neuron, p in enumerate(parameters):
        u = v = 0
        for t in range(steps):
            rows.append(lif_by_hand.step(p, u, v, int(a[t, 0, neuron]), int(written[t, 0, neuron])))
            u, v = rows[-1].u, rows[-1].v
    raw_u, u, raw_v, v, _ = (np.array(column).reshape(size, steps).T[:, None] for column in zip(*rows, strict=True))
    states = {"u": u.astype(np.int32), "v": v.astype(np.int32)}
    found, peaks = form.raw(node, [a, written], states), form.peaks(node, [a, written], states)
    assert (found["u"] == raw_u).all() and (found["v"] == raw_v).all()
    ends = int((v == 2**23 - 1).sum()), int((v == 1 - 2**23).sum())
    assert peaks == Peaks(int(np.abs(raw_u).max()), int((raw_u != u).sum()), *ends)


def product_by_hand(x: tuple[int, int], y: tuple[int, int], exponent: int) -> tuple[int, int]:
    corners = [a * b for a in x for b in y]
    inside = -INT32 <= min(corners) and max(corners) < INT32
    return (min(corners) >> exponent, max(corners) >> exponent) if inside else (-BEYOND, BEYOND)


def maximum_by_hand(x: tuple[int, int], y: tuple[int, int]) -> tuple[int, int]:
    inside = all(-INT32 <= low and high < INT32 for low, high in (x, y))
    return (max(x[0], y[0]), max(x[1], y[1])) if inside else (-BEYOND, BEYOND)


@pytest.mark.parametrize("exponent", [0, 1, 31])
def test_payloads_are_those_of_their_equations(exponent: int) -> None:
    rng, size = np.random.default_rng(exponent), 600
    x, y = (drawn_intervals(rng, size, [0, 1, 2, 7, 2**15, 2**16, 46341, 2**23 - 1, 2**23, 2**31 - 1, 2**31, 2**33]) for _ in range(2))
    x[:4], y[:4] = [(-(2**16), 5), (5, 2**16), (-(2**16), -1), (0, 2**15)], [(0, 2**15), (0, 2**15), (-1, 2**15), (0, 2**16)]
    ports = {0: interval(x), 1: interval(y)}
    expected = [product_by_hand(*row, exponent) for row in zip(x, y)]
    found = PRODUCT.bounds(Product((size,), exponent), Given(ports, ports[0]), None)
    assert pairs(found.payload) == expected and {True, False} == {high == BEYOND for _, high in expected}
    assert pairs(found.sent) == [(max(low, -INT32), min(high, INT32)) for low, high in expected]
    assert found.leaves_message.tolist() == [low <= -(2**23) or high >= 2**23 for low, high in expected]
    assert found.rate.every.tolist() == found.rate.first.tolist() == [1.0] * size
    found = MAXIMUM.bounds(Maximum((size,), 2), Given(ports, ports[0]), None)
    assert pairs(found.payload) == [maximum_by_hand(*row) for row in zip(x, y)]
    found = RELAY.bounds(Relay((size,)), Given(ports, ports[0]), None)
    assert pairs(found.payload) == x
    assert pairs(found.sent) == [each if -INT32 <= each[0] and each[1] < INT32 else (-INT32, INT32) for each in x]
    found = INVERSE_ROOT.bounds(InverseRoot((size,), 99), Given(ports, ports[0]), None)
    assert pairs(found.payload) == [(0, 99 * (high > 0 or low < -INT32)) for low, high in x]


@pytest.mark.parametrize("steps", [1, 2, 3, 4096, 4097, None])
def test_a_relay_that_feeds_itself_adds_up_as_many_steps_as_there_are(steps: int | None) -> None:
    each = [(-3, 5), (0, 1), (-2, 0), (0, 0)]
    nodes = {"g": GradedInput((4,), 4, 1.0), "r": Relay((4,))}
    links = tuple(Connection(source, "r", Diagonal(np.ones(4, np.int32))) for source in nodes)
    arriving = _Arriving(Program(nodes, links, {}), "r", {"g": interval(each)}, {}, {})
    found = pairs(RELAY.bounds(nodes["r"], arriving, steps).payload)
    counted = steps is not None and steps <= 4096
    assert found == ([(steps * low, steps * high) for low, high in each] if counted else [(-BEYOND, BEYOND)] * 4)
    still = _Arriving(Program(nodes, links, {}), "r", {"g": interval([(0, 0)] * 4)}, {}, {})
    assert pairs(RELAY.bounds(nodes["r"], still, steps).payload) == [(0, 0)] * 4
    for low, high in ((0, 1), (-1, 0)) if counted and steps < 10 else ():  # one end stays
        grows = _Arriving(Program(nodes, links, {}), "r", {"g": interval([(low, high)] * 4)}, {}, {})
        assert pairs(RELAY.bounds(nodes["r"], grows, steps).payload) == [(steps * low, steps * high)] * 4


def test_raw_payloads_and_their_wraps() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.choice([0, 1, -7, 46341, -(2**31), 2**31 - 1, 2**31, 2**33 + 5], (3, 2, 50)) for _ in range(2))
    low32 = np.vectorize(lif_by_hand.int32, otypes=[np.int64])
    product = low32(x) * low32(y)
    node = Product((50,), 3)
    assert (PRODUCT.raw(node, [x, y], {})["payload"] == product >> 3).all()
    assert PRODUCT.wraps(node, [x, y]) == sum(int((each != low32(each)).sum()) for each in (x, y, product))
    assert (RELAY.raw(Relay((50,)), [x], {})["payload"] == x).all() and RELAY.wraps(Relay((50,)), [x]) == int((x != low32(x)).sum())
    assert (MAXIMUM.raw(Maximum((50,), 2), [x, y], {})["payload"] == np.where(x > y, x, y)).all()
    root = InverseRoot((50,), 200)
    assert (INVERSE_ROOT.raw(root, [x], {})["payload"] == root.step((), [low32(x).astype(np.int32)])[0]).all()


class TwoValues(NeuronBounds):
    """Bounds of a kind with two states, of which one has a register that ends below only."""

    events = {"x leaves": Event("x", -5, 7), "y leaves": Event("y", low=-3)}

    def bounds(self, node: Any, arriving: Any, steps: int | None) -> Any:
        raise NotImplementedError

    def raw(self, node: Any, inputs: Sequence[np.ndarray], states: States) -> Mapping[str, np.ndarray]:
        return {"x": inputs[0], "y": inputs[1]}


def test_peaks_of_any_kind_count_values_beyond_each_end() -> None:
    x, y = np.array([[[-6, -5, 7, 8, 9, 0]]]), np.array([[[-4, -3, 99, 0, 0, 0]]])
    form = TwoValues()
    assert form.peaks(None, [x, y], {}) == Peaks(99, 0, 2, 2)
    assert form.peaks(None, [-x, y - 200], {}) == Peaks(204, 0, 0, 3 + 6)
    assert form.is_harmless(None, "x leaves") is False and form.leaks(None) == ()


def arriving_by_hand(links: Sequence[Connection], sent: Mapping[str, Interval], port: int, target: int) -> tuple[int, int]:
    """The sum at a port in one step, of one target."""
    low = high = 0
    for link in (c for c in links if c.port == port):
        weights, exponent = link.synapse.matrix()[target].tolist(), link.synapse.exponent
        ends = pairs(sent[link.source])
        if link.source == link.target or link.lag:  # nothing was sent before the first step
            ends = [(min(a, 0), max(b, 0)) for a, b in ends]
        least = sum(w * (a if w > 0 else b) for w, (a, b) in zip(weights, ends))
        most = sum(w * (b if w > 0 else a) for w, (a, b) in zip(weights, ends))
        inside = -INT32 <= least and most < INT32
        low += floor(least * 2**exponent) if inside else -BEYOND
        high += floor(most * 2**exponent) if inside else BEYOND
    return max(low, -BEYOND), min(high, BEYOND)


def over_time_by_hand(
    links: Sequence[Connection], sent: Mapping[str, Interval], target: int, times: Mapping[str, np.ndarray], steps: float
) -> tuple[float, float]:
    """Sums at port 0 of so many messages of each source; each step of a group with a negative exponent rounds down by less than 1."""
    low = high = 0.0
    for link in (c for c in links if c.port == 0):
        weights, exponent = link.synapse.matrix()[target].tolist(), link.synapse.exponent
        for w, (a, b), often in zip(weights, pairs(sent[link.source]), times[link.source].tolist()):
            a, b = min(a, 0), max(b, 0)
            low += w * (a if w > 0 else b) * often * 2.0**exponent if w * (a if w > 0 else b) else 0.0
            high += w * (b if w > 0 else a) * often * 2.0**exponent if w * (b if w > 0 else a) else 0.0
        low -= steps if exponent < 0 else 0.0
    return low, high


@pytest.mark.parametrize("seed", range(6))
def test_what_arrives_is_the_sum_over_every_synapse(seed: int) -> None:
    """Two sources and a population that feeds itself, some with a lag; weights of both signs, exponents of both."""
    rng = np.random.default_rng(seed)
    nodes = {"s": SpikeInput((3,)), "g": GradedInput((2,), 24, 1.0), "n": Lif((4,), 4095, 0, 1)}
    links = tuple(
        Connection(
            source, "n", Dense(2 * rng.integers(-128, 127, (4, nodes[source].size)), int(rng.choice([-8, -1, 0, 0, 1, 3, 7]))), lag=lag
        )
        for source, lag in (("s", 0), ("g", 0), ("s", 2), ("n", 0), ("g", 1))
    )
    sent = {"s": interval([(0, 1), (1, 1), (0, 0)]), "n": interval([(0, 1), (0, 0), (-2, 5), (1, 3)])}
    sent["g"] = interval(drawn_intervals(rng, 2, [0, 1, 9, 1000, 2**22, 2**23]))
    rates = {name: Rate(*rng.choice([1.0, 2.0, 3.0], (2, node.size))) for name, node in nodes.items()}
    totals = {"s": interval([(0, 7), (-2, 2), (0, 0)]), "n": interval([(-9, 9)] * 4)}  # its own is not known yet
    arriving = _Arriving(Program(nodes, links, {}), "n", sent, rates, totals)
    assert arriving.feeds_itself
    assert pairs(arriving.drive()) == [arriving_by_hand(links, sent, 0, target) for target in range(4)]
    for kept in (0.5, 0.9, 1.0):
        times = {name: rate.summed(kept) for name, rate in rates.items()}
        every = float(every_step(1).summed(kept)[0])
        expected = [over_time_by_hand(links, sent, target, times, every) for target in range(4)]
        slack = [1 + 1e-9 * max(-low, high) for low, high in expected]
        for unit in (1, 64):
            limits = [
                tuple(int(max(-BEYOND, min(BEYOND, x * unit))) for x in (low - d, high + d)) for (low, high), d in zip(expected, slack)
            ]
            assert pairs(arriving.charged(kept, unit)) == limits
    for steps in (1, 10, None):
        often = {"s": np.ones(3), **{name: np.full(nodes[name].size, np.inf if steps is None else steps) for name in ("g", "n")}}
        known = {**sent, "s": totals["s"]}
        expected = [over_time_by_hand(links, known, target, often, np.inf if steps is None else steps) for target in range(4)]
        limits = [tuple(int(max(-BEYOND, min(BEYOND, x))) for x in ends) for ends in expected]
        assert pairs(arriving.total(steps)) == limits
    arriving.assume(interval([(0, 0)] * 4))
    assert pairs(arriving.drive()) == [arriving_by_hand(links, {**sent, "n": interval([(0, 0)] * 4)}, 0, target) for target in range(4)]


@pytest.mark.parametrize("edge", [INT32 - 1, INT32, -INT32, -INT32 - 1])
def test_what_arrives_at_the_edges_of_32_bits(edge: int) -> None:
    nodes = {"g": GradedInput((2,), 24, 1.0), "n": Maximum((1,), 2)}
    links = tuple(Connection("g", "n", Dense(np.array([[2, 2]]), 1 - port), port=port) for port in (0, 1))
    odd = edge % 2
    sent = {"g": interval([(min(edge // 2, 0), max(edge // 2, 0)), (min(odd, 0), max(odd, 0))])}
    arriving = _Arriving(Program(nodes, links, {}), "n", sent, {"g": every_step(2)}, {})
    for port in (0, 1):
        assert pairs(arriving.drive(port)) == [arriving_by_hand(links, sent, port, 0)]
    assert not arriving.feeds_itself


def test_sources_send_what_their_kind_can() -> None:
    nodes = {"s": SpikeInput((1,)), "g": GradedInput((1,), 5, 1.0), "c": Constant(), "n": Relay((1,))}
    for source, ends in (("s", (0, 2)), ("g", (-30, 30)), ("c", (2, 2))):
        links = (Connection(source, "n", Dense(np.array([[2]]))),)
        program = Program({name: nodes[name] for name in (source, "n")}, links, {})
        if source != "c":
            assert pairs(state_bounds(program)["n"].payload) == [ends]
    both = Program(nodes, tuple(Connection(s, "n", Dense(np.array([[2]]))) for s in ("s", "g", "c")), {})
    assert pairs(state_bounds(both)["n"].payload) == [(-30 + 2, 30 + 2 + 2)]


def test_only_a_window_bounds_what_adds_up() -> None:
    one = Dense(np.array([[2]]))
    nodes = {"s": SpikeInput((1,)), "l": Lif((1,), 4095, 0, 1), "r": Relay((1,))}
    forward = (Connection("s", "l", one), Connection("s", "r", one))
    assert not sums_over_time(Program(nodes, forward, {}))
    assert not sums_over_time(Program(nodes, (*forward, Connection("l", "l", one)), {}))
    assert sums_over_time(Program(nodes, (*forward, Connection("l", "l", one), Connection("r", "r", one)), {}))
    adding = Program({**nodes, "sum": Sigma((1,))}, (*forward, Connection("r", "sum", one)), {})
    assert sums_over_time(adding)  # one of its populations
