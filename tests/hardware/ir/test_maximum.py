"""Maxima over ports: against Python's max, what the program refuses, every backend, storage, bounds with a witness, and the chip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnfuse.hardware import Connection, Constant, Dense, GradedInput, Lif, Maximum, Output, Program, SpikeInput, compare
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.backends.registry import run_on
from snnfuse.hardware.chip import Demands, tier
from snnfuse.hardware.errors import FixedPointError, InputError, UnsupportedError
from snnfuse.hardware.ir.storage import load_program, save_program
from snnfuse.hardware.overflow import prove, state_bounds
from snnfuse.hardware.overflow.observed import check_no_wrap, payloads

LOW, HIGH = -(2**31), 2**31 - 1
CORNERS = (LOW, LOW + 1, -65536, -1, 0, 1, 2, 46341, HIGH)


def test_it_sends_the_largest_of_what_arrives() -> None:
    ports = [np.array([x.ravel()], np.int32) for x in np.meshgrid(CORNERS, CORNERS, CORNERS)]
    sent, state = Maximum((ports[0].size,), 3).step((), ports)
    expected = [max(each) for each in zip(*(port[0].tolist() for port in ports))]
    assert sent.dtype == np.int32 and state == ()
    assert sent[0].tolist() == [0 if v == LOW else v for v in expected]


@pytest.mark.parametrize("ports", [0, -1, 4097, 1.5])
def test_the_number_of_ports_is_checked(ports: float) -> None:
    with pytest.raises(FixedPointError, match="ports"):
        Maximum((1,), ports)  # type: ignore[arg-type]


def pooled(seed: int, ports: int) -> Program:
    """Spikes and numbers at every port, of several groups; a constant, a lag and a loop at one; a signed factor behind it."""
    rng = np.random.default_rng(seed)

    def dense(targets: int, sources: int, exponent: int = 0) -> Dense:
        return Dense(2 * rng.integers(-128, 128, (targets, sources)).astype(np.int32), exponent)

    nodes = {"s": SpikeInput((5,)), "g": GradedInput((6,), 16, 1.0), "one": Constant(), "m": Maximum((2, 3), ports)}
    nodes |= {"again": Maximum((4,)), "lif": Lif((6,), 500, 200, 40), "out": Lif((2,), 4095, 100, 1 << 17)}
    links = [Connection("s", "m", dense(6, 5, int(rng.integers(-8, 8))), port=port) for port in range(ports)]
    links += [Connection("g", "m", dense(6, 6, -3), port=port) for port in range(0, ports, 2)]
    links += [Connection("one", "m", dense(6, 1)), Connection("s", "m", dense(6, 5), port=ports - 1, lag=2)]
    links += [Connection("m", "m", dense(6, 6, -8), port=ports - 1), Connection("m", "again", dense(4, 6, -6))]
    links += [Connection("m", "again", dense(4, 6, -6), port=1), Connection("again", "lif", dense(6, 4, -8))]
    signs = np.diag(2 * rng.choice([-1, 1], 6)).astype(np.int32)
    links += [
        Connection("m", "lif", Dense(signs, -4), delay=1),
        Connection("lif", "lif", dense(6, 6)),
        Connection("lif", "out", dense(2, 6)),
    ]
    return Program(nodes, tuple(links), {"o": Output("out", "membrane_sum"), "spikes": Output("lif")})


def events(seed: int, time: int = 20, batch: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(100 + seed)
    wide = rng.integers(1 - 2**15, 2**15, (time, batch, 6)) >> rng.integers(0, 14, (time, batch, 6))
    return {"s": rng.integers(0, 2, (time, batch, 5)), "g": wide}


@pytest.mark.parametrize("ports", [1, 2, 4, 9])
def test_every_backend_gives_the_same_numbers(ports: int, tmp_path: Path) -> None:
    program, fed = pooled(ports, ports), events(ports)
    expected = emulate(program, fed, "all", states=True)
    assert 0 < expected.spikes["lif"].mean() < 1 and len(np.unique(expected.spikes["m"])) > 100
    save_program(program, tmp_path)
    for backend in ("emulator", "torch", *(["lava"] if ports == 4 else [])):
        found = compare(expected, run_on(backend, load_program(tmp_path), fed, "all", states=True).recording)
        assert found.mismatches == 0, (backend, found.first)


def test_every_port_must_be_fed_and_is_matched() -> None:
    program = pooled(0, 3)
    with pytest.raises(InputError, match="maximum 'm' has no connection into its port 1; it needs all 3 of them"):
        replace(program, connections=tuple(c for c in program.connections if (c.target, c.port) != ("m", 1)))
    with pytest.raises(InputError, match="s -> m: the target has no port 3"):
        replace(program, connections=(*program.connections, replace(program.connections[0], port=3)))
    with pytest.raises(InputError, match="output 'o' reads 'm', whose graded spikes no decoder counts"):
        replace(program, outputs={"o": Output("m")})


def two_ports(weights: tuple[int, int]) -> Program:
    nodes = {"x": GradedInput((1,), 16, 1.0), "m": Maximum((1,)), "out": Lif((1,), 4095, 0, 1 << 17)}
    into = [Connection("x", "m", Dense(np.array([[w]], np.int32)), port=port) for port, w in enumerate(weights)]
    return Program(nodes, (*into, Connection("m", "out", Dense(np.array([[1]], np.int32), -8))), {"o": Output("out", "membrane_last")})


def test_bounds_are_those_of_the_largest_and_a_message_that_overflows_is_shown() -> None:
    limit = 2**15 - 1
    payload = state_bounds(two_ports((100, -50)))["m"].intervals["payload"]
    assert (int(payload.low[0]), int(payload.high[0])) == (-50 * limit, 100 * limit)  # the bound of both ports alone
    assert next(v for v in prove(two_ports((254, -128)), steps=4) if v.node == "m").status == "impossible"
    nodes = {**two_ports((255, 1)).nodes, "x": GradedInput((2,), 16, 1.0)}
    sums = [Connection("x", "m", Dense(np.array([[255, 255]], np.int32)), port=port) for port in range(2)]
    large = replace(two_ports((1, 1)), nodes=nodes, connections=(*sums, two_ports((1, 1)).connections[-1]))
    found = next(r for r in prove(large, steps=4) if r.node == "m")
    assert found.status == "witnessed", found
    steps = {"x": np.full((2, 1, 2), limit)}
    assert payloads(large, steps)["m"].beyond == 2
    with pytest.raises(UnsupportedError, match="'m': 2 graded spikes, up to 16711170, leave the 24 bits of a message"):
        check_no_wrap(large, steps)


def test_a_core_holds_an_accumulator_per_port() -> None:
    program = pooled(0, 4)
    assert tier(program.nodes["m"]) == "B"
    assert Demands(program).of("m", 8, shared=False).slots == 4 * 3  # ports times the steps of its lag
