"""Networks that multiply counts: snnTorch, NIR's own equations, the float network and every backend agree, spike for spike."""

from collections.abc import Callable

import nir
import numpy as np
import pytest
import torch
from attention_models import ATTENTIONS, TIME, CrossModal, RandomCounts, pictures, spiking
from torch import nn

from snnfuse.export import from_nir, lower, quantize, to_nir
from snnfuse.hardware import Lif, Product, Program, Relay, compare, emulate, simulate_on_lava
from snnfuse.hardware.backends import reference as specification
from snnfuse.hardware.backends.torch_backend import run_torch
from snnfuse.hardware.overflow import state_bounds
from snnfuse.hardware.overflow.graded import PayloadBounds
from snnfuse.networks import Accumulator, run

MODELS: dict[str, Callable[[], nn.Module]] = {**ATTENTIONS, "cross-modal": CrossModal}
SEEDS = range(12)


def traced(name: str, seed: int = 0) -> tuple[nn.Module, nir.NIRGraph, torch.Tensor, np.ndarray]:
    """A model, its graph, inputs and what the model makes of them."""
    torch.manual_seed(seed)
    model, x = MODELS[name]().eval(), pictures(seed)
    with torch.no_grad():
        return model, to_nir(model, x[0]), x, run(model, x).numpy()


def as_in(graph: nir.NIRGraph, values: np.ndarray) -> np.ndarray:
    """Outputs in the shape that they have in a graph, where what NIR can only write out as a matrix is flat."""
    return values.reshape(*values.shape[:2], *graph.nodes["output"].output_type["output"])


def programmed(name: str) -> tuple[Program, dict[str, np.ndarray], np.ndarray]:
    _, graph, x, expected = traced(name)
    program = quantize(graph, x.numpy())
    return program, program.encode(x.numpy()), expected


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_is_the_network(name: str, agree: Callable[..., nir.NIRGraph]) -> None:
    _, graph, x, expected = traced(name)
    agree(graph, {"x": x}, {"output": as_in(graph, expected)})


@pytest.mark.parametrize("seed", SEEDS)
def test_random_products_are_the_network(seed: int, agree: Callable[..., nir.NIRGraph]) -> None:
    model, x = RandomCounts(seed).eval(), pictures(seed)
    with torch.no_grad():
        expected = run(model, x).numpy()
    graph = to_nir(model, x[0])
    agree(graph, {"x": x}, {"output": as_in(graph, expected)}, rate=False)


@pytest.mark.parametrize("name", MODELS)
def test_the_thresholds_are_found_again_as_products(name: str) -> None:
    _, graph, _, _ = traced(name)
    kinds = {p.kind for p in lower(graph).populations.values()}
    assert "product" in kinds and ("relay" in kinds) == any(isinstance(node, nir.I) for node in graph.nodes.values())
    assert not any(isinstance(graph.nodes.get(n), nir.Threshold) and p.kind == "neuron" for n, p in lower(graph).populations.items()
                   if not n.startswith("patches"))  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_the_program_is_the_network_on_every_backend(name: str) -> None:
    program, events, expected = programmed(name)
    wanted = specification.emulate(program, events, "all", states=True)
    assert 0 < wanted.spikes["output"].sum() < wanted.spikes["output"].size
    np.testing.assert_array_equal(wanted.spikes["output"].reshape(expected.shape), expected)
    for found in (emulate(program, events, "all", states=True), run_torch(program, events, "all", states=True)):
        assert compare(wanted, found).mismatches == 0


@pytest.mark.usefixtures("lava")
@pytest.mark.parametrize("name", ["temporal", "cross-modal"])
def test_lava_runs_it_alike(name: str) -> None:
    program, events, _ = programmed(name)
    wanted = specification.emulate(program, events, "all", states=True)
    assert compare(wanted, simulate_on_lava(program, events, "all", states=True)).mismatches == 0


def test_an_and_is_a_neuron_and_nothing_else_of_a_product_is_rounded() -> None:
    program, _, _ = programmed("temporal")
    kinds = {name: type(node) for name, node in program.neurons.items()}
    assert kinds == {
        "q.1": Lif, "k.1": Lif, "v.1": Lif, "mul": Lif, "sums.0": Relay, "mul_1": Product, "found": Lif, "out.1": Lif,
    }  # fmt: skip
    assert not {entry.node for entry in program.ledger} & {"mul", "sums.0", "mul_1"}
    assert [program.latency[n] for n in ("mul", "sums.0", "mul_1")] == [2, 3, 4]


class Ends(nn.Module):
    """Products and sums that nothing follows: spikes where both factors are, numbers otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.sum = spiking(2, 4), spiking(2, 4), Accumulator(TIME)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        a, b = self.a(x), self.b(x)
        return a * b, (a + b) * b, self.sum(a * a)


def test_what_attention_gives_can_be_an_output() -> None:
    torch.manual_seed(0)
    model, x = Ends().eval(), pictures()
    graph = to_nir(model, x[0])
    expected = [values.detach().numpy() for values in run(model, x)]
    program = quantize(graph, x.numpy())
    assert [output.decoder for output in program.outputs.values()] == ["spike_count", "membrane_sum", "membrane_sum"]
    recording = specification.emulate(program, program.encode(x.numpy()), states=True)
    np.testing.assert_array_equal(recording.spikes["output_0"], expected[0])
    for name, wanted in zip(("output_1", "output_2"), expected[1:], strict=True):
        voltage = recording.states[program.outputs[name].node]["v"].astype(float)
        np.testing.assert_array_equal(voltage, wanted * voltage.max() / wanted.max())


def test_payloads_are_proven_to_fit_their_messages() -> None:
    program, _, _ = programmed("cross-modal")
    found = [bound for bound in state_bounds(program, steps=4).values() if isinstance(bound, PayloadBounds)]
    assert len(found) >= 5 and not any(bound.leaves_message.any() for bound in found)


@pytest.mark.parametrize("name", MODELS)
def test_the_way_back_to_snntorch_is_the_network(name: str) -> None:
    _, graph, x, expected = traced(name)
    model = from_nir(graph)
    model.reset()
    with torch.no_grad():
        found = torch.stack([model(step) for step in x]).numpy()
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
