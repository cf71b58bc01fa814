"""The emulator equals the reference: every spike and every state, at the ends of every register, however a run is cut up."""

import time
from itertools import product
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import Case, cases
from scipy import sparse

from snnfuse.hardware import (
    BiasedLif,
    BiasInput,
    Connection,
    Constant,
    Conv2d,
    Dense,
    Diagonal,
    GradedInput,
    Lif,
    Output,
    Program,
    Recording,
    Sparse,
    SpikeInput,
    emulate,
)
from snnfuse.hardware.backends.emulator import plan, run_state
from snnfuse.hardware.backends.emulator.run_state import Session, plan_of
from snnfuse.hardware.backends.reference import emulate as reference
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.lif import Reset

RESETS = get_args(Reset)


def assert_equal(found: Recording, expected: Recording) -> None:
    """Everything recorded, with its type."""
    assert set(found.spikes) == set(expected.spikes)
    assert set(found.states) == set(expected.states)
    for name, spikes in expected.spikes.items():
        assert found.spikes[name].dtype == spikes.dtype
        np.testing.assert_array_equal(found.spikes[name], spikes, err_msg=name)
    for name, states in expected.states.items():
        assert found.states[name].keys() == states.keys()
        for variable in states:
            assert found.states[name][variable].dtype == np.int32
            np.testing.assert_array_equal(found.states[name][variable], states[variable], err_msg=f"{variable} of {name}")
    assert found.latency == expected.latency


def check(program: Program, events: dict, **settings) -> Recording:
    """Run both, compare everything, and return the recording."""
    expected = reference(program, events, "all", states=True)
    assert_equal(emulate(program, events, "all", states=True, **settings), expected)
    return expected


def weights(rng: np.random.Generator, mode: str, shape: tuple[int, ...]) -> np.ndarray:
    """Any of a sign mode's weights, its ends among them."""
    low, high, step = {"mixed": (-128, 127, 2), "excitatory": (0, 255, 1), "inhibitory": (-255, 0, 1)}[mode]
    values = rng.integers(low, high + 1, shape) * step
    values.flat[: min(2, values.size)] = [low * step, high * step][: min(2, values.size)]
    return values.astype(np.int32)


def one_layer(synapse, lif: Lif, graded: int = 0, shape: tuple[int, ...] | None = None, **links) -> Program:
    """One population behind one connection."""
    shape = shape or (synapse.size[1],)
    source = GradedInput(shape, graded, 1.0) if graded else SpikeInput(shape)
    return Program({"x": source, "n": lif}, (Connection("x", "n", synapse), *links.values()), {"o": Output("n")})


def draw(rng: np.random.Generator, program: Program, time: int, batch: int, density: float = 0.5) -> dict:
    found = {}
    for name, node in program.inputs.items():
        size = (time, batch, *node.shape)
        limit = node.limit if isinstance(node, GradedInput) else 1
        values = rng.integers(-limit, limit + 1, size) if isinstance(node, GradedInput) else np.ones(size)
        found[name] = (values * (rng.random(size) < density)).astype(np.int32)
    return found


@settings(max_examples=60, deadline=None)
@given(case=cases(), threads=st.integers(1, 2), cut=st.integers(0, 12))
def test_random_programs(case: Case, threads: int, cut: int) -> None:
    """Whole, and cut in two at any step, the second part beginning with what the first one left."""
    program, events = case
    expected = check(program, events, threads=threads)
    time, batch = next(iter(events.values())).shape[:2]
    if 0 < cut < time:
        session = Session(program, batch, "all", True, threads=threads)
        parts = [session.advance({name: x[piece] for name, x in events.items()}) for piece in (slice(cut), slice(cut, None))]
        for name, spikes in expected.spikes.items():
            np.testing.assert_array_equal(np.concatenate([part.spikes[name] for part in parts]), spikes)


@pytest.mark.parametrize("reset, arrays", list(product(RESETS, [False, True])))
def test_states_at_the_ends_of_their_registers(reset: str, arrays: bool) -> None:
    """Currents that wrap at 24 and at 32 bits and stand outside their range, voltages that saturate, every decay and bias at its limit."""
    rng = np.random.default_rng(0)
    size = 37
    choices = {"du": (-1, 0, 1, 4094, 4095), "dv": (0, 1, 2048, 4095), "vth": (0, 1, 600, 2**17 - 1, 2**17)}
    choices |= {"bias_mant": (-4096, -1, 0, 4095), "bias_exp": (0, 7)}
    found: dict[str, set] = {"u": set(), "v": set()}
    for _ in range(12):
        picked = {k: rng.choice(v, size).astype(np.int32) if arrays else int(rng.choice(v)) for k, v in choices.items()}
        synapse = Dense(weights(rng, "mixed", (size, 9)), int(rng.choice([-8, 0, 7])))
        program = one_layer(synapse, Lif((size,), reset=reset, **picked), graded=24)
        states = check(program, draw(rng, program, 12, 2)).states["n"]
        found = {x: found[x] | {int(states[x].min()), int(states[x].max())} for x in "uv"}
    assert min(found["u"]) < -(2**30) and max(found["u"]) > 2**30
    assert {1 - 2**23, 2**23 - 1} <= found["v"]


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("weights, exponent", [([255, 255, 255, 255], 7), ([255, 255, 255, 255, 4], 7), ([-255, -255, -255, -254], 7)])
def test_both_sides_of_the_input_from_which_currents_need_more_than_one_wrap(reset: str, weights: list, exponent: int) -> None:
    """Sums up to 130,560 and down to -130,432 are known to stay below 2**17 = 131,072, 131,072 itself is not; all decays, u and v up to
    their limits, so that a decay that rounds to nearest, as floats usually do, would show."""
    rng, rows = np.random.default_rng(len(weights)), 48
    matrix = np.array([weights] * rows, np.int32)
    matrix -= np.sign(matrix) * np.minimum(np.arange(rows)[:, None], abs(matrix))
    for du, dv in [(0, 0), (1, 1), (17, 3), (4094, 4095), (4095, 4094), (int(rng.integers(4096)), int(rng.integers(4096)))]:
        program = one_layer(Dense(matrix, exponent), Lif((rows,), du, dv, 2**17 - 1, 4095, 3, reset))
        check(program, draw(rng, program, 60, 3))


@pytest.mark.parametrize("mode", ["mixed", "excitatory", "inhibitory"])
@pytest.mark.parametrize("sources, targets", [(2, 1), (257, 15), (1000, 16), (600, 177)])
def test_sums_that_leave_16_bits(mode: str, sources: int, targets: int) -> None:
    """All sources spike at once, with weights at their limits: as long as partial sums were kept in 16 bits, they would wrap."""
    rng = np.random.default_rng(1)
    matrix = weights(rng, mode, (targets, sources))
    matrix[0], matrix[-1] = matrix.min(), matrix.max()
    for exponent in (-8, -1, 0, 7):
        program = one_layer(Dense(matrix, exponent), Lif((targets,), 4095, 0, 2**17))
        states = check(program, {"x": np.ones((2, 1, sources), np.int32)}).states["n"]["u"]
    assert sources == 2 or np.abs(states).max() > 2**16


@pytest.mark.parametrize(
    "stride, padding, dilation",
    [
        ((2**22, 1), (0, 0), (1, 1)),
        ((2**22, 2**30), (1, 1), (1, 1)),
        ((5, 7), (40, 9), (20, 8)),
        ((2**20, 3), (2**21, 1), (2**21, 2)),
        ((2**21, 1), (2**21, 1), (2**21, 1)),
    ],
)
def test_a_plan_follows_the_sizes_that_exist(stride: tuple, padding: tuple, dilation: tuple) -> None:
    """Whatever stride, padding and dilation are: most taps of these meet no input, most positions no tap."""
    rng = np.random.default_rng(3)
    conv = Conv2d(weights(rng, "mixed", (6, 2, 3, 3)), (4, 7, 9), stride, padding, dilation, 2)
    program = one_layer(conv, Lif(conv.output_shape, 4095, 100, 300), 0, (4, 7, 9))
    start = time.process_time()
    made = plan.make_plan(program)
    assert time.process_time() - start < 5
    assert made.sums < 20_000
    check(program, draw(rng, program, 4, 2))


@pytest.mark.parametrize("mode", ["mixed", "excitatory", "inhibitory"])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(
    "kernel, stride, padding, dilation",
    [
        ((3, 3), (1, 1), (1, 1), (1, 1)),
        ((1, 1), (1, 1), (0, 0), (1, 1)),
        ((3, 2), (2, 3), (0, 1), (1, 1)),
        ((3, 3), (1, 2), (2, 3), (2, 2)),
        ((2, 4), (3, 1), (1, 5), (1, 3)),
        ((5, 5), (1, 1), (0, 0), (1, 1)),
    ],
)
def test_convolutions(mode: str, groups: int, kernel: tuple, stride: tuple, padding: tuple, dilation: tuple) -> None:
    """Binary and graded, with kernels on the border, steps that skip taps, groups, and channels that fill no vector."""
    rng = np.random.default_rng(2)
    for channels, graded in ((6, 0), (12, 5), (24, 24)):
        conv = Conv2d(weights(rng, mode, (channels, 6 // groups, *kernel)), (6, 7, 9), stride, padding, dilation, groups, exponent=-1)
        lif = Lif(conv.output_shape, 4095, 100, 300)
        program = one_layer(conv, lif, graded, (6, 7, 9))
        assert check(program, draw(rng, program, 4, 2)).states["n"]["u"].any()


@pytest.mark.parametrize("kernel", [(3, 3), (3, 1), (5, 3)])
@pytest.mark.parametrize("channels", [5, 8, 16, 32, 48, 64, 70])
def test_convolutions_of_every_width_whole_and_in_slices(channels: int, kernel: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of 8 to 64 weights, and what a slice of rows leaves out of the spikes around it."""
    monkeypatch.setattr(plan, "SMALLEST_SLICE", 1)
    rng = np.random.default_rng(channels)
    shape = (3, 7, 6)
    conv = Conv2d(weights(rng, "mixed", (channels, shape[0], *kernel)) // 8 * 2, shape, padding=(kernel[0] // 2, kernel[1] // 2))
    program = one_layer(conv, Lif(conv.output_shape, 1000, 100, 60), shape=shape)
    events = draw(rng, program, 8, 1, 0.3)
    check(program, events, threads=1)
    check(program, events, threads=3)
    assert len(plan_of(program, 3).rows["n"]) == 3


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("stride, padding, dilation", [((1, 1), (1, 1), (1, 1)), ((2, 3), (0, 2), (1, 1)), ((1, 2), (3, 0), (2, 1))])
def test_a_convolution_of_what_has_not_been_sent(
    threads: int, stride: tuple, padding: tuple, dilation: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly all sources spike, some steps all and some none: the others are taken off the sum of all, of slices too."""
    monkeypatch.setattr(plan, "SMALLEST_SLICE", 1)
    rng, shape = np.random.default_rng(4), (4, 9, 8)
    first = Conv2d(weights(rng, "mixed", (4, 2, 3, 3)) // 8 * 2, shape, padding=(1, 1), groups=2)
    conv = Conv2d(weights(rng, "mixed", (6, 4, 3, 3)) // 8 * 2, first.output_shape, stride, padding, dilation, exponent=-1)
    nodes = {"x": SpikeInput(shape), "a": Lif(shape, 4095, 0, 0, 4000), "b": Lif(conv.output_shape, 1000, 100, 600)}
    program = Program(nodes, (Connection("x", "a", first), Connection("a", "b", conv)), {"o": Output("b")})
    x = (rng.random((9, 1, *shape)) < rng.choice([0.0, 0.6, 0.9, 1.0], 9)[:, None, None, None, None]).astype(np.int32)
    found = check(program, {"x": x}, threads=threads)
    assert found.spikes["a"].mean() > 0.5 and 0.02 < found.spikes["b"].mean() < 0.98


@pytest.mark.parametrize("graded", [0, 8])
@pytest.mark.parametrize("weight, exponent", [(1, 0), (-254, -3), (97, 7)])
def test_one_to_one_synapses_of_one_weight(weight: int, exponent: int, graded: int) -> None:
    """Where all send and where some do."""
    rng = np.random.default_rng(5)
    program = one_layer(Diagonal(np.full(37, weight, np.int32), exponent), Lif((37,), 500, 100, 200), graded)
    for density in (0.4, 1.0):
        assert check(program, draw(rng, program, 6, 3, density)).states["n"]["u"].any()


def test_what_a_host_writes_is_read_once_and_checked_on_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of few steps; an image that changes is refused."""
    rng = np.random.default_rng(6)
    nodes = {"x": BiasInput((40,), 1 / 40), "n": BiasedLif((40,), 4095, 300, 25, bias_exp=6)}
    program = Program(nodes, (Connection("x", "n", Diagonal(np.ones(40, np.int32)), port=1),), {"o": Output("n")})
    x = np.repeat(rng.integers(-60, 90, (1, 3, 40)) * (rng.random((1, 3, 40)) < 0.7), 11, 0).astype(np.int32)
    monkeypatch.setattr(run_state, "LONGEST", 4)
    assert 0.05 < check(program, {"x": x}).spikes["n"].mean() < 0.95
    x[7, 1, 3] += 1
    with pytest.raises(InputError, match="change from step to step"):
        emulate(program, {"x": x})


def test_a_convolution_whose_sums_leave_16_bits() -> None:
    conv = Conv2d(np.full((2, 64, 3, 3), 254, np.int32) * np.array([1, -1], np.int32).reshape(2, 1, 1, 1), (64, 4, 4), padding=(1, 1))
    program = one_layer(conv, Lif(conv.output_shape, 4095, 0, 2**17), 0, (64, 4, 4))
    assert abs(check(program, {"x": np.ones((2, 2, 64, 4, 4), np.int32)}).states["n"]["v"]).max() > 64 * 2**16


def test_images_between_layers_keep_their_order() -> None:
    """Convolution to convolution, pooled by one, into dense, listed and recurrent connections, and two convolutions into one population."""
    rng = np.random.default_rng(3)
    first = Conv2d(weights(rng, "mixed", (5, 2, 3, 3)), (2, 8, 6), padding=(1, 1))
    pool = Conv2d(np.full((5, 1, 2, 2), 64, np.int32), (5, 8, 6), (2, 2), groups=5)
    other = Conv2d(weights(rng, "excitatory", (5, 2, 3, 3)), (2, 8, 6), (2, 2), (1, 1))
    listed = sparse.csr_matrix(weights(rng, "mixed", (60, 60)) * (rng.random((60, 60)) < 0.1))
    nodes = {"x": SpikeInput((2, 8, 6)), "a": Lif((5, 8, 6), 4095, 300, 400)}
    nodes |= {"b": Lif((5, 4, 3), 1000, 300, 200), "c": Lif((7,), 4095, 0, 500)}
    links = (
        Connection("x", "a", first),
        Connection("a", "b", pool),
        Connection("x", "b", other, delay=1),
        Connection("b", "b", Sparse(listed.astype(np.int32))),
        Connection("b", "b", Dense(weights(rng, "inhibitory", (60, 60)), -2)),
        Connection("b", "c", Dense(weights(rng, "mixed", (7, 60)))),
    )
    program = Program(nodes, links, {"o": Output("c", "membrane_last")})
    rates = [spikes.mean() for spikes in check(program, draw(rng, program, 9, 3)).spikes.values()]
    assert all(0.02 < rate < 0.98 for rate in rates)


def test_what_rests_wakes_up() -> None:
    """Long silence, a bias, a constant, and spikes that a population holds back for later, all beside populations that do nothing."""
    nodes = {"x": SpikeInput((3,)), "one": Constant((2,))}
    nodes |= {"idle": Lif((5,), 4095, 0, 9), "held": Lif((3,), 4095, 0, 3, reset="subtract"), "slow": Lif((20,), 4095, 0, 9, 7, 1)}
    nodes |= {"fed": Lif((4,), 100, 50, 90), "loop": Lif((3,), 4095, 500, 10)}
    links = (
        Connection("x", "held", Dense(np.full((3, 3), 20, np.int32))),
        Connection("x", "idle", Dense(np.zeros((5, 3), np.int32))),
        Connection("one", "fed", Dense(np.full((4, 2), 9, np.int32), 1)),
        Connection("x", "loop", Dense(np.full((3, 3), 12, np.int32)), lag=2),
        Connection("loop", "loop", Dense(np.array([[0, 0, 20], [20, 0, 0], [0, 20, 0]], np.int32)), lag=1),
    )
    program = Program(nodes, links, {"o": Output("held")})
    x = np.zeros((60, 2, 3), np.int32)
    x[20, 0, 1] = x[50, 1, 2] = 1
    spikes = check(program, {"x": x}).spikes
    assert spikes["held"].sum() > 6 and spikes["slow"].any() and spikes["fed"].any() and spikes["loop"].sum() > 10
    assert not spikes["idle"].any()


@pytest.mark.parametrize("decays", [4095, 1000])
def test_only_what_is_asked_for_is_recorded(decays: int) -> None:
    """A current that nobody records may be no state at all; one that is recorded is the same."""
    rng = np.random.default_rng(4)
    nodes = {"x": SpikeInput((20,)), "a": Lif((30,), decays, 100, 300), "b": Lif((4,), decays, 0, 2**17)}
    links = (Connection("x", "a", Dense(weights(rng, "mixed", (30, 20)))), Connection("a", "b", Dense(weights(rng, "mixed", (4, 30)))))
    program = Program(nodes, links, {"o": Output("b", "membrane_max")})
    events = draw(rng, program, 10, 2)
    for record, states in (("outputs", False), (["a"], True), ("all", False)):
        found = emulate(program, events, record, states)
        assert_equal(found, reference(program, events, record, states))
        assert found.backend == "emulator"
