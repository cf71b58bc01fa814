"""A lag is a delay that belongs to the network: it moves spikes within the window, and the window not."""

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import Connection, Constant, Conv2d, Dense, GradedInput, Lif, Output, Program, Sparse, SpikeInput, compare
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.backends.registry import BACKENDS, run_on
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.storage import load_program, save_program
from snnfuse.hardware.overflow.observed import state_peaks

RELAY = {"du": 4095, "dv": 0, "vth": 0}
ONE = Dense(np.ones((1, 1), np.int32))


def relay(*links: Connection, nodes: dict | None = None) -> Program:
    """x into y, which fires where anything arrives."""
    return Program({"x": SpikeInput((1,)), "y": Lif((1,), **RELAY)} | (nodes or {}), links, {"out": Output("y")})


def events(*steps: int, time: int = 9) -> dict[str, np.ndarray]:
    x = np.zeros((time, 1, 1), np.int32)
    x[list(steps)] = 1
    return {"x": x}


def fired(program: Program, x: dict[str, np.ndarray]) -> list[int]:
    return np.flatnonzero(emulate(program, x).spikes["out"][:, 0, 0]).tolist()


@pytest.mark.parametrize("lag", [0, 1, 5, 62])
def test_spikes_arrive_that_many_steps_later_within_the_window(lag: int) -> None:
    program = relay(Connection("x", "y", ONE, lag=lag))
    assert fired(program, events(0, 3)) == [t + lag for t in (0, 3) if t + lag < 9]
    assert program.latency["y"] == 1


def test_synapses_of_different_lag_join_in_one_window() -> None:
    program = relay(Connection("x", "y", ONE), Connection("x", "y", ONE, lag=4))
    assert fired(program, events(1)) == [1, 5]


def test_a_delay_is_latency_and_a_lag_is_not() -> None:
    program = relay(Connection("x", "y", ONE, delay=3, lag=2))
    assert program.latency["y"] == 4 and fired(program, events(1)) == [3]


def test_a_recurrent_lag_counts_from_the_step_that_the_synapse_takes() -> None:
    program = relay(Connection("x", "y", ONE), Connection("y", "y", ONE, lag=2))
    assert fired(program, events(0, time=10)) == [0, 3, 6, 9]


@pytest.mark.parametrize("link", [Connection("x", "y", ONE, lag=3), Connection("y", "y", ONE, lag=3)])
def test_nothing_wraps_where_nothing_is_large(link: Connection) -> None:
    """The peaks count a wrap wherever u is not what arrived: they must know when it arrived."""
    program = relay(Connection("x", "y", ONE), link)
    peaks = state_peaks(program, events(0, 1, 5))["y"]
    assert peaks.wraps == 0 and peaks.current == 64 * (1 if link.source == "x" else 2)


def test_a_lag_is_stored(tmp_path) -> None:
    save_program(relay(Connection("x", "y", Sparse(sparse.csr_matrix(np.ones((1, 1), np.int32))), delay=2, lag=60)), tmp_path)
    (link,) = load_program(tmp_path).connections
    assert (link.delay, link.lag) == (2, 60)


@pytest.mark.parametrize(("delay", "lag"), [(0, 63), (0, -1), (60, 3)])
def test_delay_and_lag_share_one_line(delay: int, lag: int) -> None:
    with pytest.raises(InputError, match=rf"lag of x -> y={lag} is outside its register \(0..{62 - delay}\)"):
        Connection("x", "y", ONE, delay=delay, lag=lag)


def test_a_constant_has_no_lag() -> None:
    with pytest.raises(InputError, match="connection one -> y: a constant spikes on every step, .* has no lag"):
        relay(Connection("one", "y", ONE, lag=1), nodes={"one": Constant()})


def every_kind() -> tuple[Program, dict[str, np.ndarray]]:
    """Lags of dense, listed, convolutional, recurrent and graded synapses, beside delays of paths and neurons that a bias fires."""
    rng = np.random.default_rng(0)

    def dense(out: int, source: int) -> Dense:
        return Dense(2 * rng.integers(-40, 60, (out, source), dtype=np.int32))

    def listed(out: int, source: int) -> Sparse:
        return Sparse(sparse.csr_matrix(dense(out, source).weights * (rng.random((out, source)) < 0.5)))

    nodes = {
        "x": SpikeInput((6,)),
        "g": GradedInput((6,), 6, 0.1),
        "image": SpikeInput((3, 4, 4)),
        "a": Lif((5,), 3000, 500, 60, 3, 2),
        "b": Lif((4,), 1000, 200, 80, -2, 3),
        "c": Lif((3,), 4095, 100, 50, 1, 4),
        "d": Lif((2, 3, 3), 4095, 100, 30),
    }
    links = (
        Connection("x", "a", dense(5, 6)),
        Connection("x", "a", listed(5, 6), lag=3),
        Connection("g", "a", dense(5, 6), lag=1),
        Connection("a", "a", dense(5, 5), lag=2),
        Connection("a", "a", listed(5, 5)),
        Connection("a", "b", dense(4, 5), delay=2),
        Connection("x", "b", dense(4, 6), delay=3, lag=5),
        Connection("b", "b", dense(4, 4), lag=1),
        Connection("b", "c", dense(3, 4), lag=20),
        Connection("b", "c", dense(3, 4), lag=2),
        Connection("image", "d", Conv2d(2 * rng.integers(-20, 30, (2, 3, 2, 2), dtype=np.int32), (3, 4, 4)), lag=4),
    )
    x = {name: (rng.random((15, 4, *nodes[name].shape)) < 0.4).astype(np.int32) for name in ("x", "image")}
    x["g"] = rng.integers(-31, 32, (15, 4, 6)).astype(np.int32)
    return Program(nodes, links, {"out": Output("c"), "image out": Output("d")}), x


@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "reference"])
def test_every_backend_lags_alike_sample_after_sample(backend: str) -> None:
    program, x = every_kind()
    expected = emulate(program, x, "all", states=True)
    assert all(0.1 < expected.spikes[name].mean() < 0.9 for name in program.neurons)
    result = compare(expected, run_on(backend, program, x, "all", states=True).recording)
    assert result.mismatches == 0 and result.compared == 3 * 15 * 4 * 30, result.first
