"""The ledger of a trace says how many output spikes all its changes cost."""

import json
import re

import nir
import numpy as np
import pytest
import snntorch
import torch
from snntorch import utils
from torch import nn

from snnfuse.export import lower, simulate, trace_model
from snnfuse.export.tracing.forms import Form
from snnfuse.export.tracing.measured import measured_ledger, run_model
from snnfuse.export.tracing.step.step import Reading
from snnfuse.hardware.errors import InputError


class Scaled(nn.Module):
    """A layer that is lowered to a constant, which is only sometimes what it computes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (3.0 / x.norm(dim=1, keepdim=True).clamp(min=1.0))

    def folded_scale(self) -> tuple[float, tuple[str, str]]:
        return 1.2, ("the norm replaced by 1.2", "a synapse multiplies by constants")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        rule = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}
        self.fc1, self.lif1 = nn.Linear(10, 20), snntorch.Leaky(beta=0.8, threshold=0.3, **rule)
        self.norm = Scaled()
        self.fc2, self.lif2 = nn.Linear(20, 5), snntorch.Leaky(beta=0.8, threshold=0.5, **rule)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lif2(self.fc2(self.norm(self.lif1(self.fc1(x)))))


def test_the_effect_is_measured_and_travels_with_the_graph() -> None:
    torch.manual_seed(0)
    model = Net()
    x = (np.random.default_rng(0).random((30, 8, 10)) < 0.4).astype(np.float32)
    graph, ledger = trace_model(model, torch.from_numpy(x[0]))
    (entry,) = ledger
    assert entry.effect == ""
    graph, (entry,) = measured_ledger(model, graph, ledger, {"x": x})
    ours = simulate(lower(graph), {"x": x}).spikes["lif2"]
    (theirs,) = run_model(model, {"x": x})
    wrong = int((ours != theirs.astype(bool)).sum())
    assert wrong > 0
    assert f"{wrong} output spikes differ where the graph has {ours.sum()}, on 8 samples" in entry.effect
    assert json.loads(graph.metadata["snnfuse"])["ledger"][0]["effect"] == entry.effect


def test_the_model_is_left_as_it_was() -> None:
    model = Net()
    model.lif1.mem = torch.full((8, 20), 0.25)
    x = np.ones((3, 8, 10), np.float32)
    (once,) = run_model(model, {"x": x})
    np.testing.assert_array_equal(model.lif1.mem.numpy(), np.full((8, 20), 0.25, np.float32))
    np.testing.assert_array_equal(run_model(model, {"x": x})[0], once)
    assert model.training and not any(module._forward_hooks for module in model.modules())


def test_nothing_is_run_for_an_empty_ledger() -> None:
    model = Net()
    graph, _ = trace_model(model, torch.zeros(1, 10))
    assert measured_ledger(model, graph, (), {"x": np.zeros((3, 8, 10))}) == (graph, ())


class Returns(Net):
    """The same network; `pick` makes what forward returns of the last neuron's (spikes, membrane) and the first's spikes."""

    def __init__(self, pick) -> None:
        super().__init__()
        self.lif2.output = True
        self.pick = pick

    def forward(self, x: torch.Tensor):
        hidden = self.lif1(self.fc1(x))
        return self.pick(*self.lif2(self.fc2(self.norm(hidden))), hidden)


class Unrolled(Net):
    """Loops over time itself; returns the membranes first, as a list."""

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        utils.reset(self)
        self.lif2.output = True
        spikes, membranes = [], []
        for step in x:
            spk, mem = self.lif2(self.fc2(self.norm(self.lif1(self.fc1(step)))))
            spikes.append(spk)
            membranes.append(mem)
        return membranes, torch.stack(spikes)


def data() -> np.ndarray:
    return (np.random.default_rng(0).random((30, 8, 10)) < 0.4).astype(np.float32)


def expected_effect() -> str:
    """That of the same weights and data where forward returns the spikes alone."""
    torch.manual_seed(0)
    model, x = Net(), data()
    graph, ledger = trace_model(model, torch.from_numpy(x[0]))
    return measured_ledger(model, graph, ledger, {"x": x})[1][0].effect


def at_outputs(effect: str) -> str:
    """An effect without what it says of the entry's own neurons, and of a membrane beside the spikes."""
    effect = re.sub(r"[0-9]+ of its [0-9]+ outputs differ \([0-9.]+%\) where the graph has [0-9]+ spikes, ", "", effect)
    return re.sub(r"at membrane the largest membrane differs in [0-9]+ samples, a membrane by up to [0-9.]+, at output ", "", effect)


def test_the_returned_value_that_the_output_is_gets_compared() -> None:
    x = data()
    torch.manual_seed(0)
    model = torch.compile(Returns(lambda spk, mem, hidden: (mem, spk)))  # is traced and run as what it wraps
    graph, ledger = trace_model(model, torch.from_numpy(x[0]))
    assert json.loads(graph.metadata["snnfuse"])["outputs"] == {"membrane": 0, "output": 1}
    _, measured = measured_ledger(model, graph, ledger, {"x": x})
    assert [at_outputs(entry.effect) for entry in measured] == [expected_effect()]


def test_a_loop_that_returns_lists_is_compared_too() -> None:
    x = data()
    torch.manual_seed(0)
    model = Unrolled()
    graph, ledger = trace_model(model, torch.from_numpy(x))
    _, measured = measured_ledger(model, graph, ledger, {"x": x}, Form("time-first", len(x), (Reading(),) * 2))
    assert {at_outputs(entry.effect) for entry in measured} == {expected_effect()}


def test_every_output_is_measured() -> None:
    x = data()
    torch.manual_seed(0)
    model = Returns(lambda spk, mem, hidden: (hidden, mem, spk))
    graph, ledger = trace_model(model, torch.from_numpy(x[0]))
    _, entries = measured_ledger(model, graph, ledger, {"x": x})
    run = simulate(lower(graph), {"x": x})
    hidden, _, last = run_model(model, {"x": x})
    wrong = (run.spikes["lif2"] != last.astype(bool)).sum()
    assert (run.spikes["lif1"] == hidden.astype(bool)).all() and wrong > 0
    (entry,) = entries
    assert re.sub("at membrane .* at output_1", "at output_1", at_outputs(entry.effect)) == (
        f"with all changes of the trace, at output_0 0 output spikes differ where the graph has {run.spikes['lif1'].sum()}, "
        f"at output_1 {wrong} output spikes differ where the graph has {run.spikes['lif2'].sum()}, on 8 samples"
    )


def test_a_readout_is_measured_by_its_largest_membrane() -> None:
    class Readout(Net):
        def __init__(self) -> None:
            super().__init__()
            self.lif2 = snntorch.Synaptic(alpha=0.5, beta=0.9, reset_mechanism="none", init_hidden=True, output=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lif2(self.fc2(self.norm(self.lif1(self.fc1(x)))))[-1]

    x = data()
    torch.manual_seed(0)
    model = Readout()
    graph, ledger = trace_model(model, torch.from_numpy(x[0]))
    _, (entry,) = measured_ledger(model, graph, ledger, {"x": x})
    ours, (theirs,) = simulate(lower(graph), {"x": x}).v["lif2"], run_model(model, {"x": x})
    wrong, off = int((ours.sum(0).argmax(1) != theirs.sum(0).argmax(1)).sum()), np.abs(ours - theirs).max()
    assert (
        entry.effect
        == f"with all changes of the trace, the largest membrane differs in {wrong} samples, a membrane by up to {off:.3g}, on 8 samples"
    )


def test_a_model_in_double_precision_is_measured() -> None:
    torch.manual_seed(0)
    model, x = Net().double(), data()
    graph, ledger = trace_model(model, torch.from_numpy(x[0]))
    _, (entry,) = measured_ledger(model, graph, ledger, {"x": x})
    assert "output spikes differ where the graph has" in entry.effect
    assert run_model(model, {"x": x})[0].dtype == np.float64
    assert not any(module._forward_hooks for module in model.modules())


def test_a_graph_that_the_chip_cannot_hold_keeps_its_ledger() -> None:
    """A membrane that is passed on, which NIR says and the chip does not."""
    model = Net()
    graph, ledger = trace_model(model, torch.zeros(1, 10))
    graph.nodes.update(low=nir.LI(np.full(5, 1e-3), np.ones(5), np.zeros(5)), back=nir.Linear(np.ones((20, 5))))
    edges = [*graph.edges, ("lif2", "low"), ("low", "back"), ("back", "lif1")]
    graph = nir.NIRGraph(graph.nodes, edges, metadata=graph.metadata, type_check=False)
    assert measured_ledger(model, graph, ledger, {"x": data()}) == (graph, ledger)


def test_a_forward_that_fails_on_the_samples_is_one_line() -> None:
    model = Net()
    graph, ledger = trace_model(model, torch.zeros(1, 10))
    model.fc2 = nn.Linear(19, 5)
    with pytest.raises(InputError, match="Net.forward failed on the samples: mat1 and mat2") as error:
        measured_ledger(model, graph, ledger, {"x": data()})
    assert "\n" not in str(error.value)
