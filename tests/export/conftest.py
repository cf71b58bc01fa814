"""A program and a bundle's parts."""

import numpy as np
import pytest
from bundle_parts import small_graph

from snnfuse.hardware import Connection, Dense, GradedInput, Lif, Output, Program, emulate
from snnfuse.hardware.chip import check_chip
from snnfuse.hardware.ledger import LedgerEntry


@pytest.fixture
def program() -> Program:
    """Two layers, so that one of them is no output, and a membrane output, so that there are states."""
    nodes = {"x": GradedInput((3,), 8, 0.25), "hidden": Lif((4,), 4095, 100, 9), "out": Lif((2,), 4095, 0, 1 << 17)}
    rng = np.random.default_rng(0)
    connections = (
        Connection("x", "hidden", Dense(2 * rng.integers(-9, 9, (4, 3), dtype=np.int32))),
        Connection("hidden", "out", Dense(2 * rng.integers(-9, 9, (2, 4), dtype=np.int32))),
    )
    return Program(nodes, connections, {"output": Output("out", "membrane_last")}, ledger=(LedgerEntry("x", "a", "b"),))


@pytest.fixture
def parts(program: Program) -> dict:
    """What write_bundle takes."""
    events = program.encode(np.random.default_rng(1).normal(size=(6, 2, 3)))
    golden = emulate(program, events, record="all")
    return {"graph": small_graph(), "program": program, "events": events, "golden": golden, "resources": check_chip(program)}
