"""The overflow proof: bounds hold and are reached, witnesses overflow, and nothing that is proved safe ever does."""

from typing import get_args

import numpy as np
import pytest

from benchmarks.overflow import contradictions, random_network
from snnfuse.hardware import Connection, Conv2d, Dense, GradedInput, Lif, Output, Program, Sparse, SpikeInput
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.ir.graded import Product, Relay
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.overflow import counts, find_witness, prove, state_bounds
from snnfuse.hardware.overflow.raw_states import excess, raw_states
from snnfuse.hardware.overflow.weighted_sums import extreme_sums


def one_neuron(weight: int = 100, exponent: int = 0, source=None, **parameters) -> Program:
    nodes = {"in": source or SpikeInput((1,)), "n": Lif((1,), **{"du": 4095, "dv": 0, "vth": 1 << 17, **parameters})}
    return Program(nodes, (Connection("in", "n", Dense(np.array([[weight]], np.int32), exponent)),), {"out": Output("n")})


def all_sequences(steps: int) -> np.ndarray:
    """Every binary input of so many steps, (steps, 2**steps, 1)."""
    return (np.arange(2**steps)[None, :, None] >> np.arange(steps)[:, None, None]) & 1


@pytest.mark.parametrize("du,weight", [(-1, 30), (-1, -3), (0, 30), (7, 1), (7, -3), (400, 250), (400, -255), (4095, -1)])
def test_a_held_input_brings_the_current_to_its_bound(du, weight):
    program = one_neuron(weight, du=du)
    steps = {-1: 4000, 0: 40000}.get(du, 6000)  # ten time constants; without a leak it would wrap
    run = emulate(program, {"in": np.ones((steps, 1, 1), np.int32)}, "all", states=True)
    reached = raw_states(program, run, "n", 0)["u"]
    bound = state_bounds(program, steps=None if du >= 0 else steps)["n"].u
    assert (reached.min(), reached.max()) == ((bound.low[0], weight * 64) if weight < 0 else (weight * 64, bound.high[0]))


@pytest.mark.parametrize("reset", get_args(Reset))
@pytest.mark.parametrize("du,dv,vth,weight,bias", [(4095, 0, 3, 2, 0), (900, 300, 5, 4, 0), (4095, 2000, 4, -3, 50), (100, 90, 20, 5, -40),
                                                   (4095, 100, 2, 7, 100), (4095, 0, 1, 100, 0)])  # fmt: skip
def test_no_input_leaves_the_bounds_of_any_state(reset, du, dv, vth, weight, bias):
    program = one_neuron(weight, du=du, dv=dv, vth=vth, bias_mant=bias, reset=reset)
    run = emulate(program, {"in": all_sequences(12)}, "all", states=True)
    raw = raw_states(program, run, "n", 0)
    for bounds in (state_bounds(program)["n"], state_bounds(program, steps=12)["n"]):
        assert bounds.u.low[0] <= raw["u"].min() and raw["u"].max() <= bounds.u.high[0]
        assert bounds.v.low[0] <= raw["v"].min() and raw["v"].max() <= bounds.v.high[0]


def test_the_window_bounds_what_never_leaks():
    program = one_neuron(100, dv=0)
    assert state_bounds(program, steps=10)["n"].v.high[0] == 10 * 6400
    verdicts = {v.event: v for v in prove(program)}
    assert verdicts["v clips high"].status == "witnessed"
    assert verdicts["v clips high"].witness.time == -(-(2**23) // 6400) - 1  # the first step at which 6400 per step add up beyond
    assert verdicts["u wraps"].status == verdicts["v clips low"].status == "impossible"
    assert counts(prove(program, steps=1310))["impossible"] == 3


@pytest.mark.parametrize("weight,event", [(254, "u wraps"), (-255, "u wraps")])
def test_a_wrap_is_witnessed_by_inputs_that_the_reference_confirms(weight, event):
    program = one_neuron(weight, exponent=6, du=300, dv=4095, vth=10)
    witness = find_witness(program, "n", 0, event)
    run = emulate(program, witness.events, "all", states=True)
    assert excess(program, run, "n", 0, event)[witness.time] > 0
    assert len(witness.events["in"]) == witness.time + 1


def test_wrap_clip_above_and_clip_below_are_told_apart():
    statuses = {v.event: v.status for v in prove(one_neuron(-200, dv=1))}
    assert statuses == {"u wraps": "impossible", "v clips high": "impossible", "v clips low": "witnessed"}


def test_a_voltage_clipped_above_is_harmless_only_where_it_fires_and_resets_to_zero():
    strong = {"exponent": 7, "du": 4095, "dv": 0, "bias_mant": 4095, "bias_exp": 7}
    by_reset = {
        reset: prove(one_neuron(254, vth=131071, reset=reset, source=GradedInput((1,), 3, 1.0), **strong)) for reset in ("zero", "subtract")
    }
    assert [next(v for v in verdicts if v.event == "v clips high").harmless for verdicts in by_reset.values()] == [True, False]
    readout = prove(one_neuron(254, source=GradedInput((1,), 3, 1.0), **strong))
    assert not next(v for v in readout if v.event == "v clips high").harmless


def test_a_population_that_cannot_fire_feeds_nothing():
    nodes = {"in": SpikeInput((1,)), "quiet": Lif((1,), du=4095, dv=4095, vth=1000), "n": Lif((1,), du=-1, dv=0, vth=10)}
    links = [Connection(a, b, Dense(np.array([[200]], np.int32))) for a, b in (("in", "quiet"), ("quiet", "n"))]
    assert counts(prove(Program(nodes, tuple(links), {}), search=False)) == {"impossible": 6, "witnessed": 0, "undecided": 0}


def test_a_rate_that_a_reset_limits_bounds_the_current_behind_it():
    """Two spikes of the input make one of "slow", whose spikes are two steps apart at least."""
    nodes = {"in": SpikeInput((1,)), "slow": Lif((1,), du=4095, dv=0, vth=150), "n": Lif((1,), du=0, dv=4095, vth=10)}
    links = (Connection("in", "slow", Dense(np.array([[100]], np.int32))), Connection("slow", "n", Dense(np.array([[20]], np.int32))))
    program = Program(nodes, links, {})
    run = emulate(program, {"in": np.ones((40000, 1, 1), np.int32)}, "all", states=True)
    reached, bound = raw_states(program, run, "n", 0)["u"].max(), state_bounds(program)["n"].u.high[0]
    assert reached <= bound < 1.01 * reached


def test_products_and_relays_that_outgrow_a_message_are_witnessed():
    wide = GradedInput((2,), 20, 1.0)
    identity = Dense(np.eye(2, dtype=np.int32))
    nodes = {"a": wide, "b": GradedInput((2,), 4, 1.0), "p": Product((2,)), "sum": Relay((2,))}
    links = (Connection("a", "p", identity), Connection("b", "p", identity, port=1), Connection("p", "sum", identity),
             Connection("sum", "sum", identity))  # fmt: skip
    program = Program(nodes, links, {})
    bounds = state_bounds(program, steps=3)
    assert bounds["p"].payload.high.tolist() == [7 * wide.limit] * 2
    assert bounds["sum"].payload.high.tolist() == [3 * 7 * wide.limit] * 2
    verdicts = {v.node: v for v in prove(program)}
    assert verdicts["p"].status == "impossible" and verdicts["sum"].status == "witnessed"


@pytest.mark.parametrize("options", [{}, {"stride": (2, 1), "padding": (1, 0)}, {"dilation": (1, 2), "padding": (2, 2)}, {"groups": 2}])
def test_a_convolution_is_bounded_as_the_matrix_it_is(options):
    rng = np.random.default_rng(0)
    weights = 2 * rng.integers(-128, 127, (4, 4 // options.get("groups", 1), 3, 2)).astype(np.int32)
    conv = Conv2d(weights, (4, 6, 5), **options)
    written = Sparse(conv.matrix())
    low, high = np.sort(rng.integers(-9, 10, (2, conv.size[1])), axis=0)
    assert all((a == b).all() for a, b in zip(extreme_sums(conv, low, high), extreme_sums(written, low, high)))
    for top in (1, 2**31 - 1):  # below 2**53 in float64, and beyond
        messages = rng.integers(-top, top + 1, (700, conv.size[1])).astype(np.int32)
        exact = messages.astype(object) @ conv.matrix().toarray().astype(object).T
        assert (conv.times(messages) == exact).all()
        assert (written.times(messages) == exact).all()
    scores = rng.integers(-9, 10, conv.size[0])
    assert (conv.transposed_times(scores) == written.transposed_times(scores)).all()
    dense = conv.matrix().toarray()
    for target in (0, conv.size[0] // 2, conv.size[0] - 1):
        columns, values = conv.row(target)
        assert (dense[target, columns] == values).all() and np.abs(dense[target]).sum() == np.abs(values).sum()


def fuzz(networks: range) -> tuple[int, int, list[str]]:
    """Networks, those left open where it matters, and contradictions."""
    open_, wrong = 0, []
    for i in networks:
        rng = np.random.default_rng((0, i))
        program = random_network(rng)
        verdicts = prove(program, seed=i)
        wrong += contradictions(program, verdicts, rng)
        open_ += any(v.status == "undecided" and not v.harmless for v in verdicts)
    return len(networks), open_, wrong


def test_random_networks_never_contradict_a_verdict():
    _, _, wrong = fuzz(range(8))
    assert wrong == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_random_networks_are_decided_but_for_a_fifth_and_never_contradicted():
    networks, open_, wrong = fuzz(range(1000))
    assert wrong == []
    assert open_ < 0.2 * networks
