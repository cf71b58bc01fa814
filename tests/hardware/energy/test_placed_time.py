"""The busiest core of a placement by hand, and the balance of two layers."""

import numpy as np
import pytest
from hypothesis import given, settings
from random_programs import Case, cases

from snnfuse.hardware import BiasedLif, BiasInput, Connection, Conv2d, Dense, Diagonal, Lif, Output, Program, SpikeInput, emulate
from snnfuse.hardware.chip import Demands, count, find_board
from snnfuse.hardware.chip.resources import divided
from snnfuse.hardware.chip.traffic import spike_rates
from snnfuse.hardware.energy import measure
from snnfuse.hardware.energy.constants import values
from snnfuse.hardware.energy.loads import CoreLoads
from snnfuse.hardware.energy.placed_time import balance, step_load

BOARD = find_board("oheo-gulch")


def wide(neurons: int, sources: int = 100) -> Program:
    nodes = {"x": SpikeInput((sources,)), "n": Lif((neurons,), 4095, 0, 99), "o": Lif((2,), 4095, 0, 99)}
    links = Connection("x", "n", Dense(np.ones((neurons, sources), np.int32))), Connection("n", "o", Dense(np.ones((2, neurons), np.int32)))
    return Program(nodes, links, {"y": Output("o")})


def test_the_busiest_core_by_hand() -> None:
    program, times = wide(200), values("time")
    found = step_load(program, count(program, BOARD))
    assert (found.layer, found.core, found.neurons, found.operations) == ("n", 0, 200, 20000)
    assert found.core_us == pytest.approx(20000 * times["operation_ns"] / 1e3) and found.decided_by == "the busiest core"
    assert found.us == found.core_us and found.link.bits == 0  # both layers on one tile
    quiet = step_load(program, count(program, BOARD), {"x": np.full(100, 0.01), "n": np.zeros(200), "o": np.zeros(2)})
    assert quiet.operations == pytest.approx(200, rel=1e-4) and quiet.decided_by == "the barrier" and quiet.us == times["barrier_us"]


def test_what_a_host_writes_is_no_load() -> None:
    nodes = {"x": BiasInput((40,), 0.1), "n": BiasedLif((40,), 4095, 0, 99), "o": Lif((2,), 4095, 0, 99)}
    links = Connection("x", "n", Diagonal(np.ones(40, np.int32)), port=1), Connection("n", "o", Dense(np.ones((2, 40), np.int32)))
    program = Program(nodes, links, {"y": Output("o")})
    operations, reads = CoreLoads(program, count(program, BOARD)).of_rates({"x": np.ones(40), "n": np.full(40, 0.5), "o": np.zeros(2)})
    assert operations.tolist() == [0, 40] and reads[0] == 0 < reads[1]


def test_balance_divides_the_busiest_layer() -> None:
    """200 neurons of 100 sources each: by the barrier's time a core may hold 14, and so many cores are free."""
    program = wide(200)
    placed, after = balance(program, count(program, BOARD))
    before = step_load(program, count(program, BOARD))
    assert after.us < before.us / 5 and placed.fits and placed.cores > 5
    assert sum(np.bincount(placed.splits["n"].labels)) == 200
    assert [layer.neurons for layer in placed.layers] == [200, 2] and placed.layers[0].cores == placed.splits["n"].cores
    full = BOARD.scaled(("cores",), 3 / 120)
    assert balance(program, count(program, full))[0].cores <= 3


def test_nothing_to_gain() -> None:
    program = wide(2, 1)
    resources = count(program, BOARD)
    assert balance(program, resources)[0] == resources


def test_a_convolution_is_divided_by_positions() -> None:
    conv = Conv2d(np.ones((4, 2, 3, 3), np.int32), (2, 8, 8), (1, 1), (1, 1))
    program = Program({"x": SpikeInput((2, 8, 8)), "c": Lif((4, 8, 8), 4095, 0, 9)}, (Connection("x", "c", conv),), {"y": Output("c")})
    found = divided(count(program, BOARD), Demands(program), "c", 5)
    assert found is not None and found.cores == 5 and np.bincount(found.splits["c"].labels).tolist() == [52, 52, 52, 52, 48]
    assert divided(found, Demands(program), "c", 65) is None


@settings(max_examples=20, deadline=None)
@given(cases())
def test_rates_of_one_step_are_its_loads(case: Case) -> None:
    program, events = case
    first = {name: x[:1, :1] for name, x in events.items()}
    recording = emulate(program, first, "all")
    resources = count(program, find_board("hala-point"))
    operations, reads = CoreLoads(program, resources).of_rates(spike_rates(program, recording))
    busiest = measure(program, [recording], resources).busiest
    assert operations.max(initial=0) == pytest.approx(busiest.operations[0, 0]) and reads.max(initial=0) == pytest.approx(
        busiest.reads[0, 0]
    )
