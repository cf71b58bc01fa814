"""A bundle keeps graded spikes as the numbers they are, and verifies them on every backend."""

from pathlib import Path

import nir
import numpy as np
import pytest

from snnfuse.export import read_bundle, write_bundle
from snnfuse.hardware import Connection, Dense, GradedInput, Lif, Output, Product, Program, Relay
from snnfuse.hardware.backends.reference import emulate
from snnfuse.hardware.backends.verify import verify


@pytest.mark.usefixtures("lava")
def test_graded_spikes_come_back_as_numbers_and_verify(tmp_path: Path) -> None:
    one = Dense(np.ones((2, 2), np.int32))
    nodes = {"x": GradedInput((2,), 8, 0.5), "sum": Relay((2,)), "square": Product((2,), 1), "out": Lif((2,), 4095, 0, 100)}
    links = [Connection("x", "sum", one), Connection("sum", "sum", one), Connection("square", "out", one)]
    links += [Connection("sum", "square", one, port=port) for port in (0, 1)]
    program = Program(nodes, tuple(links), {"o": Output("out")})
    events = {"x": np.random.default_rng(0).integers(-127, 128, (5, 3, 2)).astype(np.int32)}
    graph = nir.NIRGraph.from_list(nir.Input(np.array([2])), nir.Linear(np.eye(2)), nir.Output(np.array([2])))
    write_bundle(tmp_path / "b", graph=graph, program=program, events=events, golden=emulate(program, events, "all"))
    bundle = read_bundle(tmp_path / "b")
    assert bundle.golden.spikes["square"].dtype == np.int32 and bundle.golden.spikes["out"].dtype == np.bool_
    assert np.abs(bundle.golden.spikes["square"]).max() > 1
    checks = list(verify(bundle.pipeline, bundle.recordings))
    assert [check.backend for check in checks] == ["emulator", "lava"] and all(check.passed for check in checks)
    assert checks[0].comparison.by_variable["spikes"] == (5 * 3 * 2 * 3, 0)
