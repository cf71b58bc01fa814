"""What spells a population: subtracting neurons, readouts, currents without a leak, maxima of spikes."""

import nir
import numpy as np
import pytest
from lowering_graphs import DT, RNG, chain, graph, li, lif, spikes

from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.outputs import output_values
from snnfuse.export.lowering.resets import with_reset
from snnfuse.hardware.errors import UnsupportedError


def subtracting(amount: float, beta: float = 0.9) -> nir.NIRGraph:
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        "fc": nir.Linear(RNG.normal(size=(3, 4))),
        "cell": li(3, beta=beta),
        "lif": nir.Threshold(np.ones(3)),
        "reset": nir.Scale(np.full(3, amount)),
        "output": nir.Output({"output": np.array([3])}),
    }
    edges = [("input", "fc"), ("fc", "cell"), ("cell", "lif"), ("lif", "reset"), ("reset", "cell"), ("lif", "output")]
    return graph(edges, **nodes)


@pytest.mark.parametrize("amount, reset", [(-1.0, "subtract_delayed"), (-0.9, "subtract")])
def test_the_subtraction_loop_is_one_neuron(amount: float, reset: str) -> None:
    network = lower(subtracting(amount))
    assert {name: p.reset for name, p in network.populations.items()} == {"lif": reset}
    assert [(p.source, p.target) for p in network.projections] == [("input", "lif")]


def test_a_subtraction_of_something_else_is_a_recurrence() -> None:
    """The membrane keeps what it has, and the neuron inhibits itself by half its threshold."""
    network, x = lower(subtracting(-0.5)), spikes(40, 2, 4)
    (neuron,), (fed, back) = network.populations.values(), network.projections
    assert neuron.reset == "none" and (fed.source, back.source) == ("input", "lif")
    assert back.weights.matrix.toarray().tolist() == (-0.5 * np.eye(3)).tolist()
    v, s, expected = np.zeros((2, 3)), np.zeros((2, 3)), []
    for step in x:
        v = 0.9 * v + step @ fed.weights.matrix.T - 0.5 * s
        s = (v > 1).astype(float)
        expected.append(s)
    np.testing.assert_array_equal(simulate(network, {"input": x}).spikes["lif"], expected)


def reading_the_membrane(amount: float) -> nir.NIRGraph:
    graph = subtracting(amount)
    graph.nodes["second"] = nir.Output({"output": np.array([3])})
    graph.edges.append(("cell", "second"))
    return graph


def test_an_output_reads_the_membrane_beside_the_spikes() -> None:
    network, x = lower(reading_the_membrane(-1.0)), spikes(40, 2, 4)
    assert network.outputs == {"output": "lif", "second": "lif"} and network.membranes == {"second"}
    run = simulate(network, {"input": x})
    v, s, expected = np.zeros((2, 3)), np.zeros((2, 3)), []
    for step in x:
        v = 0.9 * v + step @ network.projections[0].weights.matrix.T - s
        s = (v > 1).astype(float)
        expected.append(v)
    np.testing.assert_allclose(output_values(network, run, "second"), expected, rtol=1e-12)
    np.testing.assert_array_equal(output_values(network, run, "output"), np.array(expected) > 1)
    assert (output_values(network, run, "output")).any()


def test_a_voltage_that_no_neuron_keeps_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="output 'second' reads the voltage before a reset by subtraction that takes effect at once"):
        lower(reading_the_membrane(-0.9))


def test_reading_the_inside_of_a_neuron_is_refused() -> None:
    inside = reading_the_membrane(-1.0)
    inside.nodes["more"] = nir.Linear(np.eye(3))
    inside.edges += [("cell", "more"), ("more", "output")]
    with pytest.raises(UnsupportedError, match="'cell' -> '(more|second)' leaves the inside of the neuron 'lif'"):
        lower(inside)


def test_a_current_and_a_membrane_that_are_read_are_one_readout() -> None:
    """LI -> LI -> Output and I -> LI -> Output, against the recursion written out."""
    x = spikes(30, 2, 4)
    for current, alpha in ((li(4, beta=0.7), 0.7), (nir.I(np.full(4, 1 / DT)), 1.0)):
        network = lower(chain(current, li(4, beta=0.9)))
        assert list(network.populations) == ["n1"] and network.populations["n1"].is_readout
        assert [(p.source, p.target) for p in network.projections] == [("input", "n1")]
        i, v, expected = np.zeros((2, 4)), np.zeros((2, 4)), []
        for t in range(30):
            i = alpha * i + x[t]
            v = 0.9 * v + i
            expected.append(v)
        np.testing.assert_allclose(simulate(network, {"input": x}).v["n1"], expected, rtol=1e-12)


def test_a_membrane_that_feeds_neurons_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="node 'n0' passes its membrane on"):
        lower(chain(li(4, beta=0.9), nir.Linear(np.eye(4)), lif(4)))


def test_a_current_without_a_leak_may_feed_a_subtracting_neuron() -> None:
    loop = subtracting(-1.0)
    loop.nodes["current"] = nir.I(np.full(3, 1 / DT))
    loop.edges.remove(("fc", "cell"))
    loop.edges += [("fc", "current"), ("current", "cell")]
    (neuron,) = lower(loop).populations.values()
    assert neuron.reset == "subtract_delayed" and (neuron.alpha == 1).all()
    np.testing.assert_allclose(neuron.current_gain, 1, rtol=1e-15)


@pytest.mark.parametrize("edge", [("current", "current"), ("current", "lif"), ("reset", "current")])
def test_no_edge_inside_a_neuron_is_passed_over(edge: tuple[str, str]) -> None:
    loop = subtracting(-1.0)
    loop.nodes["current"] = li(3, beta=0.5)
    loop.edges.remove(("fc", "cell"))
    loop.edges += [("fc", "current"), ("current", "cell"), edge]
    with pytest.raises(UnsupportedError):
        lower(loop)


def test_a_spike_that_reaches_its_own_membrane_is_a_recurrence() -> None:
    loop = subtracting(-1.0)
    loop.edges.append(("lif", "cell"))
    assert [(p.source, p.target) for p in lower(loop).projections] == [("input", "lif"), ("lif", "lif")]


@pytest.mark.parametrize("theta", [0.0, -1.0])
def test_a_subtracting_neurons_threshold_must_be_positive(theta: float) -> None:
    loop = subtracting(-1.0)
    loop.nodes["lif"] = nir.Threshold(np.full(3, theta))
    with pytest.raises(UnsupportedError, match=f"node 'lif': threshold must be positive, not {theta:g}; shift"):
        lower(loop)


@pytest.mark.parametrize("amount, reset", [(-1.0, "subtract_delayed"), (-(1 - 5e-6), "subtract")])
def test_the_nearer_rule_is_meant_where_beta_is_almost_one(amount: float, reset: str) -> None:
    loop = subtracting(amount, beta=1 - 5e-6)
    loop.nodes["cell"] = nir.LI(tau=np.full(3, DT / 5e-6), r=np.full(3, 1 / 5e-6), v_leak=np.zeros(3))
    assert lower(loop).populations["lif"].reset == reset


def pooling(threshold: np.ndarray) -> nir.NIRGraph:
    two = np.array([2, 2])
    pool = (nir.SumPool2d(two, two, np.array([0, 0])), nir.Threshold(threshold), nir.Flatten({"input": (2, 2, 2)}, 0))
    return chain(lif(2, 4, 4, theta=0.5), *pool, nir.Linear(np.eye(8)), lif(8), size=(2, 4, 4))


@pytest.mark.parametrize("theta", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("shape", [(), (1,), (2, 1, 1), (2, 2, 2)])
def test_a_threshold_below_one_spike_is_a_maximum(theta: float, shape: tuple) -> None:
    network, x = lower(pooling(np.full(shape, theta))), spikes(20, 3, 2, 4, 4)
    run = simulate(network, {"input": x})
    expected = run.spikes["n0"].reshape(20, 3, 2, 2, 2, 2, 2).any((4, 6))
    np.testing.assert_array_equal(run.spikes["n2"], expected)
    assert (network.populations["n2"].theta == 0.5).all() and 0 < expected.mean() < 1


def test_a_threshold_of_weighted_spikes_is_what_it_says() -> None:
    graph, x = pooling(np.array(0.5)), spikes(20, 3, 2, 4, 4)
    graph.nodes["quarter"] = nir.Scale(np.array(0.25))
    graph.edges.remove(("n0", "n1"))
    graph.edges += [("n0", "quarter"), ("quarter", "n1")]
    run = simulate(lower(graph), {"input": x})
    counts = run.spikes["n0"].reshape(20, 3, 2, 2, 2, 2, 2).sum((4, 6))
    np.testing.assert_array_equal(run.spikes["n2"], 0.25 * counts > 0.5)
    assert 0 < run.spikes["n2"].mean() < 1


@pytest.mark.parametrize("reset", ["subtract", "subtract_delayed"])
def test_a_reset_for_all_leaves_a_maximum_as_it_is(reset: str) -> None:
    """Every pooled spike arrives, in every step; a delayed subtraction from a maximum would lose every second one."""
    x = {"input": np.ones((6, 1, 2, 4, 4))}
    network = with_reset(lower(pooling(np.array(0.5))), reset, x)
    assert {name: p.reset for name, p in network.populations.items()} == {"n0": reset, "n2": "zero", "n5": reset}
    assert [entry.node for entry in network.ledger] == ["n0", "n5"]
    assert simulate(network, x).spikes["n2"].all()


def test_a_scalar_subtraction_loop_takes_the_shape_it_is_fed() -> None:
    loop = subtracting(-1.0)
    loop.nodes |= {"cell": li(beta=0.9), "lif": nir.Threshold(np.ones(())), "reset": nir.Scale(np.array(-1.0))}
    assert lower(loop).populations["lif"].theta.tolist() == [1.0] * 3
