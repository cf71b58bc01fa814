"""snnTorch's alpha neuron: against snnTorch itself where nothing rounds, the same on every backend, stored, and bounded."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import snntorch as snn
import torch
from scipy import sparse

from snnfuse.hardware import AlphaLif, Connection, Constant, Dense, GradedInput, Lif, Output, Program, Sparse, SpikeInput, compare
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.backends.registry import run_on
from snnfuse.hardware.chip import check_chip, tier
from snnfuse.hardware.errors import FixedPointError
from snnfuse.hardware.ir.alpha import AlphaReset
from snnfuse.hardware.ir.fixed_point import STATE_LIMIT
from snnfuse.hardware.ir.storage import load_program, save_program
from snnfuse.hardware.overflow import prove, state_bounds
from snnfuse.hardware.overflow.raw_states import raw_states

RESETS = get_args(AlphaReset)


@pytest.mark.parametrize("reset", RESETS)
def test_it_is_snntorchs_where_no_state_needs_more_digits(reset: str) -> None:
    """alpha = 1/2 and beta = 1/4 make tau_alpha = 2; inputs in units of 2**14 halve ten times without a rounding."""
    neuron = snn.Alpha(0.5, 0.25, threshold=10.0 * 2**14 / 64, reset_mechanism=reset).double()
    drive = torch.from_numpy(np.random.default_rng(1).integers(-20, 40, (7, 200))).double() * 2**14 / 64
    lif = AlphaLif((200,), 2048, 3072, 2 << 12, 10 * 2**14 // 64, reset)
    state, states, fired = lif.rest(1), neuron.reset_mem(), 0
    for now in drive:
        spk, *states = neuron(now[None], *states)
        spikes, state = lif.step(state, [now[None].numpy().astype(np.int32)])
        np.testing.assert_array_equal(spikes, spk.numpy().astype(bool))
        for mine, theirs in zip(state, states):
            np.testing.assert_array_equal(mine, 64 * theirs.numpy())
        fired += int(spikes.sum())
    assert fired > 100


def alphas(seed: int) -> Program:
    """Spikes and numbers, a constant, a delay and a loop into three populations, one per reset, with registers one per neuron."""
    rng = np.random.default_rng(seed)
    nodes = {"s": SpikeInput((5,)), "g": GradedInput((6,), 20, 1.0), "one": Constant(), "out": Lif((2,), 4095, 100, 1 << 17)}

    def dense(targets: int, sources: int, exponent: int = 0) -> Dense:
        return Dense(2 * rng.integers(-128, 128, (targets, sources)).astype(np.int32), exponent)

    links = []
    for reset in RESETS:
        registers = [(0, 600), (1000, 4097), (3000, 30000), (1, 900)]
        nodes[reset] = AlphaLif((2, 3), *(rng.integers(*ends, (2, 3)).astype(np.int32) for ends in registers), reset)
        links += [Connection("s", reset, dense(6, 5)), Connection("g", reset, dense(6, 6, int(rng.integers(-8, 8))), lag=1)]
        links += [Connection("one", reset, dense(6, 1)), Connection(reset, reset, dense(6, 6)), Connection(reset, "out", dense(2, 6))]
    return Program(nodes, tuple(links), {"o": Output("out", "membrane_sum"), "v": Output("zero", "membrane_last")})


def events(seed: int, time: int = 40, batch: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(100 + seed)
    wide = rng.integers(1 - 2**19, 2**19, (time, batch, 6)) >> rng.integers(0, 18, (time, batch, 6))
    return {"s": rng.integers(0, 2, (time, batch, 5)), "g": wide}


@pytest.mark.parametrize("seed", range(2))
def test_every_backend_gives_the_same_spikes_and_states(seed: int) -> None:
    program, fed = alphas(seed), events(seed)
    expected = emulate(program, fed, "all", states=True)
    assert all(0.02 < expected.spikes[reset].mean() < 0.9 for reset in RESETS)
    assert max(int((np.abs(expected.states[reset]["e"]) == STATE_LIMIT - 1).sum()) for reset in RESETS) > 10
    for backend in ("emulator", "torch", "lava"):
        found = compare(expected, run_on(backend, program, fed, "all", states=True).recording)
        assert found.mismatches == 0, (backend, found.first)
        assert {"e", "h", "v", "spikes"} <= found.by_variable.keys()


def test_a_wide_population_runs_in_vectors_and_remainders() -> None:
    rng = np.random.default_rng(5)
    for reset in RESETS:
        nodes = {"s": SpikeInput((37,)), "n": AlphaLif((37,), 300, 2000, 9000, rng.integers(10, 900, (37,)).astype(np.int32), reset)}
        program = Program(nodes, (Connection("s", "n", Sparse(sparse.csr_matrix(100 * np.eye(37, dtype=np.int32)))),), {"o": Output("n")})
        fed = {"s": rng.integers(0, 2, (60, 2, 37))}
        found = compare(emulate(program, fed, "all", states=True), run_on("emulator", program, fed, "all", states=True).recording)
        assert found.mismatches == 0, found.first


def test_it_is_stored_and_read_back_and_needs_microcode(tmp_path: Path) -> None:
    program = alphas(1)
    save_program(program, tmp_path)
    read = load_program(tmp_path).nodes["subtract"]
    assert type(read) is AlphaLif and read.reset == "subtract" and '"module"' not in (tmp_path / "program.json").read_text()
    for name in AlphaLif.registers:
        np.testing.assert_array_equal(getattr(read, name), getattr(program.nodes["subtract"], name))
    layers = {layer.name: layer for layer in check_chip(program).layers}
    assert tier(read) == layers["zero"].tier == "B" and layers["zero"].cores >= 1


@pytest.mark.parametrize("wrong", [{"de": 4097}, {"dh": -1}, {"gain": 1 << 18}, {"vth": np.zeros(4, int)}, {"reset": "sometimes"}])
def test_registers_have_ranges(wrong: dict) -> None:
    with pytest.raises(FixedPointError, match=next(iter(wrong))):
        replace(AlphaLif((3,), 1, 2, 3, 4), **wrong)


def one(weight: int = 100, **parameters) -> Program:
    nodes = {"in": SpikeInput((1,)), "n": AlphaLif((1,), **{"de": 200, "dh": 900, "gain": 7000, "vth": 60, **parameters})}
    return Program(nodes, (Connection("in", "n", Dense(np.array([[weight]], np.int32))),), {"o": Output("n")})


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("given", [{}, {"weight": -80}, {"de": 0, "dh": 4096}, {"vth": 2, "gain": 20000}, {"de": 3000, "dh": 40}])
def test_no_input_leaves_the_bounds(reset: str, given: dict) -> None:
    program = one(**given, reset=reset)
    fed = {"in": (np.arange(2**12)[None, :, None] >> np.arange(12)[:, None, None]) & 1}
    run = emulate(program, fed, "all", states=True)
    raw = raw_states(program, run, "n", 0)
    for bounds in (state_bounds(program)["n"], state_bounds(program, steps=12)["n"]):
        for state in AlphaLif.states:
            assert bounds.intervals[state].low[0] <= raw[state].min() and raw[state].max() <= bounds.intervals[state].high[0]
        assert bounds.fires[0] or not run.spikes["n"].any()
    if reset == "zero":
        assert not (run.spikes["n"][1:] & run.spikes["n"][:-1]).any() and not (run.spikes["n"][2:] & run.spikes["n"][:-2]).any()


def test_what_overflows_is_proved_or_witnessed() -> None:
    assert {v.status for v in prove(one())} == {"impossible"}
    lasting = {v.event: v for v in prove(one(de=0, reset="none"))}
    assert lasting["e clips high"].status == "witnessed" and lasting["e clips high"].witness.time == (STATE_LIMIT - 1) // 6400
