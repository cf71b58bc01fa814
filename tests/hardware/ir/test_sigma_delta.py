"""Sigma-delta neurons: against Lava's own processes, by hand, the same on every backend, stored, placed and bounded."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnfuse.hardware import (
    Connection,
    Delta,
    Dense,
    Diagonal,
    GradedInput,
    Output,
    Program,
    Sigma,
    SigmaDelta,
    compare,
    scores,
)
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.backends.registry import run_on
from snnfuse.hardware.chip import check_chip, find_board, tier
from snnfuse.hardware.errors import FixedPointError, InputError
from snnfuse.hardware.ir.storage import load_program, save_program
from snnfuse.hardware.overflow import prove, state_bounds
from snnfuse.hardware.overflow.observed import state_peaks
from snnfuse.hardware.overflow.raw_states import raw_states

SEEDS = range(3)
LAVA = Path(__file__).parents[2] / "helpers/lava_sdn_run.py"


def sigma_deltas(seed: int) -> Program:
    """Both activations, both kinds of error, a loop, populations that begin together and one that does not, an overflowing one."""
    rng = np.random.default_rng(seed)

    def dense(targets: int, sources: int, exponent: int = 0) -> Dense:
        return Dense(2 * rng.integers(-60, 60, (targets, sources)).astype(np.int32), exponent)

    def drawn(most: int) -> int:
        return int(rng.integers(0, most))

    cumulative = drawn(2)
    bias = rng.integers(-99, 99, (2, 4)).astype(np.int32)
    first = SigmaDelta((2, 4), drawn(50), drawn(7), drawn(7), cumulative, bias=bias, activation=("relu", "unit")[seed % 2])
    nodes = {
        "x": GradedInput((6,), 12, 1.0),
        "d": Delta((6,), drawn(9), 6, 6, 1 - cumulative),
        "s": first,
        "big": SigmaDelta((5,), 1000, 7, 7, cumulative),
        "late": SigmaDelta((3,), 2, 3, 1, bias=7),
        "o": Sigma((3,)),
    }
    links = (
        Connection("x", "d", Diagonal(np.ones(6, np.int32))),
        Connection("d", "s", dense(8, 6), -1, lag=1),
        Connection("s", "big", dense(5, 8, 3), -1, lag=4),
        Connection("big", "big", dense(5, 5, -3)),
        Connection("s", "late", dense(3, 8)),
        Connection("s", "o", dense(3, 8), -1, lag=1),
    )
    outputs = {"sum": Output("o", "membrane_last"), "act": Output("big", "membrane_max"), "late": Output("late", "membrane_sum")}
    return Program(nodes, links, outputs)


def events(seed: int, time: int = 40, batch: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(100 + seed)
    return {"x": rng.integers(-2047, 2048, (time, batch, 6)) >> rng.integers(0, 9, (time, batch, 6))}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[1:])])
def test_every_backend_gives_the_same_messages_and_states(seed: int, lava: None) -> None:
    program, fed = sigma_deltas(seed), events(seed)
    expected = emulate(program, fed, "all", states=True)
    assert program.latency == {"x": 0, "d": 1, "s": 1, "big": 1, "late": 2, "o": 1}
    assert all((expected.spikes[name] != 0).mean() > 0.4 for name in program.neurons)
    for backend in ("emulator", "torch", "lava"):
        found = compare(expected, run_on(backend, program, fed, "all", states=True).recording)
        assert found.mismatches == 0, (backend, found.first)
        assert {"sigma", "act", "residue", "error", "spikes"} <= found.by_variable.keys()


LAVAS = (
    ("Sigma", {}),
    ("Delta", {"vth": 10, "spike_exp": 6, "state_exp": 6}),
    ("Delta", {"vth": 90, "spike_exp": 2, "state_exp": 0, "cum_error": True}),
    ("SigmaDelta", {"vth": 20, "spike_exp": 6, "state_exp": 6, "bias": 3, "act_mode": 1}),
    ("SigmaDelta", {"vth": 1000, "spike_exp": 7, "state_exp": 7, "bias": -11, "act_mode": 0, "cum_error": True}),
)


def test_they_are_lavas_own_processes(tmp_path: Path, lava: None) -> None:
    """lava.proc.sdn and its fixed-point models, which nothing of this package computes for; every message and state, ==."""
    rng = np.random.default_rng(0)
    x = (rng.integers(-(1 << 20), 1 << 20, (200, 30)) >> rng.integers(0, 20, (200, 30))).astype(np.int32)
    x[150:] <<= 11  # so that 32 bits wrap
    for i, (kind, settings) in enumerate(LAVAS):
        (tmp_path / str(i)).mkdir()
        np.savez(tmp_path / str(i) / "job.npz", x=x, kind=kind, **settings)
    subprocess.run([sys.executable, LAVA, tmp_path], check=True, capture_output=True)
    for i, (kind, settings) in enumerate(LAVAS):
        theirs, node = np.load(tmp_path / str(i) / "found.npz"), like_lavas(kind, settings)
        state = node.rest(1)
        for t in range(len(x)):
            sent, state = node.step(state, [x[t][None]])
            for name, mine in zip(("s", *node.states), (sent, *state)):
                np.testing.assert_array_equal(mine[0], theirs[name][t], err_msg=f"{name} of {kind} {i} at step {t}")
        assert (theirs["s"] != 0).sum() > 500


def like_lavas(kind: str, settings: dict) -> Sigma | Delta:
    given = {{"cum_error": "cumulative"}.get(name, name): int(value) for name, value in settings.items() if name != "act_mode"}
    if kind == "SigmaDelta":
        return SigmaDelta((30,), **given, activation="relu" if settings["act_mode"] else "unit")
    return Delta((30,), **given) if kind == "Delta" else Sigma((30,))


def test_a_step_by_hand() -> None:
    node = SigmaDelta((1,), vth=3, spike_exp=1, state_exp=2, bias=1)  # threshold 24, bias 8
    state, sent = node.rest(1), []
    for a in (10, 10, -40, 25):
        message, state = node.step(state, [np.array([[a]], np.int32)])
        sent.append(int(message[0, 0]))
    # sigma 10, 20, -20, 5; act 18, 28, 0, 13; delta 18 (kept), 28 (sent), -28 (sent), 13 (kept)
    assert sent == [0, 7, -7, 0] and [int(x[0, 0]) for x in state] == [5, 13, 13, 0]


def test_they_are_stored_and_read_back(tmp_path: Path) -> None:
    program = sigma_deltas(1)
    save_program(program, tmp_path)
    back = load_program(tmp_path)
    assert compare(emulate(program, events(1), "all", states=True), emulate(back, events(1), "all", states=True)).mismatches == 0
    assert [c.delay for c in back.connections] == [c.delay for c in program.connections]


@pytest.mark.parametrize(
    "wrong", [{"vth": -1}, {"vth": 1 << 30}, {"spike_exp": 8}, {"state_exp": -1}, {"bias": np.zeros(4, int)}, {"activation": "tanh"}]
)
def test_registers_have_ranges(wrong: dict) -> None:
    with pytest.raises(FixedPointError, match=next(iter(wrong))):
        replace(SigmaDelta((3,), 5, 2, 2), **wrong)


def test_a_window_begins_with_its_sources_only_where_the_step_lies_within() -> None:
    with pytest.raises(FixedPointError, match="delay of a -> b=-1"):
        Connection("a", "b", Diagonal(np.ones(3, np.int32)), delay=-1)


def test_an_output_reads_a_sum_and_counts_no_messages() -> None:
    program = sigma_deltas(0)
    found = emulate(program, events(0))
    np.testing.assert_array_equal(scores(program, found, "sum"), found.states["o"]["sigma"][-1])
    with pytest.raises(InputError, match="whose graded spikes no decoder counts"):
        replace(program, outputs={"sum": Output("o")})


def test_an_encoder_is_on_the_host_and_the_rest_on_cores() -> None:
    program = sigma_deltas(0)
    assert {name: tier(node) for name, node in program.neurons.items()} == dict.fromkeys(program.neurons, "A") | {"d": "C"}
    assert {layer.name for layer in check_chip(program, find_board("oheo-gulch"), tiers=("A", "C")).layers} == {"s", "big", "late", "o"}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_run_leaves_the_bounds(seed: int) -> None:
    """Of sums, activations and messages in 64 bits, for windows as long as the run."""
    program, fed = sigma_deltas(seed), events(seed)
    bounds, found = state_bounds(program, 40), emulate(program, fed, "all", states=True)
    for name, node in program.neurons.items():
        for neuron in range(node.size):
            for value, raw in raw_states(program, found, name, neuron).items():
                low, high = (end[neuron] for end in bounds[name].intervals[value])
                assert low <= raw.min() and raw.max() <= high, (name, value, neuron)
    assert state_peaks(program, fed, found)["big"].current > 0


def test_what_telescopes_is_bounded_without_an_end() -> None:
    """A sum behind an encoder cannot exceed what the weights make of its activation; behind a loop or a Sigma it is unbounded."""
    nodes = {"x": GradedInput((2,), 8, 1.0), "d": Delta((2,), 0, 6, 6), "s": SigmaDelta((1,), 0, 6, 0)}
    links = (Connection("x", "d", Diagonal(np.ones(2, np.int32))), Connection("d", "s", Dense(np.array([[2, -4]], np.int32)), -1, lag=1))
    program = Program(nodes, links, {"o": Output("s", "membrane_last")})
    low, high = state_bounds(program)["s"].intervals["sigma"]
    largest = 127 * 64 * (2 + 4)
    assert largest <= high[0] <= largest + 6 and -largest - 12 <= low[0] <= -largest
    verdicts = {verdict.event: verdict for verdict in prove(program) if verdict.node == "s"}
    assert verdicts["sigma leaves 24 bits"].status == "impossible"
    longer = replace(program, nodes={**nodes, "s": Sigma((1,)), "t": Sigma((1,))},
                     connections=(*links, Connection("s", "t", Dense(np.array([[254]], np.int32)))),
                     outputs={"o": Output("t", "membrane_last")})  # fmt: skip
    found = {verdict.node: verdict for verdict in prove(longer, steps=2000) if verdict.event == "sigma leaves 24 bits"}
    assert found["s"].status == "impossible" and found["t"].status == "witnessed"
