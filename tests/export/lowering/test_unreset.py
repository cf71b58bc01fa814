"""Neurons that never reset: as a network whose neurons do, and as integers."""

import nir
import numpy as np
import pytest
from lowering_graphs import DT, graph, li

from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.resets import with_reset
from snnfuse.export.lowering.unreset import with_reset_returned
from snnfuse.export.quantization.quantize_network import quantize
from snnfuse.hardware import emulate, simulate_on_lava

RATE = 0.4
X = (np.random.default_rng(5).random((60, 4, 6)) < RATE).astype(float)


def lasting(current: bool, back: float | None = None) -> nir.NIRGraph:
    """Six inputs to five neurons that fire for as long as they are above 1; weights in eighths, decays of 1/2."""
    nodes = {
        "input": nir.Input({"input": np.array([6])}),
        "fc": nir.Linear(np.random.default_rng(6).integers(-6, 9, (5, 6)) / 8),
        "membrane": li(5, beta=0.5),
        "lif": nir.Threshold(np.ones(5)),
        "output": nir.Output({"output": np.array([5])}),
    }
    edges = [("membrane", "lif"), ("lif", "output"), ("input", "fc"), ("fc", "current" if current else "membrane")]
    if current:
        nodes["current"] = li(5, beta=0.5)
        edges.append(("current", "membrane"))
    if back is not None:
        nodes["back"] = nir.Scale(np.full(5, back))
        edges += [("lif", "back"), ("back", "membrane")]
    return graph(edges, **nodes)


def written_out(made: nir.NIRGraph, current: bool, back: float) -> np.ndarray:
    """The recursion, with nothing taken from any voltage."""
    i, v, s, spikes = np.zeros((4, 5)), np.zeros((4, 5)), np.zeros((4, 5)), []
    for x in X:
        i = (0.5 * i if current else 0) + x @ made.nodes["fc"].weight.T
        v = 0.5 * v + i + back * s
        s = (v > 1).astype(float)
        spikes.append(s)
    return np.array(spikes)


@pytest.mark.parametrize("current, back", [(False, None), (True, None), (False, -0.25), (False, 0.25)])
def test_a_neuron_that_never_resets_keeps_firing(current: bool, back: float | None) -> None:
    made = lasting(current, back)
    expected = written_out(made, current, back or 0.0)
    assert 0.1 < expected.mean() < 0.9 and (expected[1:] * expected[:-1]).any()
    network = lower(made)
    assert network.populations["lif"].reset == "none"
    np.testing.assert_array_equal(simulate(network, {"input": X}).spikes["lif"], expected)
    returned = with_reset_returned(network)
    assert returned.populations["lif"].reset == "subtract_delayed"
    np.testing.assert_array_equal(simulate(returned, {"input": X}).spikes["lif"], expected)


@pytest.mark.parametrize("current", [False, True])
def test_integers_give_the_same_spikes(current: bool) -> None:
    made = lasting(current)
    program = quantize(made, X)
    recording = emulate(program, program.encode(X))
    np.testing.assert_array_equal(recording.spikes["output"], written_out(made, current, 0.0))
    assert program.nodes["lif"].reset == "subtract_delayed"


def test_lava_gives_the_same_spikes() -> None:
    made = lasting(False)
    program = quantize(made, X)
    recording = simulate_on_lava(program, program.encode(X))
    np.testing.assert_array_equal(recording.spikes["output"], written_out(made, False, 0.0))


def test_another_reset_can_be_asked_for() -> None:
    """Then nothing is brought back, and the ledger says what it cost."""
    network = lower(lasting(False))
    zeroed = with_reset(network, "zero", {"input": X})
    (entry,) = [e for e in zeroed.ledger if "reset" in e.change]
    assert entry.change == "reset none becomes zero"
    assert with_reset_returned(zeroed) is zeroed


def test_a_reset_and_a_recurrence_of_its_own_are_told_apart() -> None:
    """Two Scales lead back; the one that takes the threshold away is the reset, whatever the names."""
    made = lasting(False, 0.25)
    made.nodes["a_reset"] = nir.Scale(-np.ones(5))
    made = graph([*made.edges, ("lif", "a_reset"), ("a_reset", "membrane")], **made.nodes)
    network = lower(made, dt=DT)
    assert network.populations["lif"].reset == "subtract_delayed"
    (back,) = [p for p in network.projections if p.source == "lif"]
    assert back.weights.matrix.toarray().tolist() == (0.25 * np.eye(5)).tolist()
