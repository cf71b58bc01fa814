"""The way to a board, walked with a stand-in for Intel's private lava-loihi (tests/helpers/lava_loihi_stand_in). No chip is involved."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnfuse.hardware import Connection, Constant, Conv2d, Dense, GradedInput, Lif, Output, Program, Relay, SpikeInput, emulate
from snnfuse.hardware.backends.board import Host, check_on_board, is_board_software_installed, run_on_board, spiking_nodes
from snnfuse.hardware.errors import EnvironmentProblem, InputError, UnsupportedError

STAND_IN = Path(__file__).parents[2] / "helpers" / "lava_loihi_stand_in"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, lava: None) -> pytest.MonkeyPatch:
    """The stand-in on the import path, and so on that of the child process."""
    monkeypatch.syspath_prepend(STAND_IN)
    return monkeypatch


def network(bias: int = 40, recurrent: bool = False, decoder: str = "spike_count") -> tuple[Program, dict[str, np.ndarray]]:
    """An image and a vector of numbers that meet in one layer; biases, a delay and, on request, feedback."""
    rng = np.random.default_rng(0)
    conv = Conv2d(2 * rng.integers(-30, 40, (3, 2, 3, 3), dtype=np.int32), (2, 5, 4), (1, 1), (1, 1))
    lif = {"du": 4095, "dv": 400, "vth": 90}
    readout = lif if decoder == "spike_count" else lif | {"vth": 1 << 17}
    nodes = {"image": SpikeInput((2, 5, 4)), "sound": GradedInput((6,), 6, 0.1), "c": Lif((3, 5, 4), bias_mant=bias, **lif)}
    nodes |= {"d": Lif((7,), bias_mant=bias, **lif), "o": Lif((5,), **readout)}

    def dense(*shape: int) -> Dense:
        return Dense(2 * rng.integers(-30, 40, shape, dtype=np.int32))

    links = [Connection("image", "c", conv), Connection("sound", "d", dense(7, 6)), Connection("c", "o", dense(5, 60), delay=1),
             Connection("d", "o", dense(5, 7), delay=1)]  # fmt: skip
    links += [Connection("d", "d", dense(7, 7))] if recurrent else []
    program = Program(nodes, tuple(links), {"y": Output("o", decoder)})
    events = {"image": rng.integers(0, 2, (9, 3, 2, 5, 4)), "sound": rng.integers(-4, 12, (9, 3, 6))}
    return program, {name: x.astype(np.int32) for name, x in events.items()}


def test_the_private_package_is_seen_where_it_is(stand_in: pytest.MonkeyPatch) -> None:
    assert is_board_software_installed()
    stand_in.setattr(sys, "path", [path for path in sys.path if path != str(STAND_IN)])
    assert not is_board_software_installed()


@pytest.mark.parametrize("decoder, compared", [("spike_count", ("o",)), ("membrane_last", ("c", "d"))])
def test_golden_spikes_return_from_the_stand_in(stand_in: pytest.MonkeyPatch, decoder: str, compared: tuple[str, ...]) -> None:
    program, events = network(decoder=decoder)
    golden = emulate(program, events, "all")
    check = check_on_board(program, events, golden)
    assert check.backend == "loihi2" and check.on_board and check.nodes == compared
    assert check.comparison.mismatches == 0 and all(0.05 < golden.spikes[name].mean() < 0.95 for name in compared)


def test_profilers_measure_each_run(stand_in: pytest.MonkeyPatch) -> None:
    program, events = network(bias=0, recurrent=True)
    check = check_on_board(program, events, emulate(program, events, "all"))
    assert len(check.measured) == 3  # recurrent samples run one by one
    for run in check.measured:
        assert run["samples"] == 1 and run["steps"] == 9 + 3 and run["host_us"] == 5.5 and run["dendrite_updates"]["all"] == 80 / 12


def test_a_wrong_spike_is_found(stand_in: pytest.MonkeyPatch) -> None:
    program, events = network()
    golden = emulate(program, events, "all")
    golden.spikes["o"][4, 1, 2] ^= True
    check = check_on_board(program, events, golden)
    first = check.comparison.first
    assert check.comparison.mismatches == 1 and (first.node, first.time, first.batch, first.neuron) == ("o", 4, 1, 2)


@pytest.mark.parametrize("there, back", [(2, 1), (9, 0)])
def test_adapters_that_take_steps(stand_in: pytest.MonkeyPatch, there: int, back: int) -> None:
    """Set as they are everything is equal; left out, it is not."""
    stand_in.setenv("SNNFUSE_STAND_IN_INPUT_DELAY", str(there))
    stand_in.setenv("SNNFUSE_STAND_IN_OUTPUT_DELAY", str(back))
    program, events = network()
    golden = emulate(program, events, "all")
    assert check_on_board(program, events, golden, Host(input_delay=there, output_delay=back)).comparison.mismatches == 0
    assert check_on_board(program, events, golden).comparison.mismatches > 0


def test_recurrent_samples_run_one_by_one(stand_in: pytest.MonkeyPatch) -> None:
    program, events = network(bias=0, recurrent=True)
    golden = emulate(program, events, "all")
    found = run_on_board(program, events, ["d", "c"], Host(input_delay=0))
    for name in ("c", "d", "o"):
        np.testing.assert_array_equal(found.spikes[name], golden.spikes[name])
    assert golden.spikes["d"].any()


def test_what_would_run_on_the_cpu_is_named(stand_in: pytest.MonkeyPatch) -> None:
    stand_in.setenv("SNNFUSE_STAND_IN_WITHOUT", "LIFReset")
    program, events = network()
    with pytest.raises(EnvironmentProblem, match="no NeuroCore model of LIFReset and would run .* on the CPU; nothing was compared"):
        check_on_board(program, events, emulate(program, events, "all"))


def test_what_a_board_cannot_do() -> None:
    program, events = network(recurrent=True)
    with pytest.raises(UnsupportedError, match="d -> d: .* biases of c, d may fill it"):
        run_on_board(program, events, ["o"], Host())
    constant = replace(program, nodes={**network(bias=0)[0].nodes, "one": Constant()})
    with pytest.raises(UnsupportedError, match="biases of one"):
        run_on_board(constant, events, ["o"], Host())
    subtracting = replace(network()[0], nodes={**program.nodes, "c": replace(program.nodes["c"], reset="subtract")})
    with pytest.raises(UnsupportedError, match=r"need neuron microcode, which is not public: c \(subtract\)"):
        run_on_board(subtracting, events, ["o"], Host())
    relay = Program({"x": SpikeInput((1,)), "r": Relay((1,))}, (Connection("x", "r", Dense(np.ones((1, 1), np.int32))),), {})
    with pytest.raises(UnsupportedError, match=r"r \(Relay\)"):
        run_on_board(relay, {"x": np.ones((1, 1, 1), np.int32)}, ["r"], Host())


def test_one_place_for_the_board() -> None:
    with pytest.raises(InputError, match="partition and ethernet name different places"):
        Host(partition="oheogulch", ethernet="10.0.0.1")
    with pytest.raises(InputError, match="no fewer than 0 steps, not -1"):
        Host(output_delay=-1)


def test_a_host_that_lava_does_not_find(stand_in: pytest.MonkeyPatch) -> None:
    program, events = network()
    stand_in.setenv("PATH", "")
    with pytest.raises(EnvironmentProblem, match="'sinfo', which Lava looks for the board with"):
        run_on_board(program, events, ["o"], Host(partition="nowhere"))


def test_slurm_and_ethernet_are_told(monkeypatch: pytest.MonkeyPatch, lava: None) -> None:
    """What reaches Lava's own functions."""
    from lava.utils import loihi

    from snnfuse.hardware.backends.lava.board_worker import choose_host

    calls = []
    monkeypatch.setattr(loihi, "use_slurm_host", lambda **given: calls.append(("slurm", given)))
    monkeypatch.setattr(loihi, "use_ethernet_host", lambda **given: calls.append(("ethernet", given)))
    nothing = {"partition": None, "board": None, "ethernet": None, "generation": None}
    choose_host(nothing)
    choose_host(nothing | {"partition": "p"})
    choose_host(nothing | {"board": "b", "generation": "N3C1"})
    choose_host(nothing | {"ethernet": "10.0.0.1"})
    assert calls == [
        ("slurm", {"partition": "p", "board": None}),
        ("slurm", {"partition": None, "board": "b", "loihi_gen": loihi.ChipGeneration.N3C1}),
        ("ethernet", {"host_address": "10.0.0.1"}),
    ]


def test_without_the_package_the_cpu_runs_and_says_so(lava: None) -> None:
    program, events = network()
    check = check_on_board(program, events, emulate(program, events, "all"))
    assert check.backend == "lava" and not check.on_board and check.comparison.mismatches == 0
    assert "no board was used" in check.about and "not installed" in check.about


def test_without_lava_the_emulator_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from snnfuse.hardware.backends import board

    def missing() -> None:
        raise EnvironmentProblem("Lava is not installed")

    monkeypatch.setattr(board, "require_lava", missing)
    program, events = network()
    check = check_on_board(program, events, emulate(program, events, "all"))
    assert check.backend == "emulator" and check.comparison.mismatches == 0 and "Lava is not installed either" in check.about


def test_membranes_never_fire_so_that_what_feeds_them_is_compared() -> None:
    assert spiking_nodes(network()[0]) == ["o"] and spiking_nodes(network(decoder="membrane_max")[0]) == ["c", "d"]
