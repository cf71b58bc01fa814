"""L2 in neuron microcode: the joined program against a host in exact integers, and against the network that was trained."""

import numpy as np
import pytest
import torch
from l2_networks import PerStep, made, samples, tensors
from torch import nn

from snnfuse import networks
from snnfuse.export import to_nir
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.export.staging.cutting import cut
from snnfuse.export.staging.l2_on_chip import EXTRA_STEPS, join
from snnfuse.export.staging.staged import quantize_staged, simulate_staged
from snnfuse.hardware import InverseRoot, Product, compare, emulate, run_torch
from snnfuse.hardware.backends import reference
from snnfuse.hardware.chip import check_chip, tier
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.inverse_root import inverse_root
from snnfuse.hardware.ir.pipeline import Link, Pipeline


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return quantize_staged(cut(to_nir(made(PerStep()), tuple(x[0] for x in tensors()))), samples()).pipeline


def test_every_layer_is_the_stages_fed_with_rounded_roots(pipeline: Pipeline) -> None:
    program, x = join(pipeline), samples()
    found = reference.emulate(program, program.encode(x), "all")
    first = reference.emulate(pipeline.programs[0], pipeline.encode(x), "all")
    fed = {}
    for link in pipeline.links:
        spikes = first.spikes[link.output].astype(np.int32)
        counts = spikes.sum(2, keepdims=True)
        fed[link.name] = spikes * inverse_root(InverseRoot((1,), 2047), counts.astype(np.int32))
        assert (found.spikes[link.name] == fed[link.name]).all() and fed[link.name].any()
        exact = pipeline.carried(link, (first,)) / pipeline.programs[1].inputs[link.name].scale
        assert np.abs(fed[link.name] - exact).max() <= 0.5 + exact.max() * 2.0**-12
    second = reference.emulate(pipeline.programs[1], fed, "all")
    for name in (*pipeline.programs[0].neurons, *pipeline.programs[1].neurons):
        expected = (first if name in first.spikes else second).spikes[name]
        assert (found.spikes[name] == expected).all(), name


def test_it_spikes_like_the_trained_network(pipeline: Pipeline) -> None:
    program = join(pipeline)
    found = emulate(program, program.encode(samples())).spikes["output"]
    expected = networks.run(made(PerStep()), *tensors()).detach().numpy() > 0
    assert (found != expected).sum() <= 0.03 * expected.sum() and expected.any()


def test_latency_cores_and_tiers_count_what_it_costs(pipeline: Pipeline) -> None:
    program = join(pipeline)
    before = max(pipeline.programs[0].latency[pipeline.programs[0].outputs[link.output].node] for link in pipeline.links)
    after = pipeline.programs[1].latency["head.1"]
    assert program.latency["head.1"] == before + EXTRA_STEPS + after
    for link in pipeline.links:
        assert isinstance(program.nodes[link.name], Product) and tier(program.nodes[f"{link.name}_norm"]) == "B"
    placed = {layer.name: layer.neurons for layer in check_chip(program).layers}
    assert placed["deep_l2"] == 6 and placed["deep_l2_norm"] == 1


def test_backends_agree(pipeline: Pipeline) -> None:
    program = join(pipeline)
    events = program.encode({name: array[:, :8] for name, array in samples().items()})
    expected = reference.emulate(program, events, "all", True)
    assert compare(emulate(program, events, "all", True), expected).mismatches == 0
    assert compare(run_torch(program, events, "all", True), expected).mismatches == 0


def test_lava_agrees(pipeline: Pipeline) -> None:
    from snnfuse.hardware import simulate_on_lava

    program = join(pipeline)
    events = program.encode({name: array[:5, :2] for name, array in samples().items()})
    assert compare(simulate_on_lava(program, events, "all", True), emulate(program, events, "all", True)).mismatches == 0


def test_the_ledger_says_that_the_program_does_more_than_the_graph(pipeline: Pipeline) -> None:
    entries = {entry.node: entry.change for entry in join(pipeline).ledger}
    assert "which the graph holds as a constant gain" in entries["deep_l2"] and "round(2047 / sqrt(k))" in entries["deep_l2"]
    assert not any("the host computes" in change for change in entries.values())


def test_other_links_are_refused_by_name(pipeline: Pipeline) -> None:
    (first, second) = pipeline.links
    held = Link(first.name, first.stage, first.output, "mean", first.steps)
    with pytest.raises(UnsupportedError, match=f"{first.name}: neuron microcode normalises the binary spikes of each step"):
        join(Pipeline(pipeline.programs, (held, second)))


def test_payloads_wider_than_a_root_are_refused() -> None:
    staged = cut(to_nir(made(PerStep()), tuple(x[0] for x in tensors())))
    wide = quantize_staged(staged, samples(), QuantizationSettings(input_bits=18)).pipeline
    with pytest.raises(UnsupportedError, match="18-bit payloads are wider than the 16 bits"):
        join(wide)


def test_a_layer_read_around_its_l2_is_refused_by_name() -> None:
    class Skipping(nn.Module):
        inputs = ("a",)

        def __init__(self) -> None:
            super().__init__()
            self.body, self.l2 = nn.Sequential(nn.Linear(10, 6), networks.Neuron(beta=0.5).layer()), networks.L2Normalise(2.0)
            self.head = nn.Sequential(nn.Linear(12, 3), networks.Neuron(beta=0.5).layer())

        def forward(self, a: torch.Tensor) -> torch.Tensor:
            spikes = self.body(a)
            return self.head(torch.cat((spikes, self.l2(spikes)), 1))

    model = made(Skipping())
    staged = cut(to_nir(model, tensors()[0][0]))
    found = quantize_staged(staged, {"a": samples()["a"]})
    expected = networks.run(model, tensors()[0]).detach().numpy() > 0
    last = simulate_staged(staged, {"a": samples()["a"]})[-1]
    assert (last.run.spikes[last.network.outputs["output"]] == expected).all(), "a host may run the layer twice"
    with pytest.raises(UnsupportedError, match="body.1: it is read both before and behind an L2 layer"):
        join(found.pipeline)
