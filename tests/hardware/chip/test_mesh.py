"""Routing on the mesh, by hand."""

import numpy as np
from scipy import sparse

from snnfuse.hardware import Connection, Dense, GradedInput, Lif, Output, Program, Relay
from snnfuse.hardware.chip import count, find_board
from snnfuse.hardware.chip.mesh import LinkLoad, busiest_link
from snnfuse.hardware.chip.traffic import link_load


def traffic(cores: int, *entries: tuple[int, int, float]) -> sparse.csr_matrix:
    rows, columns, data = zip(*entries)
    return sparse.csr_matrix((data, (rows, columns)), (cores, cores))


def test_rows_first_then_columns() -> None:
    """Core 0 is on tile 0; core 40 on tile 10, one row down and two columns on: 0 -> 1 -> 2 -> 10. Core 4 is on tile 1."""
    bits = traffic(48, (0, 40, 5.0), (4, 40, 2.0), (40, 0, 6.0), (1, 2, 100.0))
    found = busiest_link(bits, bits, np.zeros(48, np.int64))
    assert found == LinkLoad(7.0, "chip 0, tile 1 -> tile 2", 0.0, "none")
    back = busiest_link(traffic(48, (40, 0, 6.0)), bits, np.zeros(48, np.int64))
    assert back.bits == 6 and back.where in {"chip 0, tile 10 -> tile 9", "chip 0, tile 9 -> tile 8", "chip 0, tile 8 -> tile 0"}


def test_nothing_leaves_its_tile() -> None:
    assert busiest_link(traffic(4, (0, 3, 9.0)), traffic(4, (0, 3, 9.0)), np.zeros(4, np.int64)) == LinkLoad()


def test_what_crosses_chips() -> None:
    """Two chips of two cores each: 1 -> 2 and 0 -> 3 share the way there."""
    chips = np.array([0, 0, 1, 1])
    bits = traffic(4, (1, 2, 3.0), (0, 3, 4.0), (3, 1, 5.0), (0, 1, 50.0))
    assert busiest_link(bits, 2 * bits, chips) == LinkLoad(0.0, "none", 14.0, "chip 0 -> chip 1")


def test_a_payload_makes_a_message_longer() -> None:
    dense = Dense(np.full((1, 1), 2, np.int32))
    nodes = {"x": GradedInput((1,), 8, 1.0), "sends": Relay((1,)), "fires": Lif((1,), 4095, 0, 0), "last": Lif((1,), 4095, 0, 0)}
    links = [Connection(a, b, dense) for a, b in (("x", "sends"), ("sends", "fires"), ("fires", "last"))]
    program = Program(nodes, tuple(links), {"y": Output("last")})
    board = find_board("kapoho-point").scaled(("cores",), 1 / 120)  # a core per chip
    found = link_load(program, count(program, board), {"x": np.ones(1), "sends": np.ones(1), "fires": np.full(1, 0.5)}, 32, 32, 32)
    assert found == LinkLoad(0.0, "none", 96.0, "chip 0 -> chip 1")
    every = link_load(program, count(program, find_board("oheo-gulch")), None, 32, 32, 32)
    assert every.bits == 0  # three cores of one tile
