"""Tracing leaves the model as it is; the graph is named, typed and owned as documented."""

import copy
import json

import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import nn

from snnfuse.export.tracing import to_nir, trace_model
from snnfuse.hardware.errors import SnnfuseError, UnsupportedError


class Busy(nn.Module):
    """A forward that touches everything it can reach."""

    def __init__(self, fail: bool = False) -> None:
        super().__init__()
        self.fc, self.norm, self.drop = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)
        self.lif, self.out = snn.Leaky(beta=0.9, init_hidden=True), nn.Linear(6, 2)
        self.syn = snn.Synaptic(alpha=0.5, beta=0.9, learn_beta=True)
        self.history: list = []
        self.count, self.fail = 0, fail

    def forward(self, x):
        utils.reset(self)
        syn, mem = self.syn.reset_mem()
        record, self.count = [], 0
        for step in x:
            self.count += 1
            spk = self.lif(self.drop(self.norm(self.fc(step))))
            self.history.append(spk)
            self.last = spk
            spk, syn, mem = self.syn(self.out(spk), syn, mem)
            record.append(spk)
        if self.fail:
            torch.rand(3)
            raise ValueError("on purpose")
        return torch.stack(record)


def everything(model: nn.Module) -> dict:
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for path, module in model.named_modules():
        for key, value in module.__dict__.items():
            if key == "_modules":
                continue
            state[path, key] = copy.copy(value)
            if key in ("_buffers", "_parameters"):
                state[path, key, "ids"] = {k: id(v) for k, v in value.items()}
                state[path, key, "values"] = {k: None if v is None else v.detach().clone() for k, v in value.items()}
    return state


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return a is b or (a.shape == b.shape and bool((a == b).all()))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_left_as_it_was(fail: bool, training: bool) -> None:
    model, bystander = Busy(), snn.Leaky(beta=0.5, init_hidden=True)
    x = torch.rand(3, 2, 4)
    bystander(torch.ones(2, 3))
    model.train(training)
    model(x).sum().backward()
    model.norm.eval()
    model.fail = fail
    held, mem = bystander.mem, model.lif.mem
    before, random = everything(model), torch.get_rng_state()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    if fail:
        with pytest.raises(SnnfuseError, match="Busy.forward failed on the sample .*: on purpose"):
            to_nir(model, x)
    else:
        to_nir(model, x)
    assert same(before, everything(model))
    assert torch.equal(random, torch.get_rng_state())
    assert bystander.mem is held and model.lif.mem is mem and mem.requires_grad == model.lif.mem.requires_grad
    assert model.training == training and not model.norm.training
    assert grads and all(torch.equal(grads[name], model.get_parameter(name).grad) for name in grads)
    assert not hasattr(torch.nn.Module.__call__, "__wrapped__")  # fx's patches are gone


def test_parameters_are_float64_copies_of_full_shape() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), snn.Leaky(beta=0.9, reset_mechanism="zero", init_hidden=True))
    graph = to_nir(model, torch.zeros(2, 1, 5, 6))
    lif, conv = graph.nodes["1"], graph.nodes["0"]
    assert {getattr(lif, name).shape for name in ("tau", "r", "v_leak", "v_threshold", "v_reset")} == {(2, 3, 4)}
    assert {a.dtype for a in (lif.tau, lif.r, lif.v_threshold, conv.weight, conv.bias)} == {np.dtype(np.float64)}
    before = model[0].weight.clone()
    conv.weight[:] = 7
    lif.v_threshold[0] = 7
    assert torch.equal(before, model[0].weight) and lif.v_threshold[1, 0, 0] == 1.000001 and model[1].threshold == 1
    beta = float(np.float32(0.9))
    assert (lif.tau == 1e-4 / (1 - beta)).all() and (lif.r == 1 / (1 - beta)).all()


def test_the_time_step_scales_time_constants() -> None:
    model = nn.Sequential(nn.Linear(2, 2), snn.Leaky(beta=0.5, reset_mechanism="zero", init_hidden=True))
    graph = to_nir(model, torch.zeros(1, 2), dt=1e-3)
    assert (graph.nodes["1"].tau == 2e-3).all()
    assert json.loads(graph.metadata["snnfuse"])["dt"] == 1e-3


def test_the_ledger_is_in_the_metadata_and_survives_a_file(tmp_path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), snn.Leaky(beta=0.5, graded_spikes_factor=2.0, init_hidden=True))
    graph, ledger = trace_model(model, torch.zeros(1, 2))
    nir.write(tmp_path / "graph.nir", graph)
    about = json.loads(nir.read(tmp_path / "graph.nir").metadata["snnfuse"])
    assert about.keys() == {"dt", "generator", "ledger", "outputs"} and about["generator"].startswith("snnfuse ")
    assert [entry.node for entry in ledger] == [row["node"] for row in about["ledger"]] == ["1"]


def test_names_of_inputs_outputs_and_nested_modules() -> None:
    class Output(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vision = nn.ModuleDict({"conv": nn.Linear(3, 3)})
            self.output, self.lif = nn.Linear(6, 2), snn.Leaky(beta=0.5, init_hidden=True)

        def forward(self, image, *, scale=None, extra=None):
            y = self.vision["conv"](image)
            return self.lif(self.output(torch.cat([y, image], 1)))

    graph = to_nir(Output(), torch.zeros(1, 3))
    expected = {"image", "vision.conv", "output.module.0", "output.module.1", "lif", "lif.membrane", "lif.reset", "output"}
    assert graph.nodes.keys() == expected
    assert isinstance(graph.nodes["output"], nir.Output)


def test_a_lone_neuron_and_a_numpy_sample() -> None:
    graph = to_nir(snn.Leaky(beta=0.5), np.zeros((2, 3)))
    assert graph.nodes.keys() == {"input", "0", "0.membrane", "0.reset", "output", "membrane"}


def test_the_rule_that_runs_is_the_one_exported() -> None:
    """Loading or assigning `reset_mechanism_val` later changes nothing in a delayed neuron's behaviour."""
    neuron = snn.Leaky(beta=0.5, reset_mechanism="zero", init_hidden=True)
    neuron.reset_mechanism_val = torch.tensor(0)
    assert isinstance(to_nir(neuron, torch.zeros(1, 2)).nodes["0"], nir.LIF)


class Norm(nn.Module):
    """Scales by what a user measured; a stand-in for a normalisation over features."""

    def __init__(self, scale) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return x / x.norm(dim=1, keepdim=True).clamp(min=1e-6)

    def folded_scale(self):
        return self.scale, ("divides by the mean norm over the calibration data", "a norm differs from sample to sample")


@pytest.mark.parametrize("scale", [0.25, torch.tensor([0.5, 1.0, 2.0])])
def test_a_module_that_folds_to_a_scale(scale) -> None:
    model = nn.Sequential(Norm(scale), nn.Linear(3, 2), snn.Leaky(beta=0.5, init_hidden=True))
    graph, ledger = trace_model(model, torch.zeros(1, 3))
    assert graph.nodes["0"].scale.tolist() == np.broadcast_to(np.asarray(scale), 3).tolist()
    assert [(e.node, e.change) for e in ledger] == [("0", "divides by the mean norm over the calibration data")]


def test_a_scale_of_a_concatenation_is_split() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.fc = Norm(torch.tensor([1.0, 2.0, 3.0])), nn.Linear(3, 2)
            self.lif = snn.Leaky(beta=0.5, init_hidden=True)

        def forward(self, a, b):
            return self.lif(self.fc(self.norm(torch.cat([a, b], 1))))

    graph = to_nir(Two(), (torch.zeros(1, 1), torch.zeros(1, 2)))
    assert graph.nodes["norm.0"].scale.tolist() == [1.0] and graph.nodes["norm.1"].scale.tolist() == [2.0, 3.0]
    assert {("a", "norm.0"), ("norm.0", "fc.0"), ("b", "norm.1"), ("norm.1", "fc.1")} <= set(graph.edges)


class Loop(nn.Module):
    """A loop over time that reads the membrane from the neuron, and keeps lists."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(3, 2), snn.Leaky(beta=0.5, init_hidden=True)

    def forward(self, x):
        self.lif.reset_mem()
        spikes, membranes = [], []
        for t in range(len(x)):
            spikes.append(self.lif(self.fc(x[t].view(x.size(1), -1).float())))
            membranes.append(self.lif.mem)
        return torch.stack(spikes), torch.stack(membranes)


def test_a_membrane_read_from_the_neuron_is_a_membrane() -> None:
    graph, ledger = trace_model(Loop(), torch.zeros(4, 1, 3))
    assert not ledger and graph.nodes["x"].input_type["input"].tolist() == [3]
    assert ("lif.membrane", "membrane") in graph.edges and ("lif", "output") in graph.edges


def test_a_loop_of_one_step_is_no_loop() -> None:
    with pytest.raises(
        UnsupportedError, match="its state is set from a tensor in every call.*or loop over time inside it .2 or more steps"
    ):
        to_nir(Loop(), torch.zeros(1, 1, 3))


def test_a_network_deeper_than_pythons_recursion_is_traced_without_unfolding_its_residuals() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(300))
            self.neurons = nn.ModuleList(snn.Leaky(beta=0.5, init_hidden=True) for _ in range(300))

        def forward(self, x):
            record = []
            for step in x:
                y = before = step
                for layer, neuron in zip(self.layers, self.neurons, strict=True):
                    y, before = neuron(layer(y) + before), y
                record.append(y)
            return torch.stack(record)

    graph = to_nir(Deep(), torch.zeros(3, 1, 3))
    assert {("layers.299", "neurons.299.membrane"), ("neurons.297", "neurons.299.membrane")} <= set(graph.edges)


def test_what_one_loop_records_another_may_read() -> None:
    class TwoLoops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 2), nn.Linear(2, 2)
            self.lif_a, self.lif_b = (snn.Leaky(beta=0.5, init_hidden=True) for _ in range(2))

        def forward(self, x):
            hidden = torch.stack([self.lif_a(self.a(step)) for step in x])
            return torch.stack([self.lif_b(self.b(hidden[t])) for t in range(x.shape[0])])

    graph = to_nir(TwoLoops(), torch.zeros(4, 1, 3))
    assert {("lif_a", "b"), ("b", "lif_b.membrane")} <= set(graph.edges)


def test_a_layer_computed_before_the_loop_is_part_of_every_step() -> None:
    class Static(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(3, 2), snn.Leaky(beta=0.5, init_hidden=True)

        def forward(self, x):
            current = self.fc(x)
            return torch.stack([self.lif(current) for _ in range(5)])

    graph = to_nir(Static(), torch.zeros(1, 3))
    assert {("x", "fc"), ("fc", "lif.membrane")} <= set(graph.edges)


def test_inputs_come_in_the_order_of_forwards_arguments() -> None:
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(3, 2), snn.Leaky(beta=0.5, init_hidden=True)

        def forward(self, *parts):
            return self.lif(self.fc(torch.cat([parts[1], parts[0]], dim=1)))

    graph = to_nir(torch.compile(Late()), (torch.zeros(1, 1), torch.zeros(1, 2)))
    assert list(graph.inputs) == ["parts_0", "parts_1"]
    assert ("parts_1", "fc.0") in graph.edges and graph.nodes["fc.0"].weight.shape == (2, 2)


def test_arguments_by_name_and_dropout_that_follows_the_mode() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 2), snn.Leaky(beta=0.5, init_hidden=True)

        def forward(self, x):
            y = nn.functional.dropout(self.fc(input=torch.flatten(input=x, start_dim=1)), 0.5, self.training)
            return self.lif(y)

    assert to_nir(Named().train(), torch.zeros(1, 2, 2)).edges[0] == ("x", "flatten")


class Summing(nn.Module):
    """A sum over an axis of a sample, its tensor given by name or by position."""

    def __init__(self, by_name: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.by_name = by_name
        self.fc, self.lif = nn.Linear(3, 2), snn.Leaky(beta=0.5, init_hidden=True, reset_mechanism="zero", reset_delay=False)

    def forward(self, x):
        return self.lif(self.fc(torch.sum(input=x, dim=2) if self.by_name else torch.sum(x, 2)))


def test_a_reduction_takes_its_tensor_by_name() -> None:
    by_name, by_position = (to_nir(Summing(by_name), torch.rand(2, 3, 4)) for by_name in (True, False))
    assert by_name.nodes.keys() == by_position.nodes.keys() and by_name.edges == by_position.edges
    np.testing.assert_array_equal(by_name.nodes["fc"].weight, by_position.nodes["fc"].weight)


class OverTheBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lif = snn.Leaky(beta=0.5, init_hidden=True)

    def forward(self, x):
        return self.lif(torch.sum(input=x, dim=0))


def test_a_reduction_by_name_over_the_batch_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"sum\(\) is a reduction over the first axis"):
        to_nir(OverTheBatch(), torch.rand(2, 3))
