"""NIR to float network: every supported layer by an independent computation, delays, shapes and the time step."""

import nir
import numpy as np
import pytest
import torch
from lowering_graphs import DT, RNG, chain, graph, li, lif, spikes

from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.export.lowering.nir_to_network import lower


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


def test_a_time_constant_of_one_step_survives_float32() -> None:
    neuron = lif(4, tau=np.full(4, np.float32(DT)), r=np.ones(4, np.float32))
    assert float(np.float32(DT)) < DT
    assert lower(chain(nir.Linear(np.eye(4)), neuron)).populations["n1"].beta.tolist() == [0.0] * 4


def test_a_time_step_other_than_the_files_is_in_the_ledger() -> None:
    ours = chain(nir.Linear(np.eye(4)), lif(4))
    assert lower(ours, dt=DT).ledger == ()
    (entry,) = lower(ours, dt=5e-5).ledger
    assert (entry.change, entry.reason) == ("time step read as 5e-05 s", "asked for with dt; the file says 0.0001 s")
