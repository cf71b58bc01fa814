"""NIR to float network: every supported node by an independent computation, every refusal by its text."""

import json

import nir
import numpy as np
import pytest
import torch

from snnfuse.export.float_run import simulate
from snnfuse.export.lowering import lower
from snnfuse.export.resets import with_reset
from snnfuse.hardware.errors import InputError, UnsupportedError

DT = 1e-4
RNG = np.random.default_rng(0)


def lif(*shape: int, beta: float = 0.9, theta: float = 1.0, **changes: np.ndarray) -> nir.LIF:
    ones = np.ones(shape)
    values = {"tau": ones * DT / (1 - beta), "r": ones / (1 - beta), "v_leak": 0 * ones, "v_threshold": theta * ones, "v_reset": 0 * ones}
    return nir.LIF(**{**values, **changes})


def li(*shape: int, beta: float) -> nir.LI:
    ones = np.ones(shape)
    return nir.LI(tau=ones * DT / (1 - beta), r=ones / (1 - beta), v_leak=0 * ones)


def graph(edges: list[tuple[str, str]], meta: bool = True, **nodes: nir.NIRNode) -> nir.NIRGraph:
    metadata = {"snnfuse": json.dumps({"dt": DT})} if meta else {}
    return nir.NIRGraph(nodes, edges, metadata=metadata, type_check=False)


def chain(*nodes: nir.NIRNode, size: int | tuple = 4, meta: bool = True) -> nir.NIRGraph:
    names = [f"n{i}" for i in range(len(nodes))]
    shape = np.atleast_1d(np.array(size))
    ends = {"input": nir.Input({"input": shape}), "output": nir.Output(nodes[-1].output_type)}
    return graph(list(zip(["input", *names], [*names, "output"])), meta, **ends, **dict(zip(names, nodes)))


def spikes(*shape: int, rate: float = 0.3) -> np.ndarray:
    return (np.random.default_rng(7).random(shape) < rate).astype(float)


def test_a_chain_is_the_network_it_says() -> None:
    weight, bias = RNG.normal(size=(3, 4)), RNG.normal(size=3)
    network = lower(chain(nir.Affine(weight, bias), lif(3)))
    x = spikes(50, 2, 4)
    v, expected = np.zeros((2, 3)), []
    for t in range(50):
        v = 0.9 * v + x[t] @ weight.T + bias
        s = v > 1
        v = np.where(s, 0, v)
        expected.append(s)
    np.testing.assert_array_equal(simulate(network, {"input": x}).spikes["n1"], expected)
    assert network.ledger == ()


def test_layers_between_populations_become_one_matrix() -> None:
    """AvgPool, Conv, Flatten, Scale and Affine in a row, biases carried along, against torch in float64."""
    kernel, kernel_bias = RNG.normal(size=(3, 2, 3, 3)), RNG.normal(size=3)
    scale, weight, bias = RNG.normal(size=75), RNG.normal(size=(5, 75)), RNG.normal(size=5)
    two = np.array([2, 2])
    nodes = (
        nir.AvgPool2d(two, two, np.array([0, 0])),
        nir.Conv2d((5, 5), kernel, 1, 1, 1, 1, kernel_bias),
        nir.Flatten({"input": np.array([3, 5, 5])}, 0, -1),
        nir.Scale(scale),
        nir.Affine(weight, bias),
        lif(5),
    )
    network = lower(chain(*nodes, size=(2, 10, 10)))
    x = spikes(1, 4, 2, 10, 10)
    y = torch.nn.functional.avg_pool2d(torch.from_numpy(x[0]), 2)
    y = torch.nn.functional.conv2d(y, torch.from_numpy(kernel), torch.from_numpy(kernel_bias), padding=1).flatten(1).numpy()
    expected = (y * scale) @ weight.T + bias
    (projection,) = network.projections
    population = network.populations["n5"]
    found = (projection.weights.matrix @ x.reshape(4, -1).T).T + population.bias
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups, stride, padding, dilation", [(1, 2, 1, 1), (2, (1, 2), (2, 0), (1, 2)), (4, 1, "same", 2)])
def test_convolutions_keep_their_structure(groups: int, stride, padding, dilation) -> None:
    kernel = RNG.normal(size=(8, 4 // groups, 3, 3))
    x = torch.from_numpy(spikes(2, 4, 9, 8))
    expected = torch.nn.functional.conv2d(x, torch.from_numpy(kernel), None, stride, padding, dilation, groups)
    node = nir.Conv2d((9, 8), kernel, stride, padding, dilation, 1, np.zeros(8))
    node.groups = groups  # nir's constructor refuses grouped kernels
    network = lower(chain(node, lif(*expected.shape[1:]), size=(4, 9, 8)))
    (projection,) = network.projections
    assert projection.weights.values.shape == kernel.shape
    np.testing.assert_allclose((projection.weights.matrix @ x.numpy().reshape(2, -1).T).T, expected.numpy().reshape(2, -1), atol=1e-12)


def test_conv1d_is_a_row() -> None:
    kernel, bias = RNG.normal(size=(5, 3, 4)), RNG.normal(size=5)
    x = torch.from_numpy(spikes(2, 3, 20))
    expected = torch.nn.functional.conv1d(x, torch.from_numpy(kernel), torch.from_numpy(bias), 2, 1)
    network = lower(chain(nir.Conv1d(20, kernel, 2, 1, 1, 1, bias), lif(*expected.shape[1:]), size=(3, 20)))
    found = (network.projections[0].weights.matrix @ x.numpy().reshape(2, -1).T).T.reshape(expected.shape) + network.populations["n1"].bias
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-12)


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


def test_a_subtraction_of_something_else_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"node 'reset' takes 0\.5 from the voltage per spike; only the threshold \(1"):
        lower(subtracting(-0.5))


def test_reading_the_inside_of_a_neuron_is_refused() -> None:
    inside = subtracting(-1.0)
    inside.nodes["second"] = nir.Output({"output": np.array([3])})
    inside.edges.append(("cell", "second"))
    with pytest.raises(UnsupportedError, match="'cell' -> 'second' leaves the inside of the neuron 'lif'"):
        lower(inside)


def test_a_foreign_graph_says_neither_dt_nor_reset() -> None:
    foreign = chain(nir.Linear(np.eye(4)), lif(4), meta=False)
    assert [entry.change for entry in lower(foreign).ledger] == ["reset rule read as NIR's: to zero, at once", "time step dt = 0.0001 s"]
    assert [entry.change for entry in lower(foreign, dt=5e-5).ledger] == ["reset rule read as NIR's: to zero, at once"]
    np.testing.assert_allclose(lower(foreign, dt=5e-5).populations["n1"].beta, 0.95)


def test_skip_paths_get_their_delay() -> None:
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        **{f"fc{i}": nir.Linear(RNG.normal(size=(4, 4))) for i in range(4)},
        **{f"lif{i}": lif(4) for i in range(3)},
        "output": nir.Output({"output": np.array([4])}),
    }
    edges = [("input", "fc0"), ("fc0", "lif0"), ("lif0", "fc1"), ("fc1", "lif1"), ("lif1", "fc2"), ("fc2", "lif2"), ("lif2", "output")]
    network = lower(graph([*edges, ("input", "fc3"), ("fc3", "lif2")], **nodes))
    assert network.depth == {"input": 0, "lif0": 1, "lif1": 2, "lif2": 3}
    assert {(p.source, p.target): network.delay(p) for p in network.projections}[("input", "lif2")] == 2


@pytest.mark.parametrize(
    "node, message",
    [
        (nir.Delay(np.ones(4)), "node 'n0' is a Delay, which has no counterpart"),
        (lif(4, v_reset=np.full(4, 0.1)), "v_reset is 0.1; the chip resets to 0 only"),
        (lif(4, v_threshold=np.zeros(4)), "v_threshold must be positive, not 0"),
        (nir.Threshold(np.ones(4)), "a Threshold without a membrane is kept only as a maximum of spikes"),
    ],
)
def test_what_cannot_be_kept_is_named(node: nir.NIRNode, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        lower(chain(node, nir.Linear(np.eye(4)), lif(4)))


@pytest.mark.parametrize(
    "node, message",
    [
        (nir.Affine(np.eye(4), np.array([0, np.nan, 0, 0])), "node 'n0': bias holds NaN or infinite"),
        (nir.Linear(np.full((4, 4), np.inf)), "node 'n0': weight holds NaN or infinite"),
        (nir.Linear(np.eye(3)), r"node 'n0': weights of shape \(3, 3\) cannot take an input of shape \(4,\)"),
        (nir.Linear(np.ones((5, 4))), r"gives shape \(5,\), but 'n1' has \(4,\)"),
    ],
)
def test_bad_parameters_are_named(node: nir.NIRNode, message: str) -> None:
    with pytest.raises(InputError, match=message):
        lower(chain(node, lif(4)))


def test_a_time_constant_below_dt_is_named() -> None:
    with pytest.raises(InputError, match=r"node 'n1': tau 5e-05 s is shorter than the time step dt = 0.0001 s"):
        lower(chain(nir.Linear(np.eye(4)), lif(4, tau=np.full(4, 5e-5))))


def test_long_feedback_is_refused_by_name() -> None:
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        **{f"fc{i}": nir.Linear(RNG.normal(size=(4, 4))) for i in range(3)},
        "a": lif(4),
        "b": lif(4),
        "output": nir.Output({"output": np.array([4])}),
    }
    edges = [("input", "fc0"), ("fc0", "a"), ("a", "fc1"), ("fc1", "b"), ("b", "fc2"), ("fc2", "a"), ("b", "output")]
    with pytest.raises(UnsupportedError, match="feedback through a, b takes more than one synapse"):
        lower(graph(edges, **nodes)).depth  # noqa: B018


def test_an_output_without_neurons_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="output 'output' reads 'n2'; an output reads one neuron population"):
        lower(chain(nir.Linear(np.eye(4)), lif(4), nir.Linear(np.eye(4))))


def test_a_model_is_no_graph() -> None:
    with pytest.raises(InputError, match="a NIR graph is needed, not a Linear; make one with snnfuse.export.to_nir"):
        lower(torch.nn.Linear(2, 2))


def test_loose_nodes_are_refused() -> None:
    loose = chain(nir.Linear(np.eye(4)), lif(4))
    loose.nodes["alone"] = nir.Linear(np.eye(4))
    with pytest.raises(UnsupportedError, match="node 'alone' leads nowhere"):
        lower(loose)


# --- what spells a population ----------------------------------------------------------------------------------------


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


# --- pooling ---------------------------------------------------------------------------------------------------------


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


def test_a_maximum_of_weighted_spikes_is_refused() -> None:
    graph = pooling(np.array(0.5))
    graph.nodes["half"] = nir.Scale(np.array(0.25))
    graph.edges.remove(("n0", "n1"))
    graph.edges += [("n0", "half"), ("half", "n1")]
    with pytest.raises(UnsupportedError, match="node 'n2': a Threshold without a membrane is kept only as a maximum of spikes"):
        lower(graph)


@pytest.mark.parametrize("reset", ["subtract", "subtract_delayed"])
def test_a_reset_for_all_leaves_a_maximum_as_it_is(reset: str) -> None:
    """Every pooled spike arrives, in every step; a delayed subtraction from a maximum would lose every second one."""
    x = {"input": np.ones((6, 1, 2, 4, 4))}
    network = with_reset(lower(pooling(np.array(0.5))), reset, x)
    assert {name: p.reset for name, p in network.populations.items()} == {"n0": reset, "n2": "zero", "n5": reset}
    assert [entry.node for entry in network.ledger] == ["n0", "n5"]
    assert simulate(network, x).spikes["n2"].all()


# --- shapes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,)])
def test_one_number_stands_for_every_neuron(shape: tuple) -> None:
    """Neurons behind 3 weights rows, with parameters of one element: the same network as written out."""
    weight, x = RNG.normal(size=(3, 4)), {"input": spikes(40, 2, 4)}
    one = lower(chain(nir.Linear(weight), lif(*shape), nir.Linear(weight.T), li(*shape, beta=0.5)))
    full = lower(chain(nir.Linear(weight), lif(3), nir.Linear(weight.T), li(4, beta=0.5)))
    assert {name: p.shape for name, p in one.populations.items()} == {"n1": (3,), "n3": (4,)}
    assert {p.shape for p in (one.populations["n1"].beta, one.populations["n1"].theta, one.populations["n1"].gain)} == {(3,)}
    np.testing.assert_array_equal(simulate(one, x).spikes["n1"], simulate(full, x).spikes["n1"])
    np.testing.assert_array_equal(simulate(one, x).v["n3"], simulate(full, x).v["n3"])


def test_a_scalar_subtraction_loop_takes_the_shape_it_is_fed() -> None:
    loop = subtracting(-1.0)
    loop.nodes |= {"cell": li(beta=0.9), "lif": nir.Threshold(np.ones(())), "reset": nir.Scale(np.array(-1.0))}
    assert lower(loop).populations["lif"].theta.tolist() == [1.0] * 3


def test_a_population_always_has_an_axis() -> None:
    nodes = {"input": nir.Input({"input": np.array([], int)}), "n": lif(), "output": nir.Output({"output": np.array([], int)})}
    network = lower(graph([("input", "n"), ("n", "output")], **nodes))
    assert network.inputs == {"input": (1,)} and network.populations["n"].shape == (1,)


@pytest.mark.parametrize("shape", [(4, 4), (16,), (4, 1), (1,)])
def test_a_scale_is_laid_out_as_its_input(shape: tuple) -> None:
    scale = RNG.uniform(1, 2, shape)
    network = lower(chain(nir.Scale(scale), lif(4, 4), size=(4, 4)))
    full = scale.reshape(4, 4) if scale.size == 16 else np.broadcast_to(scale, (4, 4))
    assert network.projections[0].weights.matrix.toarray().tolist() == np.diag(full.ravel()).tolist()


@pytest.mark.parametrize("scale", [np.ones(5), np.arange(5.0), np.ones((2, 8)), np.ones(4)])
def test_a_scale_of_another_size_is_refused(scale: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"node 'n0': a scale of shape .* does not fit \(4, 4\)"):
        lower(chain(nir.Scale(scale), lif(4, 4), size=(4, 4)))


def test_axes_in_another_order_are_refused() -> None:
    with pytest.raises(InputError, match=r"input gives shape \(2, 3, 4\), but 'n0' has \(4, 3, 2\)"):
        lower(chain(lif(4, 3, 2), size=(2, 3, 4)))
    assert lower(chain(lif(24), size=(2, 3, 4))).populations["n0"].shape == (24,)


def test_a_declared_output_must_be_what_arrives() -> None:
    wrong = chain(nir.Linear(np.eye(4)), lif(4))
    wrong.nodes["output"] = nir.Output({"output": np.array([3])})
    with pytest.raises(InputError, match=r"output 'output' is declared with shape \(3,\), but 'n1' has \(4,\)"):
        lower(wrong)


def test_a_declared_convolution_must_be_what_arrives() -> None:
    kernel = RNG.normal(size=(2, 1, 3, 3))
    node = nir.Conv2d((5, 6), kernel, 1, 0, 1, 1, np.zeros(2))
    with pytest.raises(InputError, match=r"node 'n0': a convolution declared for \(5, 6\) cannot take an input of shape \(1, 6, 5\)"):
        lower(chain(node, lif(2, 4, 3), size=(1, 6, 5)))
    silent = nir.Conv2d(None, kernel, 1, 0, 1, 1, np.zeros(2))
    assert lower(chain(silent, lif(2, 4, 3), size=(1, 6, 5))).populations["n1"].shape == (2, 4, 3)


def test_a_window_larger_than_its_input_is_named() -> None:
    with pytest.raises(InputError, match=r"node 'n0': a window of \(7, 7\), .* cannot take an input of shape \(1, 6, 5\)"):
        lower(chain(nir.Conv2d(None, np.ones((1, 1, 7, 7)), 1, 0, 1, 1, np.zeros(1)), lif(1), size=(1, 6, 5)))


@pytest.mark.parametrize(
    "node, message",
    [
        (nir.Affine(np.ones((4, 4)), np.ones(3)), r"node 'n0': a bias of shape \(3,\) does not fit an output of shape \(4,\)"),
        (nir.Scale(np.float32("nan")), "node 'n0': scale holds NaN"),
    ],
)
def test_parameters_that_do_not_fit_are_named(node: nir.NIRNode, message: str) -> None:
    with pytest.raises(InputError, match=message):
        lower(chain(node, lif(4)))


# --- time ------------------------------------------------------------------------------------------------------------


def test_a_time_constant_of_one_step_survives_float32() -> None:
    neuron = lif(4, tau=np.full(4, np.float32(DT)), r=np.ones(4, np.float32))
    assert float(np.float32(DT)) < DT
    assert lower(chain(nir.Linear(np.eye(4)), neuron)).populations["n1"].beta.tolist() == [0.0] * 4


def test_a_time_step_other_than_the_files_is_in_the_ledger() -> None:
    ours = chain(nir.Linear(np.eye(4)), lif(4))
    assert lower(ours, dt=DT).ledger == ()
    (entry,) = lower(ours, dt=5e-5).ledger
    assert (entry.change, entry.reason) == ("time step read as 5e-05 s", "asked for with dt; the file says 0.0001 s")


@pytest.mark.parametrize(
    "metadata",
    ['{"dt": "abc"}', '{"dt": -1}', '{"dt": NaN}', "null", "{", b"\xff", "[]", '{"ledger": 5}', '{"ledger": [5]}']
    + ['{"ledger": [{"x": 1}]}', '{"ledger": [{"node": "a", "change": "b", "reason": 3}]}'],
)
def test_damaged_metadata_is_one_error(metadata: str | bytes) -> None:
    damaged = chain(nir.Linear(np.eye(4)), lif(4))
    damaged.metadata["snnfuse"] = metadata
    with pytest.raises(InputError, match="the graph's metadata is damaged: .*; export the model again"):
        lower(damaged)
