"""A trace that was recorded on a real Loihi 2 chip, published with the NIR paper: one neuron, 1000 steps.

Columns: input spike, voltage, output spike. The program is one Dense of weight 10 into one LIF. On the four steps at which the
neuron fires, the chip's probe reads 128 for the voltage where the models read 0; one step later both read 0.
"""

from pathlib import Path

import numpy as np
import pytest

from snnfuse.hardware import Connection, Dense, Lif, Output, Program, Recording, SpikeInput, emulate
from snnfuse.hardware.backends.lava import simulate_on_lava

PROGRAM = Program(
    nodes={"input": SpikeInput((1,)), "neuron": Lif((1,), du=4095, dv=163, vth=25)},
    connections=(Connection("input", "neuron", Dense(np.array([[10]], np.int32))),),
    outputs={"output": Output("neuron")},
)
FIRES_AT = [461, 511, 711, 761]  # rows, from 0
PROBE = 128  # what the chip's probe shows while the neuron fires


@pytest.fixture(scope="module")
def trace(shared_data: Path) -> np.ndarray:
    """(1000, 3): input, voltage, spike, as integers."""
    path = shared_data / "nir_paper" / "lif_lava_loihi_fixed.csv"
    if not path.exists():
        pytest.skip(f"the chip's trace is not there: {path}")
    return np.loadtxt(path, delimiter=",").astype(np.int64)


def check(recording: Recording, trace: np.ndarray) -> None:
    """Row t of the trace is step t + 1 of the run; the neuron's window starts one step after the input's."""
    assert recording.latency["neuron"] == 1
    _, voltage, spike = trace[1:].T
    spikes, v = recording.spikes["output"][:-1, 0, 0], recording.states["neuron"]["v"][:-1, 0, 0]
    np.testing.assert_array_equal(spikes, spike.astype(bool))
    assert (np.flatnonzero(spikes) + 1).tolist() == FIRES_AT
    different = np.flatnonzero(v != voltage) + 1
    assert different.tolist() == FIRES_AT  # so 996 of 1000 agree, with row 0, where both are at rest
    assert (voltage[spikes] == PROBE).all() and (v[spikes] == 0).all()
    assert trace[0].tolist()[1:] == [0, 0]


def events(trace: np.ndarray) -> dict[str, np.ndarray]:
    assert len(trace) == 1000
    return {"input": trace[:, :1, None].astype(np.int32)}


def test_the_reference_repeats_the_chip(trace: np.ndarray) -> None:
    check(emulate(PROGRAM, events(trace), record="all", states=True), trace)


@pytest.mark.usefixtures("lava")
def test_lava_repeats_the_chip(trace: np.ndarray) -> None:
    check(simulate_on_lava(PROGRAM, events(trace), record="all", states=True), trace)
