"""The ledger of a trace says how many output spikes all its changes cost."""

import json

import numpy as np
import snntorch
import torch
from torch import nn

from snnfuse.export import lower, simulate, trace_model
from snnfuse.export.tracing.measured import first_output, measured_ledger


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
    graph, (entry,) = measured_ledger(model, graph, ledger, {"x": x}, unrolled=False)
    ours = simulate(lower(graph), {"x": x}).spikes["lif2"]
    theirs = first_output(model, {"x": x}, unrolled=False).astype(bool)
    wrong = int((ours != theirs).sum())
    assert wrong > 0
    assert f"{wrong} output spikes differ where the graph has {ours.sum()}, on 8 samples" in entry.effect
    assert json.loads(graph.metadata["snnfuse"])["ledger"][0]["effect"] == entry.effect


def test_the_model_is_left_as_it_was() -> None:
    model = Net()
    model.lif1.mem = torch.full((8, 20), 0.25)
    x = np.ones((3, 8, 10), np.float32)
    once = first_output(model, {"x": x}, unrolled=False)
    np.testing.assert_array_equal(model.lif1.mem.numpy(), np.full((8, 20), 0.25, np.float32))
    np.testing.assert_array_equal(first_output(model, {"x": x}, unrolled=False), once)
    assert model.training


def test_nothing_is_run_for_an_empty_ledger() -> None:
    model = Net()
    graph, _ = trace_model(model, torch.zeros(1, 10))
    assert measured_ledger(model, graph, (), {"x": np.zeros((3, 8, 10))}, unrolled=False) == (graph, ())
