"""Networks in stages: graphs against torch, pipelines against the float network, and what is declared exact."""

import json
from dataclasses import replace

import nir
import numpy as np
import pytest
import torch
from l2_networks import TIME, Averaged, PerStep, made, samples, tensors
from torch import nn

from snnfuse import networks
from snnfuse.compile.staged_sources import trace_stages
from snnfuse.export import to_nir
from snnfuse.export.quantization.settings import QuantizationSettings
from snnfuse.export.staging.cutting import cut
from snnfuse.export.staging.staged import network_inputs, quantize_staged, simulate_staged
from snnfuse.hardware import GradedInput, SpikeInput
from snnfuse.hardware.backends.run_pipeline import run_pipeline
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.host_steps import Normalise


def traced(model: nn.Module):  # noqa: ANN201
    return trace_stages(model, {name: array.shape[2:] for name, array in samples().items()})


def per_step(model: nn.Module):  # noqa: ANN201
    return cut(to_nir(model, tuple(x[0] for x in tensors())))


def spikes_of(staged, run) -> np.ndarray:  # noqa: ANN001
    return run.run.spikes[run.network.outputs["output"]]


@pytest.mark.parametrize("model, staged", [(Averaged(), traced), (Averaged(reduction="count", l2=False), traced), (PerStep(), per_step)])
def test_the_graphs_are_the_network(model: nn.Module, staged) -> None:  # noqa: ANN001
    model = made(model)
    graphs = staged(model)
    found = spikes_of(graphs, simulate_staged(graphs, samples())[-1])
    expected = networks.run(model, *tensors()).detach().numpy() > 0
    np.testing.assert_array_equal(found, expected)
    assert expected.any() and network_inputs(graphs) == ("a", "b")
    assert all(isinstance(node, nir.NIRNode) for graph in graphs.stages for node in graph.nodes.values())


def test_every_stage_has_its_own_names_and_what_it_reads() -> None:
    graphs = traced(made(Averaged()))
    inputs = [[name for name, node in graph.nodes.items() if isinstance(node, nir.Input)] for graph in graphs.stages]
    assert inputs == [["a"], ["b"], ["seen", "heard", "b"]]
    assert "first.1" in graphs.stages[0].nodes and "head.lif" in graphs.stages[2].nodes
    assert [(link.name, link.stage, link.reduction, link.steps) for link in graphs.links] == [
        ("seen", 0, "mean", (Normalise(2.0),)),
        ("heard", 1, "mean", (Normalise(2.0),)),
    ]


def test_what_is_carried_may_have_a_layers_name() -> None:
    class Named(Averaged):
        def stages(self) -> tuple[networks.Stage, ...]:
            first, second, head = super().stages()
            carried = {"head.lif": first.carried["seen"]}
            return replace(first, carried=carried), second, replace(head, inputs=("head.lif", "heard", "b"))

    model = made(Named())
    graphs = traced(model)
    found = spikes_of(graphs, simulate_staged(graphs, samples())[-1])
    np.testing.assert_array_equal(found, networks.run(model, *tensors()).detach().numpy() > 0)
    assert isinstance(graphs.stages[2].nodes["head.lif"], nir.Input) and found.any()


def test_a_cut_leaves_no_gain_and_says_so() -> None:
    model = made(PerStep())
    whole = to_nir(model, tuple(x[0] for x in tensors()))
    ledger = [entry["node"] for entry in json.loads(whole.metadata["snnfuse"])["ledger"]]
    graphs = cut(whole)
    assert ledger == ["deep_l2", "first_l2"] or ledger == ["first_l2", "deep_l2"]
    assert not any(json.loads(graph.metadata["snnfuse"])["ledger"] for graph in graphs.stages)
    assert not any(isinstance(node, nir.Scale) for graph in graphs.stages for node in graph.nodes.values())
    assert {(link.name, link.reduction) for link in graphs.links} == {("first_l2", "steps"), ("deep_l2", "steps")}


def test_a_pipeline_spikes_like_the_float_network() -> None:
    graphs = traced(made(Averaged()))
    found = quantize_staged(graphs, samples())
    pipeline, x = found.pipeline, samples()
    run = run_pipeline(pipeline, pipeline.encode(x))
    expected = spikes_of(graphs, simulate_staged(graphs, samples())[-1])
    assert (run.recordings[-1].spikes["output"] != expected).sum() <= 0.03 * expected.sum()
    assert pipeline.inputs["a"] == SpikeInput((10,)) and isinstance(pipeline.inputs["b"], GradedInput)
    says = {entry.node: entry.change for entry in pipeline.programs[2].ledger}
    assert "averaged over the window of 8 steps, L2 normalised to length 2; exact between parts" in says["seen"]


@pytest.mark.parametrize("reduction, scale", [("count", 1.0), ("mean", 1 / TIME)])
def test_counts_and_means_are_carried_exactly(reduction: str, scale: float) -> None:
    found = quantize_staged(traced(made(Averaged(reduction=reduction, l2=False))), samples())
    pipeline = found.pipeline
    assert pipeline.programs[2].inputs["seen"] == GradedInput((9,), TIME.bit_length() + 1, scale)
    run = run_pipeline(pipeline, pipeline.encode(samples()))
    assert (run.recordings[2].events["seen"] == run.recordings[0].spikes["output"].sum(0)).all()
    assert not any("graded spikes" in entry.change for entry in pipeline.programs[2].ledger if entry.node == "seen")


def test_played_again_spikes_stay_binary() -> None:
    found = quantize_staged(traced(made(Averaged(reduction="steps", l2=False))), samples())
    assert found.pipeline.programs[2].inputs["seen"] == SpikeInput((9,))
    run = run_pipeline(found.pipeline, found.pipeline.encode(samples()))
    assert (run.recordings[2].events["seen"] == run.recordings[0].spikes["output"]).all()


class Summed(nn.Module):
    """The spikes of two layers added: 0, 1 or 2."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = (nn.Sequential(nn.Linear(10, 5), networks.Neuron(beta=0.5).layer()) for _ in range(2))

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        return self.one(a) + self.other(a)


@pytest.mark.parametrize("reduction", ["count", "mean", "steps"])
def test_sums_of_spikes_are_carried_exactly(reduction: str) -> None:
    model, x = Reading(), {"a": samples()["a"]}
    model.body, model.reduction = Summed(), reduction
    found = quantize_staged(trace_stages(made(model), {"a": (10,)}), x)
    pipeline, unit = found.pipeline, 1 / TIME if reduction == "mean" else 1.0
    assert pipeline.programs[1].inputs["v"] == GradedInput((5,), 12, unit)
    run = run_pipeline(pipeline, pipeline.encode(x), record="all")
    counts = run.recordings[1].events["v"]
    assert (counts * unit == pipeline.carried(pipeline.links[0], run.recordings)).all() and counts.max() > 1
    spikes = sum(run.recordings[0].spikes[f"body.{name}.1"].astype(int) for name in ("one", "other"))
    assert (counts == (spikes if reduction == "steps" else spikes.sum(0))).all()
    assert not any("graded spikes" in entry.change for entry in pipeline.programs[1].ledger)


class Reading(networks.Staged):
    """Averages membranes that never fire."""

    inputs = ("a",)

    def __init__(self, host: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.host, self.reduction = Membranes(), host, "mean"
        self.head = nn.Sequential(nn.Linear(5, 3), networks.Neuron(beta=0.5).layer())

    def stages(self) -> tuple[networks.Stage, ...]:
        carried = {"v": networks.Carry("v", self.reduction, self.host)}
        return networks.Stage(self.body, ("a",), ("v",), carried), networks.Stage(self.head, ("v",), ("out",))


class Membranes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        import snntorch

        self.fc, self.li = nn.Linear(10, 5), snntorch.Leaky(0.5, reset_mechanism="none", init_hidden=True, output=True)

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        return self.li(self.fc(a))[1]


@pytest.mark.parametrize("host", [None, networks.L2Normalise(3.0)])
def test_membranes_are_averaged_in_their_units(host: nn.Module | None) -> None:
    model, x = made(Reading(host)), {"a": samples()["a"]}
    graphs = trace_stages(model, {"a": (10,)})
    found = quantize_staged(graphs, x)
    expected = networks.run(model, torch.from_numpy(x["a"])).detach().numpy() > 0
    floats = simulate_staged(graphs, x)
    np.testing.assert_array_equal(spikes_of(graphs, floats[-1]), expected)
    (link,) = found.pipeline.links
    run = run_pipeline(found.pipeline, found.pipeline.encode(x))
    wanted = floats[1].inputs["v"]
    np.testing.assert_allclose(found.pipeline.carried(link, run.recordings), wanted, atol=0.02 * np.abs(wanted).max())
    assert (run.recordings[-1].spikes["output"] != expected).sum() <= 0.05 * expected.sum() and expected.any()


def test_a_host_runs_no_code() -> None:
    with pytest.raises(UnsupportedError, match=r"host \(ReLU\): a host between two programs counts, averages and normalises"):
        trace_stages(made(Reading(nn.ReLU())), {"a": (10,)})
    steps = trace_stages(made(Reading(nn.Sequential(nn.Identity(), networks.L2Normalise(3.0)))), {"a": (10,)}).links[0].steps
    assert steps == (Normalise(3.0),)


def test_what_a_stage_cannot_hold_is_named_with_its_stage() -> None:
    model = made(Averaged())
    model.head.fc = nn.Sequential(nn.Linear(22, 4), nn.Sigmoid())
    with pytest.raises(UnsupportedError, match="stage 3: .*Sigmoid"):
        traced(model)


def test_a_graph_without_l2_has_nothing_to_cut() -> None:
    plain = nn.Sequential(nn.Linear(3, 2), networks.Neuron().layer())
    with pytest.raises(InputError, match="holds no L2 layer"):
        cut(to_nir(plain, torch.zeros(1, 3)))


def test_l2_of_several_layers_at_once_is_refused_by_name() -> None:
    class Joint(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.l2 = networks.Neuron().layer(), networks.Neuron().layer(), networks.L2Normalise()
            self.head = nn.Sequential(nn.Linear(6, 2), networks.Neuron().layer())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.l2(torch.cat((self.a(x), self.b(2 * x)), 1)))

    with pytest.raises(UnsupportedError, match="l2: it normalises the sum or the concatenation"):
        cut(to_nir(Joint().eval(), torch.zeros(1, 3)))


def test_a_layer_that_is_used_twice_is_cut_twice() -> None:
    class Shared(nn.Module):
        inputs = ("a",)

        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = (nn.Sequential(nn.Linear(10, 8), networks.Neuron(beta=0.5).layer()) for _ in range(2))
            self.l2 = networks.L2Normalise(2.0)
            self.head = nn.Sequential(nn.Linear(16, 3), networks.Neuron(beta=0.5).layer())

        def forward(self, a: torch.Tensor) -> torch.Tensor:
            return self.head(torch.cat((self.l2(self.one(a)), self.l2(self.other(a))), 1))

    model, x = made(Shared()), tensors()[0]
    graphs = cut(to_nir(model, x[0]))
    assert len(graphs.links) == 2 and not any(isinstance(node, nir.Scale) for graph in graphs.stages for node in graph.nodes.values())
    found = spikes_of(graphs, simulate_staged(graphs, {"a": x.numpy()})[-1])
    np.testing.assert_array_equal(found, networks.run(model, x).detach().numpy() > 0)
    assert found.any()


def test_l2_behind_l2_makes_three_stages() -> None:
    class Twice(nn.Module):
        inputs = ("a",)

        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(nn.Linear(10, 8), networks.Neuron(beta=0.5).layer(), networks.L2Normalise(2.0))
            self.two = nn.Sequential(nn.Linear(8, 6), networks.Neuron(beta=0.5).layer(), networks.L2Normalise(2.0))
            self.head = nn.Sequential(nn.Linear(6, 3), networks.Neuron(beta=0.5).layer())

        def forward(self, a: torch.Tensor) -> torch.Tensor:
            return self.head(self.two(self.one(a)))

    model, x = made(Twice()), tensors()[0]
    graphs = cut(to_nir(model, x[0]))
    assert len(graphs.stages) == 3
    found = spikes_of(graphs, simulate_staged(graphs, {"a": x.numpy()})[-1])
    np.testing.assert_array_equal(found, networks.run(model, x).detach().numpy() > 0)


def test_bits_of_single_layers_go_to_the_stage_that_has_them() -> None:
    graphs = traced(made(Averaged()))
    settings = QuantizationSettings(weight_bits={"first.1": 4, "head.lif": 3})
    found = quantize_staged(graphs, samples(), settings)
    bits = [{c.target: c.synapse.bits for c in stage.program.connections} for stage in found.stages]
    assert (bits[0]["first.1"], bits[2]["head.lif"]) == (4, 3)
    assert {width for stage in bits for name, width in stage.items() if name not in ("first.1", "head.lif")} <= {8}
    with pytest.raises(InputError, match="nowhere"):
        quantize_staged(graphs, samples(), QuantizationSettings(weight_bits={"nowhere": 4}))
