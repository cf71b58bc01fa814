"""Linear nodes between populations: folded as a graph, into few synapses that are the same linear map, in time that grows linearly."""

import nir
import numpy as np
import pytest
from lowering_graphs import DT, RNG, chain, graph, lif, spikes
from operation_count import count_operations

from snnfuse.export import lower, quantize, simulate
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.weights import ConvWeights, DenseWeights
from snnfuse.hardware import Program
from snnfuse.hardware.errors import InputError, UnsupportedError

Array = np.ndarray


def ends(size: int = 4) -> dict[str, nir.NIRNode]:
    return {"input": nir.Input({"input": np.array([size])}), "lif": lif(size), "output": nir.Output({"output": np.array([size])})}


def in_stages(stages: list[list[nir.NIRNode]], size: int = 4) -> nir.NIRGraph:
    """Nodes side by side in every stage, each fed by all of the stage before, between an input and neurons."""
    nodes, edges, before = ends(size), [("lif", "output")], ["input"]
    for i, stage in enumerate(stages):
        names = [f"stage{i}.{j}" for j in range(len(stage))]
        nodes |= dict(zip(names, stage, strict=True))
        edges += [(source, name) for source in before for name in names]
        before = names
    return graph([*edges, *((name, "lif") for name in before)], **nodes)


def linear_pairs(count: int) -> tuple[list[list[nir.NIRNode]], Array]:
    """Stages of two Linear nodes, and their map, multiplied out."""
    pairs = [RNG.normal(0, 0.4, (2, 4, 4)) for _ in range(count)]
    total = np.eye(4)
    for pair in pairs:
        total = pair.sum(0) @ total
    return [[nir.Linear(weight) for weight in pair] for pair in pairs], total


def dense(network: Network, source: str = "input", target: str = "lif") -> Array:
    found = [p.weights.matrix for p in network.projections if (p.source, p.target) == (source, target)]
    return np.sum([np.asarray(m) if isinstance(m, np.ndarray) else m.toarray() for m in found], axis=0)


@pytest.mark.parametrize("count", [2, 4, 12, 40])
def test_stages_of_two_are_one_map(count: int) -> None:
    stages, total = linear_pairs(count)
    network = lower(in_stages(stages))
    assert len(network.projections) == 1 and isinstance(network.projections[0].weights, DenseWeights)
    np.testing.assert_allclose(dense(network), total, rtol=1e-12, atol=1e-12 * np.abs(total).max())


def test_four_stages_of_two_are_at_most_two_groups_of_synapses() -> None:
    stages, _ = linear_pairs(4)
    program: Program = quantize(in_stages(stages), spikes(40, 8, 4))
    assert len([c for c in program.connections if c.source == "input"]) <= 2


def test_a_diamond_of_forty_stages_is_two_to_the_forty() -> None:
    """Paths counted by folding: 2**41 ways, each of factor 1."""
    network = lower(in_stages([[nir.Scale(np.ones(4)), nir.Scale(np.ones(4))] for _ in range(41)]))
    assert dense(network).tolist() == (2.0**41 * np.eye(4)).tolist()


def test_two_layers_that_meet_in_the_neurons_keep_weights_of_their_own() -> None:
    """They are rounded apart, each to its own scale, as the graph has them."""
    stages, total = linear_pairs(1)
    network = lower(in_stages(stages))
    assert [p.weights.matrix.tolist() for p in network.projections] == [node.weight.tolist() for node in stages[0]]
    np.testing.assert_array_equal(dense(network), total)


def test_three_thousand_in_a_row() -> None:
    angle = 2 * np.pi / 3000
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    network = lower(in_stages([[nir.Affine(turn, np.zeros(2))] for _ in range(3000)], size=2))
    np.testing.assert_allclose(dense(network), np.eye(2), atol=1e-10)


def test_weights_that_grow_beyond_all_numbers_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="the weights from 'input' to 'lif': no finite numbers once the layers on the way are"):
        lower(in_stages([[nir.Scale(np.ones(4)), nir.Scale(np.ones(4))] for _ in range(1100)]))


def test_biases_take_every_way() -> None:
    """A bias in front of three stages of two arrives eight times over, and the last stage adds its own."""
    first, last = np.array([0.5, -1, 2, 0.25]), np.array([1.0, 2, 3, 4])
    twice = [[nir.Scale(np.ones(4)), nir.Scale(np.ones(4))] for _ in range(3)]
    network = lower(in_stages([[nir.Affine(np.eye(4), first)], *twice, [nir.Affine(np.eye(4), last)]]))
    assert network.populations["lif"].bias.tolist() == (8 * first + last).tolist()


def image(*stages: list[nir.NIRNode], out: tuple[int, ...]) -> nir.NIRGraph:
    found = in_stages(list(stages))
    found.nodes |= {"input": nir.Input({"input": np.array([2, 6, 6])}), "lif": lif(*out), "output": nir.Output({"output": np.array(out)})}
    return found


def conv(kernel: Array, padding: int = 1) -> nir.Conv2d:
    return nir.Conv2d((6, 6), kernel, 1, padding, 1, 1, np.zeros(len(kernel)))


def test_convolutions_of_one_geometry_add_to_a_convolution() -> None:
    kernels = RNG.normal(size=(2, 3, 2, 3, 3))
    network = lower(image([conv(kernels[0]), conv(kernels[1])], [nir.Scale(np.full(1, 0.5))], out=(3, 6, 6)))
    (projection,) = network.projections
    assert isinstance(projection.weights, ConvWeights)
    np.testing.assert_array_equal(projection.weights.kernel, 0.5 * kernels.sum(0))


def test_maps_of_other_structure_stay_apart_until_something_multiplies_them() -> None:
    """A convolution beside one of another window, and what passes as it is: three groups of synapses, or one behind a layer."""
    kernels = RNG.normal(size=(2, 2, 3, 3)), RNG.normal(size=(2, 2, 5, 5))
    sides = [conv(kernels[0]), conv(kernels[1], 2), nir.Scale(np.full(1, 2.0))]
    apart = lower(image(sides, [nir.Scale(np.full(1, 0.5))], out=(2, 6, 6)))
    assert [type(p.weights).__name__ for p in apart.projections] == ["ConvWeights", "ConvWeights", "SparseWeights"]
    weight = RNG.normal(size=(5, 72))
    flat = nir.Flatten({"input": np.array([2, 6, 6])}, 0, -1)
    (projection,) = lower(image(sides, [nir.Scale(np.full(1, 0.5))], [flat], [nir.Linear(weight)], out=(5,))).projections
    np.testing.assert_allclose(projection.weights.matrix, weight @ dense(apart), rtol=1e-12, atol=1e-12)


def test_ways_of_different_delay_stay_apart() -> None:
    """Three stages, each of a straight way and one of a step: 1, 3, 3, 1 ways of 0, 1, 2 and 3 steps."""
    network = lower(in_stages([[nir.Scale(np.ones(4)), nir.Delay(np.full(4, DT))] for _ in range(3)]))
    found = sorted((p.lag, p.weights.matrix.toarray().tolist()) for p in network.projections)
    assert found == [(lag, (ways * np.eye(4)).tolist()) for lag, ways in enumerate((1, 3, 3, 1))]


def test_delays_that_add_up_to_more_than_a_synapse_has_are_refused_by_their_way() -> None:
    stages = [[nir.Delay(np.full(4, 40 * DT))], [nir.Scale(np.ones(4))], [nir.Delay(np.full(4, 30 * DT))]]
    with pytest.raises(UnsupportedError, match=r"input -> stage0\.0 -> stage1\.0 -> stage2\.0 delays by 70 steps together"):
        lower(in_stages(stages))


def test_every_source_has_a_map_of_its_own() -> None:
    """A region with two ways in and two out, one of which leads back."""
    weights = RNG.normal(0, 0.4, (5, 4, 4))
    nodes = ends() | {name: nir.Linear(weight) for name, weight in zip("abcde", weights, strict=True)} | {"other": lif(4)}
    edges = [("input", "a"), ("input", "b"), ("lif", "b"), ("a", "c"), ("b", "c"), ("b", "d"), ("c", "d"), ("d", "lif"), ("c", "e")]
    network = lower(graph([*edges, ("e", "other"), ("lif", "output"), ("other", "out2")], **nodes, out2=nir.Output(np.array([4]))))
    a, b, c, d, e = weights
    expected = {
        ("input", "lif"): d @ (c @ (a + b) + b),
        ("lif", "lif"): d @ (c @ b + b),
        ("input", "other"): e @ c @ (a + b),
        ("lif", "other"): e @ c @ b,
    }
    assert {(p.source, p.target) for p in network.projections} == {*expected} and len(network.projections) == 4
    for (source, target), matrix in expected.items():
        np.testing.assert_allclose(dense(network, source, target), matrix, rtol=1e-12, atol=1e-12)


def test_a_folded_region_spikes_like_its_matrix() -> None:
    stages, total = linear_pairs(3)
    x = {"input": 4 * spikes(60, 4, 4)}
    folded, plain = lower(in_stages(stages)), lower(chain(nir.Linear(total), lif(4)))
    found = simulate(folded, x).spikes["lif"]
    np.testing.assert_array_equal(found, simulate(plain, x).spikes["n1"])
    assert 0.02 < found.mean() < 0.98


def test_a_loop_without_a_neuron_is_named_in_its_order() -> None:
    looped = in_stages([[nir.Linear(np.eye(4))] for _ in range(3)])
    looped.edges.append(("stage2.0", "stage1.0"))
    with pytest.raises(UnsupportedError, match=r"the loop stage1\.0 -> stage2\.0 -> stage1\.0 holds no neuron"):
        lower(looped)


def neurons_in_a_row(count: int) -> nir.NIRGraph:
    return chain(*(node for _ in range(count) for node in (nir.Linear(np.eye(4)), lif(4))))


def layers_in_a_row(count: int) -> nir.NIRGraph:
    return in_stages([[nir.Linear(np.eye(4))] for _ in range(count)])


def diamonds(count: int) -> nir.NIRGraph:
    return in_stages([[nir.Linear(np.eye(4)), nir.Scale(np.arange(4.0))] for _ in range(count)])


def regions_of_many_ways(count: int) -> nir.NIRGraph:
    """Neurons in a row, with two stages of two layers between each and the next."""
    nodes, edges, before = ends(), [], "input"
    for i in range(count):
        layers = [f"{side}{i}{stage}" for stage in "12" for side in "ab"]
        nodes |= {name: nir.Linear(np.eye(4)) for name in layers} | {f"n{i}": lif(4)}
        a, b, c, d = layers
        edges += [(before, a), (before, b), (a, c), (a, d), (b, c), (b, d), (c, f"n{i}"), (d, f"n{i}")]
        before = f"n{i}"
    return graph([*edges, (before, "lif"), ("lif", "output")], **nodes)


@pytest.mark.parametrize("build", [neurons_in_a_row, layers_in_a_row, diamonds, regions_of_many_ways])
def test_lowering_grows_linearly(build) -> None:
    """Four times the nodes and edges take four times the operations, give or take what does not grow at all."""
    small, large = (build(count) for count in (50, 200))
    counts = [count_operations(lambda each=each: lower(each, DT), "export/lowering", "hardware/ir") for each in (small, large)]
    nodes = len(large.nodes) / len(small.nodes)
    assert 0.9 * nodes < counts[1] / counts[0] < 1.1 * nodes
