"""NIR to float network: every supported node by an independent computation, every refusal by its text."""

import json

import nir
import numpy as np
import pytest
import torch

from snnfuse.export.float_run import simulate
from snnfuse.export.lowering import lower
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
    ends = {"input": nir.Input({"input": shape}), "output": nir.Output({"output": shape})}
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


def test_loose_nodes_are_refused() -> None:
    loose = chain(nir.Linear(np.eye(4)), lif(4))
    loose.nodes["alone"] = nir.Linear(np.eye(4))
    with pytest.raises(UnsupportedError, match="node 'alone' leads nowhere"):
        lower(loose)
