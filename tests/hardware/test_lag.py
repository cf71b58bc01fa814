"""A lag is a delay that belongs to the network: it moves spikes within the window, and the window not."""

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import Connection, Constant, Dense, Lif, Output, Program, Sparse, SpikeInput
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ranges import state_peaks
from snnfuse.hardware.reference import emulate
from snnfuse.hardware.storage import load_program, save_program

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
