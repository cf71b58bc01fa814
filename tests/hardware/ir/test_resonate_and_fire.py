"""Resonate-and-fire, whose states are none of a LIF's: against Lava's own process, the same on every backend, stored, and bounded."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from snnfuse.hardware import (
    Connection,
    Constant,
    Dense,
    GradedInput,
    Lif,
    Output,
    Program,
    ResonateAndFire,
    Sparse,
    SpikeInput,
    compare,
    scores,
)
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.backends.registry import run_on
from snnfuse.hardware.chip import check_chip, find_board, tier
from snnfuse.hardware.errors import FixedPointError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import STATE_LIMIT
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ir.storage import load_program, save_program
from snnfuse.hardware.overflow import prove, state_bounds
from snnfuse.hardware.overflow.observed import state_peaks
from snnfuse.hardware.overflow.raw_states import raw_states

SEEDS = range(3)


def rotation(period: float, alpha: float, bits: int = 12) -> dict[str, int]:
    """Decays as Lava's process makes them."""
    turn = (1 - alpha) * (1 << bits)
    return {"sin_decay": int(turn * np.sin(2 * np.pi / period)), "cos_decay": int(turn * np.cos(2 * np.pi / period))}


def resonators(seed: int) -> Program:
    """Spikes and numbers into both ports, a constant, a delay and a loop; two populations, and a readout of the second."""
    rng = np.random.default_rng(seed)
    each = {x: rng.integers(-4096, 4097, (2, 3)).astype(np.int32) for x in ("sin_decay", "cos_decay")}
    first = ResonateAndFire((2, 3), **each, vth=rng.integers(-100, 9000, (2, 3)).astype(np.int32), state_exp=int(rng.integers(0, 8)))
    second = ResonateAndFire((4,), **rotation(5.5, 0.05, 9), vth=700, state_exp=6, decay_bits=9)
    nodes = {"s": SpikeInput((5,)), "g": GradedInput((6,), 20, 1.0), "one": Constant(), "a": first, "b": second}
    nodes |= {"lif": Lif((2,), 500, 200, 40), "out": Lif((2,), 4095, 100, 1 << 17)}

    def dense(targets: int, sources: int, exponent: int = 0) -> Dense:
        return Dense(2 * rng.integers(-128, 128, (targets, sources)).astype(np.int32), exponent)

    links = (
        Connection("s", "a", dense(6, 5)),
        Connection("g", "a", dense(6, 6, int(rng.integers(-8, 8))), port=1),
        Connection("a", "a", dense(6, 6), port=1),
        Connection("a", "b", dense(4, 6)),
        Connection("a", "b", dense(4, 6), port=1, lag=2),
        Connection("one", "b", dense(4, 1), port=1),
        Connection("b", "lif", dense(2, 4)),
        Connection("lif", "out", dense(2, 2)),
    )
    return Program(nodes, links, {"o": Output("out", "membrane_sum"), "turns": Output("b"), "real": Output("b", "membrane_max")})


def events(seed: int, time: int = 40, batch: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(100 + seed)
    wide = rng.integers(1 - 2**19, 2**19, (time, batch, 6)) >> rng.integers(0, 18, (time, batch, 6))
    return {"s": rng.integers(0, 2, (time, batch, 5)), "g": wide}


@pytest.fixture(scope="module", params=SEEDS)
def run(request: pytest.FixtureRequest) -> tuple[Program, dict[str, np.ndarray], Recording]:
    program, fed = resonators(request.param), events(request.param)
    return program, fed, emulate(program, fed, "all", states=True)


def test_the_reference_records_its_states_by_name_and_both_populations_fire_and_saturate() -> None:
    runs = [emulate(resonators(seed), events(seed), "all", states=True) for seed in SEEDS]
    assert all({*run.states["a"]} == {*run.states["b"]} == {"real", "imag"} for run in runs)
    assert all(0.01 < run.spikes[name].mean() < 0.6 for run in runs for name in "ab")
    assert max(int((np.abs(run.states["a"]["real"]) == STATE_LIMIT - 1).sum()) for run in runs) > 100
    program, run = resonators(0), runs[0]
    np.testing.assert_array_equal(scores(program, run, "real"), run.states["b"]["real"].max(0))


@pytest.mark.parametrize("backend", ["emulator", "torch", "lava"])
def test_every_backend_gives_the_same_spikes_and_states(backend: str, run: tuple) -> None:
    program, fed, expected = run
    found = compare(expected, run_on(backend, program, fed, "all", states=True).recording)
    assert found.mismatches == 0, found.first
    assert {"real", "imag", "spikes"} <= found.by_variable.keys()
    assert found.by_variable["imag"][0] == expected.states["a"]["imag"].size + expected.states["b"]["imag"].size


LAVA = Path(__file__).parents[2] / "helpers/lava_rf_run.py"


@pytest.mark.parametrize(
    "period, alpha, vth, state_exp, decay_bits", [(10, 0.07, 1.1, 6, 12), (3.3, 0.3, 0.5, 7, 12), (2.2, 0.01, 20, 3, 9)]
)
def test_it_is_lavas_own_process(period: float, alpha: float, vth: float, state_exp: int, decay_bits: int, tmp_path: Path) -> None:
    """Lava's RF and PyRFModelFixed, which nothing of this package computes for; every spike and both states, ==."""
    rng = np.random.default_rng(0)
    x = rng.integers(-3000, 3000, (200, 30)).astype(np.int32) * (rng.random((200, 30)) < 0.4)
    y = rng.integers(-300000, 300000, (200, 30)).astype(np.int32)
    np.savez(tmp_path / "job.npz", x=x, y=y, period=period, alpha=alpha, vth=vth, state_exp=state_exp, decay_bits=decay_bits)
    subprocess.run([sys.executable, LAVA, tmp_path], check=True, capture_output=True)
    theirs = np.load(tmp_path / "found.npz")
    registers = {name: int(theirs[name]) for name in ("sin_decay", "cos_decay", "vth")}
    node = ResonateAndFire((30,), **registers, state_exp=state_exp, decay_bits=decay_bits)
    assert rotation(period, alpha, decay_bits) == {x: registers[x] for x in ("sin_decay", "cos_decay")}
    state = node.rest(1)
    for t in range(len(x)):
        spikes, state = node.step(state, [x[t][None], y[t][None]])
        for name, mine in zip(("spikes", "real", "imag"), (spikes, *state)):
            np.testing.assert_array_equal(mine[0], theirs[name][t], err_msg=f"{name} at step {t}")
    assert theirs["spikes"].sum() > 100


def test_it_is_stored_and_read_back(tmp_path: Path) -> None:
    program = resonators(1)
    save_program(program, tmp_path)
    read = load_program(tmp_path).nodes["a"]
    assert type(read) is ResonateAndFire and '"module"' not in (tmp_path / "program.json").read_text()
    for name in ("sin_decay", "cos_decay", "vth", "state_exp", "decay_bits"):
        np.testing.assert_array_equal(getattr(read, name), getattr(program.nodes["a"], name))


@pytest.mark.parametrize(
    "wrong", [{"sin_decay": 4097}, {"vth": STATE_LIMIT}, {"state_exp": 8}, {"decay_bits": 13}, {"vth": np.zeros(4, int)}]
)
def test_registers_have_ranges(wrong: dict) -> None:
    with pytest.raises(FixedPointError, match=next(iter(wrong))):
        replace(ResonateAndFire((3,), 1, 2, 3), **wrong)


def test_it_needs_microcode_and_takes_cores() -> None:
    program = resonators(0)
    assert tier(program.nodes["b"]) == "B"
    layers = {layer.name: layer for layer in check_chip(program, find_board("oheo-gulch")).layers}
    assert layers["a"].tier == "B" and layers["a"].cores >= 1


def one(**parameters) -> Program:
    nodes = {"in": SpikeInput((1,)), "n": ResonateAndFire((1,), **parameters)}
    weight = Dense(np.array([[100]], np.int32))
    return Program(nodes, tuple(Connection("in", "n", weight, port=port) for port in (0, 1)), {"o": Output("n")})


@pytest.mark.parametrize(
    "decays", [rotation(7, 0.1), rotation(2.5, 0.4), {"sin_decay": 3000, "cos_decay": -3000}, {"sin_decay": 0, "cos_decay": 4096}]
)
def test_no_input_leaves_the_bounds(decays: dict) -> None:
    program = one(**decays, vth=100, state_exp=6)
    fed = {"in": (np.arange(2**12)[None, :, None] >> np.arange(12)[:, None, None]) & 1}
    run = emulate(program, fed, "all", states=True)
    raw = raw_states(program, run, "n", 0)
    for bounds in (state_bounds(program)["n"], state_bounds(program, steps=12)["n"]):
        for part in ("real", "imag"):
            assert bounds.intervals[part].low[0] <= raw[part].min() and raw[part].max() <= bounds.intervals[part].high[0]
    assert not run.spikes["n"][1:][run.spikes["n"][:-1]].any()  # never on two steps in a row


def test_what_overflows_is_proved_or_witnessed() -> None:
    assert {v.status for v in prove(one(**rotation(7, 0.1), vth=100, state_exp=6))} == {"impossible"}
    undamped = {v.event: v for v in prove(one(sin_decay=0, cos_decay=4096, vth=100, state_exp=6))}
    assert {event: v.status for event, v in undamped.items()}["real clips high"] == "witnessed"
    assert undamped["real clips high"].witness.time == (STATE_LIMIT - 1) // 6400
    steady = {"in": np.ones((1500, 1, 1), np.int32)}
    peaks = state_peaks(one(sin_decay=0, cos_decay=4096, vth=100, state_exp=6), steady)["n"]
    assert peaks.clipped_high > 0 and peaks.clipped_low == 0 and peaks.current > STATE_LIMIT


def test_it_is_refused_where_stock_neurons_only_are_taken() -> None:
    from snnfuse.hardware.backends.board import refuse_microcode

    with pytest.raises(UnsupportedError, match=r"a \(ResonateAndFire\), b \(ResonateAndFire\)"):
        refuse_microcode(resonators(0))


def test_a_wide_population_runs_in_vectors_and_remainders() -> None:
    """More neurons than a vector holds, with one parameter for all and with one for each, and none that are not there."""
    rng = np.random.default_rng(5)
    for each in (False, True):
        vth = rng.integers(100, 900, (37,)).astype(np.int32) if each else 500
        nodes = {"s": SpikeInput((37,)), "n": ResonateAndFire((37,), **rotation(6, 0.02), vth=vth, state_exp=6)}
        weights = Sparse(sparse.csr_matrix(100 * np.eye(37, dtype=np.int32)))
        program = Program(nodes, (Connection("s", "n", weights),), {"o": Output("n")})
        fed = {"s": rng.integers(0, 2, (60, 2, 37))}
        found = compare(emulate(program, fed, "all", states=True), run_on("emulator", program, fed, "all", states=True).recording)
        assert found.mismatches == 0, found.first
