"""Products and relays: their arithmetic against plain Python integers, what the program refuses, and accumulators."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import Connection, Dense, GradedInput, Lif, Output, Product, Program, Relay, Sparse, SpikeInput, compare
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.errors import FixedPointError, InputError, UnsupportedError
from snnfuse.hardware.overflow.observed import Payloads, check_no_wrap, payloads

LOW, HIGH = -(2**31), 2**31 - 1
CORNERS = (LOW, LOW + 1, -65536, -46341, -3, -1, 0, 1, 2, 7, 46341, 65536, HIGH)


def int32(value: int) -> int:
    """The low 32 bits of a Python integer."""
    return (value + 2**31) % 2**32 - 2**31


@pytest.mark.parametrize("exponent", [0, 1, 7, 31])
def test_a_product_is_that_of_int32_arithmetic(exponent: int) -> None:
    a0, a1 = (x.astype(np.int32).reshape(1, -1) for x in np.meshgrid(CORNERS, CORNERS))
    sent = Product((a0.size,), exponent).step((), [a0, a1])[0]
    expected = [int32(int(x) * int(y)) >> exponent for x, y in zip(a0[0], a1[0])]
    assert sent.dtype == np.int32
    assert sent[0].tolist() == [0 if v == LOW else v for v in expected]


def test_a_relay_sends_what_arrives_but_the_one_number_without_a_magnitude() -> None:
    a = np.array([CORNERS], np.int32)
    assert Relay((a.size,)).step((), [a])[0][0].tolist() == [0, *CORNERS[1:]]


@pytest.mark.parametrize("exponent", [-1, 32, 1.5])
def test_the_exponent_is_checked(exponent: float) -> None:
    with pytest.raises(FixedPointError, match="product exponent"):
        Product((1,), exponent)  # type: ignore[arg-type]


def identity(size: int) -> Sparse:
    return Sparse(sparse.identity(size, np.int32, "csr"))


def ones(out: int, source: int) -> Dense:
    return Dense(np.ones((out, source), np.int32))


@pytest.fixture
def program() -> Program:
    """k and q are spikes, x a number: sums of x k over time, times q."""
    nodes = {"k": SpikeInput((3,)), "q": SpikeInput((3,)), "x": GradedInput((3,), 12, 0.5)}
    nodes |= {"kx": Product((3,)), "sum": Relay((3,)), "qs": Product((3,), 1), "out": Lif((1,), 4095, 0, 2**17)}
    return Program(
        nodes,
        (
            Connection("k", "kx", identity(3)),
            Connection("x", "kx", identity(3), port=1),
            Connection("kx", "sum", identity(3)),
            Connection("sum", "sum", identity(3)),
            Connection("q", "qs", identity(3), delay=2),
            Connection("sum", "qs", identity(3), port=1),
            Connection("qs", "out", ones(1, 3)),
        ),
        {"o": Output("out", "membrane_last")},
    )


@pytest.fixture
def events() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    size = (7, 4, 3)
    return {"k": rng.integers(0, 2, size), "q": rng.integers(0, 2, size), "x": rng.integers(-2047, 2048, size)}


def test_a_relay_onto_itself_accumulates_from_the_start_of_each_window(program: Program, events: dict) -> None:
    run = emulate(program, events, "all", states=True)
    total = np.cumsum(events["k"] * events["x"], axis=0)
    np.testing.assert_array_equal(run.spikes["sum"], total)
    np.testing.assert_array_equal(run.spikes["qs"], (events["q"] * total) >> 1)
    np.testing.assert_array_equal(run.states["out"]["v"][..., 0], np.cumsum(64 * run.spikes["qs"].sum(-1), axis=0))
    assert program.latency == {"k": 0, "q": 0, "x": 0, "kx": 1, "sum": 2, "qs": 3, "out": 4}
    assert {name: spikes.dtype for name, spikes in run.spikes.items()} == {
        "kx": np.int32,
        "sum": np.int32,
        "qs": np.int32,
        "out": np.bool_,
        "o": np.bool_,
    }
    assert set(run.states) == {"out"}  # a graded neuron has none


def test_a_number_that_differs_is_found(program: Program, events: dict) -> None:
    run = emulate(program, events, "all")
    changed = run.spikes["kx"].copy()
    changed[2, 1, 0] += 1
    first = compare(run, replace(run, spikes={**run.spikes, "kx": changed})).first
    assert first is not None and first.values[1] == first.values[0] + 1
    assert (first.node, first.time, first.batch, first.neuron) == ("kx", 2, 1, 0)


@pytest.mark.parametrize(
    "connection, message",
    [
        (Connection("k", "sum", identity(3), 1, port=1), "k -> sum: the target has no port 1; a Relay has 0"),
        (Connection("k", "kx", identity(3), port=2), "k -> kx: the target has no port 2"),
        (Connection("k", "kx", identity(3), 1, port=1), "paths into 'kx' are not matched in time: k after 1, x after 1, k after 2"),
    ],
)
def test_ports_are_checked_and_matched(program: Program, connection: Connection, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(program, connections=(*program.connections, connection))


@pytest.mark.parametrize("port", [0, 1])
def test_a_product_needs_both_factors(program: Program, port: int) -> None:
    kept = tuple(c for c in program.connections if (c.target, c.port) != ("kx", port))
    with pytest.raises(InputError, match=f"product 'kx' has no connection into its port {port}; it needs all 2 of them"):
        replace(program, connections=kept)


def test_a_decoder_reads_no_graded_spikes(program: Program) -> None:
    with pytest.raises(InputError, match="output 'o' reads 'qs', whose graded spikes no decoder counts; connect it to a Lif with vth"):
        replace(program, outputs={"o": Output("qs")})


def test_payloads_that_leave_a_message_are_reported_and_refused() -> None:
    """An accumulator of a number that takes one step to fill 23 bits, and its square."""

    def squared(weight: int) -> Program:
        nodes = {"x": GradedInput((1,), 16, 1.0), "sum": Relay((1,)), "square": Product((1,))}
        into = Dense(np.array([[weight]], np.int32), exponent=0)
        links = (Connection("x", "sum", into), Connection("sum", "sum", ones(1, 1)))
        return Program(nodes, (*links, *(Connection("sum", "square", ones(1, 1), port=port) for port in (0, 1))), {})

    steps = {"x": np.full((4, 1, 1), 2**15 - 1)}
    large, small = squared(80), {"x": np.full((4, 1, 1), 9)}
    run = emulate(large, steps, "all")
    sent = 80 * (2**15 - 1) * np.arange(1, 5)
    squares = [int32(int(v) ** 2) for v in sent]
    found = payloads(large, steps, run)
    assert found["sum"] == Payloads(sent[-1], int((sent >= 2**23).sum()), 0) and found["sum"].beyond == 1
    assert found["square"] == Payloads(max(map(abs, squares)), sum(abs(v) >= 2**23 for v in squares), 4)
    assert payloads(squared(1), small, emulate(squared(1), small, "all"))["square"] == Payloads(36**2, 0, 0)
    with pytest.raises(UnsupportedError, match="'sum': 1 graded spikes, up to 10485440, leave the 24 bits of a message, and 0 sums"):
        check_no_wrap(large, steps, run)
    assert check_no_wrap(squared(1), small, emulate(squared(1), small, "all")) == {}
