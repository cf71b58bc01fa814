"""Products of counts and sums over time: what is recognised, what stays thresholds, what is refused, and where relays are put."""

from collections.abc import Callable
from dataclasses import replace

import nir
import nir_equations
import numpy as np
import pytest
import torch
from attention_models import ATTENTIONS, pictures, spiking
from scipy import sparse
from torch import nn

from snnfuse.export import lower, quantize, simulate, to_nir
from snnfuse.export.lowering.network import Network, Projection
from snnfuse.export.lowering.populations import memoryless
from snnfuse.export.lowering.split_fan_in import MANY, with_relays
from snnfuse.export.lowering.weights import from_matrix
from snnfuse.export.tracing.emit.maps import summed_over
from snnfuse.hardware.chip import LIMITS, check_chip
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.networks import Accumulator, run
from snnfuse.nn import quantization_aware

AXONS = LIMITS["axons_in"].value


def product_graph(sources: int = 2, levels: int = 2, theta: float | None = None, factor: float | None = None) -> nir.NIRGraph:
    """x q over 3 neurons, x the sum of `sources` LIFs, as `levels` thresholds, of which the first may have another one."""
    one = {"tau": np.full(3, 1e-4), "r": np.ones(3), "v_leak": np.zeros(3), "v_reset": np.zeros(3), "v_threshold": np.full(3, 0.5)}
    nodes: dict[str, nir.NIRNode] = {"q": nir.LIF(**one), "gate": nir.Scale(np.full(3, factor or levels)), "out": nir.Output(np.array([2]))}
    nodes |= {f"x{i}": nir.LIF(**one) for i in range(sources)} | {f"in{i}": nir.Input(np.array([3])) for i in range(sources + 1)}
    nodes |= {f"p.{n}": nir.Threshold(np.full(3, levels + n - 0.5)) for n in range(1, levels + 1)}
    nodes["read"] = nir.Linear(np.arange(6.0).reshape(2, 3) - 2)
    if theta is not None:
        nodes["p.1"] = nir.Threshold(np.full(3, theta))
    edges = [(f"in{i}", f"x{i}") for i in range(sources)] + [(f"in{sources}", "q"), ("q", "gate")]
    for n in range(1, levels + 1):
        edges += [("gate", f"p.{n}"), (f"p.{n}", "read"), *((f"x{i}", f"p.{n}") for i in range(sources))]
    return nir.NIRGraph(nodes, [*edges, ("read", "out")])


def events(graph: nir.NIRGraph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: (rng.random((6, 4, 3)) < 0.6).astype(float) for name, node in graph.nodes.items() if isinstance(node, nir.Input)}


def is_the_graph(graph: nir.NIRGraph) -> bool:
    """Whether the float network gives what NIR's own equations do."""
    x, network = events(graph), lower(graph, 1e-4)
    return bool((simulate(network, x).v["out"] == nir_equations.simulate(graph, x)["out"]).all())


def test_a_product_is_found_whatever_its_nodes_are_called() -> None:
    graph = product_graph(3, 3)
    names = {name: f"n{i}" for i, name in enumerate(sorted(graph.nodes))}
    names |= {name: name for name in graph.nodes if isinstance(graph.nodes[name], nir.Input | nir.Output)}
    other = nir.NIRGraph({names[n]: node for n, node in graph.nodes.items()}, [(names[s], names[t]) for s, t in graph.edges])
    for each in (graph, other):
        assert [p.bounds for p in lower(each, 1e-4).populations.values() if p.kind == "product"] == [(3, 1)]
        assert is_the_graph(each)


@pytest.mark.parametrize(
    "changed",
    [
        {"theta": 2.25},  # another threshold
        {"factor": 3.0},  # another factor
        {"sources": 3},  # x may be 3, and there are two thresholds
    ],
)
def test_what_is_nearly_a_product_stays_thresholds(changed: dict) -> None:
    graph = product_graph(**changed)
    kinds = {name: p.kind for name, p in lower(graph, 1e-4).populations.items()}
    assert {"p.1", "p.2"} <= kinds.keys() and set(kinds.values()) == {"neuron"}
    assert is_the_graph(graph)


def test_a_threshold_that_something_else_reads_makes_no_product() -> None:
    graph = product_graph()
    nodes = {**graph.nodes, "other": nir.Output(np.array([3]))}
    network = lower(nir.NIRGraph(nodes, [*graph.edges, ("p.1", "other")]), 1e-4)
    assert {p.kind for p in network.populations.values()} == {"neuron"}


class Model(nn.Module):
    """Two layers of spikes, and what `forward_of` makes of them and the input."""

    def __init__(self, forward_of: Callable[..., torch.Tensor], bound: int = 4) -> None:
        super().__init__()
        self.a, self.b, self.out = spiking(2, 4), spiking(2, 4), spiking(4, 2)
        self.conv, self.sum, self.compute = nn.Conv2d(2, 4, 1), Accumulator(bound), forward_of

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.compute(self, self.a(x), self.b(x), x))


@pytest.mark.parametrize(
    "forward_of, why",
    [
        (lambda m, a, b, x: a * m.conv(x) + b, "it multiplies a.1 (Leaky): its spikes and conv (Conv2d), of which one is no"),
        (lambda m, a, b, x: (a - b) * b, "it takes something away"),
        (lambda m, a, b, x: (a + 1) * b, "a constant is added to it"),
        (lambda m, a, b, x: (a + 0.3 * b) * b, "its weights are no multiples of one number"),
        (lambda m, a, b, x: a * b * torch.cat([x, x], 1), "x puts out numbers of any size"),
        (lambda m, a, b, x: m.sum(a) + m.sum(b), "sum (Accumulator): it sums over time, and forward calls it 2 times"),
        (lambda m, a, b, x: m.sum(m.conv(x)) + a + b, "sum (Accumulator): it sums what is no count"),
        (lambda m, a, b, x: torch.einsum("bchw,bchw,bchw->bchw", a, b, a), "it multiplies 3 values at once; multiply two at a time"),
        (lambda m, a, b, x: torch.einsum("bcii,bchw->bchw", a[:, :, :, :3], b), "takes a diagonal"),
        (lambda m, a, b, x: torch.einsum("achw,bchw->bchw", a, b), "it multiplies across the batch"),
        (lambda m, a, b, x: torch.max_pool2d(a + b, 3, 1, 1) * a, "puts out numbers of any size"),
    ],
)
def test_what_is_no_product_of_counts_is_refused(forward_of: Callable[..., torch.Tensor], why: str) -> None:
    with pytest.raises(UnsupportedError, match=".") as error:
        to_nir(Model(forward_of), pictures()[0])
    assert why in str(error.value)


def test_factors_of_too_many_levels_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="above 4096; sum over fewer, or give accumulators lower bounds"):
        to_nir(Model(lambda m, a, b, x: m.sum(a) * a.sum((1, 2, 3), keepdim=True) + b, bound=100), pictures()[0])


def test_products_of_every_token_with_every_other_are_refused_where_they_are_too_many() -> None:
    every = Model(lambda m, a, b, x: (a.flatten(2) @ (a.flatten(2).transpose(1, 2) @ b.flatten(2))).unflatten(2, (12, 12)))
    with pytest.raises(UnsupportedError, match=r"above 8388608; multiply first what sums over tokens, as Q \(K\^T V\)"):
        to_nir(every, torch.zeros(1, 2, 12, 12))


def test_a_sum_that_exceeds_its_bound_on_data_is_refused() -> None:
    model, x = Model(lambda m, a, b, x: m.sum(a) * b, bound=2).eval(), torch.ones(8, 2, 2, 3, 4)
    with pytest.raises(InputError, match="a factor of the product 'mul' reaches 8, above its bound of 2"):
        quantize(to_nir(model, x[0]), x.numpy())


def test_quantization_aware_training_refuses_products_by_name() -> None:
    x = pictures()
    with pytest.raises(UnsupportedError, match=r"sums counts, .*: .*\((product|relay)\).*train it in float and quantize it"):
        quantization_aware(ATTENTIONS["temporal"](), x)


@pytest.mark.parametrize("dims", [(2,), (2, 4), (1, 2, 3, 4), (-1,)])
@pytest.mark.parametrize("kind", [torch.sum, torch.mean])
def test_sums_over_axes_are_matrices(dims: tuple[int, ...], kind: Callable[..., torch.Tensor]) -> None:
    matrix = summed_over(lambda x: kind(x, dims), (3, 4, 1, 5))
    x = torch.rand(1, 3, 4, 1, 5, dtype=torch.float64)
    np.testing.assert_allclose(matrix @ x.numpy().ravel(), kind(x, dims).numpy().ravel(), rtol=1e-12)
    assert summed_over(lambda x: torch.cumsum(x, 1), (3, 4)) is None


def wide(count: int, targets: int, kinds: int) -> Network:
    """A population of `count` spikes, and one of `targets` neurons that weighs each of its `kinds` of neurons alike."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-8, 9, (targets, kinds))[:, np.arange(count) % kinds] / 16
    populations = {"a": memoryless((count,), 0.5), "b": memoryless((targets,), 1.0)}
    projections = (Projection("x", "a", from_matrix(sparse.identity(count))), Projection("a", "b", from_matrix(weights)))
    return Network({"x": (count,)}, populations, projections, {"out": "b"}, 1e-4)


def test_a_relay_is_put_where_equal_weights_repeat_and_changes_no_spike() -> None:
    network = wide(4096, 64, 16)
    assert 4096 * 64 >= MANY
    found = with_relays(network)
    assert found.populations["b.relay"].kind == "relay" and found.populations["b.relay"].shape == (16,)
    assert sum(p.weights.matrix.nnz if sparse.issparse(p.weights.matrix) else p.weights.matrix.size for p in found.into("b")) <= 16 * 64
    x = {"x": (np.random.default_rng(1).random((3, 2, 4096)) < 0.1).astype(float)}
    before, after = simulate(network, x), simulate(found, x)
    np.testing.assert_array_equal(before.spikes["b"], after.spikes["b"])
    assert before.spikes["b"].any() and found.depth["b"] == network.depth["b"] + 1


def test_a_relay_adds_up_inputs_that_bring_spikes_and_no_others() -> None:
    count = AXONS + 8
    network = wide(count, 4, 8)
    direct = Projection("x", "b", network.into("b")[0].weights)
    network = Network(network.inputs, {"b": network.populations["b"]}, (direct,), network.outputs, network.dt)
    graph_input = (np.random.default_rng(1).random((3, 2, count)) < 0.1).astype(float)
    assert with_relays(network) is network
    found = with_relays(network, spikes=["x"])
    assert {p.source for p in found.into("b")} == {"b.relay"} and {p.source for p in found.into("b.relay")} == {"x"}
    before, after = (simulate(n, {"x": graph_input}).spikes["b"] for n in (network, found))
    np.testing.assert_array_equal(before, after)
    assert before.any()


def test_a_classifier_of_more_spikes_than_a_core_has_axons_reads_them_by_a_relay_and_numbers_directly() -> None:
    linear = nir.Affine(np.repeat(np.random.default_rng(0).normal(size=(3, 8)) / 64, AXONS // 4, axis=1), np.zeros(3))
    nodes = {"x": nir.Input(np.array([2 * AXONS])), "map": linear, "out": nir.LIF(*np.ones((4, 3)) * [[2e-4], [1], [0], [1]])}
    graph = nir.NIRGraph({**nodes, "y": nir.Output(np.array([3]))}, [("x", "map"), ("map", "out"), ("out", "y")])
    spikes = (np.random.default_rng(1).random((3, 4, 2 * AXONS)) < 0.01).astype(float)
    program = quantize(graph, spikes)
    assert program.nodes["out.relay"].shape == (8,)
    check_chip(program)
    assert "out.relay" not in quantize(graph, spikes * 0.3).nodes


@pytest.mark.parametrize("size", [(512, 64, 16), (4096, 64, 4096)])
def test_no_relay_is_put_where_it_does_not_pay(size: tuple[int, int, int]) -> None:
    network = wide(*size)
    assert with_relays(network) is network


def test_a_head_of_more_sources_than_input_axons_fits_a_core_with_a_relay() -> None:
    network = wide(AXONS + 8, 4, 8)
    found = with_relays(network)
    assert "b.relay" in found.populations
    assert with_relays(replace(found)) is not None and len(with_relays(found).populations) == len(found.populations)


def test_a_mean_over_tokens_before_a_classifier_fits_the_chip() -> None:
    """Both modalities' tokens are more sources than a core has input axons; one relay adds up those of a channel."""

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(spiking(2, 16, gain=6.0) for _ in range(3))
            self.head = nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(sum(part(x) for part in self.parts).flatten(2).mean(2))

    torch.manual_seed(0)
    x = (torch.rand(2, 2, 2, 16, 16) < 0.5).float()
    model = Head().eval()
    program = quantize(to_nir(model, x[0]), x.numpy())
    assert program.nodes["output.relay"].shape == (16,)
    tiers = {layer.name: layer.tier for layer in check_chip(program).layers}
    assert tiers["output.relay"] == "B" and tiers["output"] == "A"
    with torch.no_grad():
        expected = run(model, x).numpy()
    network = with_relays(lower(to_nir(model, x[0])))
    np.testing.assert_allclose(simulate(network, {"x": x.numpy()}).v["output"], expected, atol=1e-5)
