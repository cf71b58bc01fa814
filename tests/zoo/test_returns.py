"""Forwards that return all steps, their sum or mean, or the last one, in any container; and results that are not returned."""

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from forms import STEPS, Net, agrees, by_steps, found, graph_spikes, made, spikes_over_time
from torch import nn

from snnfuse.export import trace_model
from snnfuse.export.tracing.measured import run_model
from snnfuse.hardware.errors import UnsupportedError


def stacked(m: Any, each: list[Any]) -> Any:
    return torch.stack(each, dim=1)


def listed(m: Any, each: list[Any]) -> Any:
    return each


def joined(m: Any, each: list[Any]) -> Any:
    return torch.cat([now.unsqueeze(0) for now in each], 0)


def turned(m: Any, each: list[Any]) -> Any:
    return torch.stack(each).permute(1, 2, 0)


def named(m: Any, each: list[Any]) -> Any:
    return {"output": torch.stack(each)}


def summed(m: Any, each: list[Any]) -> Any:
    return torch.stack(each, dim=1).sum(dim=1)


def averaged(m: Any, each: list[Any]) -> Any:
    return torch.mean(torch.stack(each), 0)


def divided(m: Any, each: list[Any]) -> Any:
    return torch.stack(each).sum(0) / STEPS


def python_sum(m: Any, each: list[Any]) -> Any:
    return sum(each)


def running(m: Any, each: list[Any]) -> Any:
    total = torch.zeros(each[0].shape[0], each[0].shape[1])
    for now in each:
        total = now + total
    return total


def running_in_place(m: Any, each: list[Any]) -> Any:
    total = torch.zeros_like(each[0])
    for now in each:
        total += now
    return total


def last(m: Any, each: list[Any]) -> Any:
    return each[-1]


def last_of_stack(m: Any, each: list[Any]) -> Any:
    return torch.stack(each)[-1]


WHOLE = (stacked, listed, joined, turned, named)
REDUCED = {
    summed: "sum", averaged: "mean", divided: "mean", python_sum: "sum", running: "sum", running_in_place: "sum",
    last: "last", last_of_stack: "last",
}  # fmt: skip


def returning(pick: Any) -> nn.Module:
    class Returning(Net):
        def forward(self, x: Any) -> Any:
            self.begin()
            return pick(self, [self.step(now)[0] for now in x])

    return made(Returning)


@pytest.mark.parametrize("pick", WHOLE, ids=lambda pick: pick.__name__)
def test_all_steps_in_any_container(pick: Any) -> None:
    model, x = returning(pick), spikes_over_time()
    form = agrees(model, x, "time-first")
    (returned,) = run_model(model, {"x": x.numpy()}, form)
    np.testing.assert_array_equal(returned, by_steps(model, x))


@pytest.mark.parametrize("pick", REDUCED, ids=lambda pick: pick.__name__)
def test_one_value_for_all_steps_is_noted(pick: Any) -> None:
    model, x = returning(pick), spikes_over_time()
    form = agrees(model, x, "time-first")
    graph, _ = found(model, x)
    assert json.loads(graph.metadata["snnfuse"])["readings"] == {"output": REDUCED[pick]}
    (returned,) = run_model(model, {"x": x.numpy()}, form)
    spikes = graph_spikes(graph, x)
    ours = {"sum": spikes.sum(0), "mean": spikes.mean(0), "last": spikes[-1]}[REDUCED[pick]]
    np.testing.assert_allclose(ours * form.readings[0].factor, returned, rtol=1e-12)


def test_a_last_spike_and_membrane() -> None:
    class Last(Net):
        def forward(self, x: Any) -> Any:
            self.begin()
            for now in x:
                spikes, mem = self.step(now)
            return spikes, mem

    agrees(made(Last), spikes_over_time(), "time-first", output=next(iter(found(made(Last), spikes_over_time())[0].outputs)))


def test_a_loop_whose_last_step_alone_is_returned_must_be_the_same_in_all() -> None:
    class Differs(Net):
        def forward(self, x: Any) -> Any:
            self.begin()
            for t in range(len(x)):
                spikes, _ = self.step(x[t] if t != 3 else x[t] * 2)
            return spikes

    with pytest.raises(UnsupportedError, match="steps 3 and 1 of its loop differ"):
        found(made(Differs), spikes_over_time())


def test_what_is_computed_and_not_returned_is_left_out() -> None:
    class Extra(Net):
        def __init__(self) -> None:
            super().__init__()
            self.aux, self.side = nn.Linear(8, 2), nn.ReLU6()

        def forward(self, x: Any) -> Any:
            self.begin()
            record, traces = [], []
            for now in x:
                spikes, self.mem1 = self.lif1(self.fc1(now), self.mem1)
                traces.append(self.aux(spikes))
                spikes, self.mem2 = self.lif2(self.fc2(spikes), self.mem2)
                record.append(spikes)
            self.side(traces[-1])
            return torch.stack(record)

    agrees(made(Extra), spikes_over_time(), "time-first")
    graph, ledger = trace_model(made(Extra), spikes_over_time())
    assert "aux" not in graph.nodes and ledger == ()


def one_of_the_steps(m: Any, each: list[Any]) -> Any:
    return torch.stack(each)[2]


def over_classes_and_time(m: Any, each: list[Any]) -> Any:
    return torch.stack(each).sum((0, 2))


def some_steps(m: Any, each: list[Any]) -> Any:
    return torch.stack(each[:4])


@pytest.mark.parametrize("pick", [one_of_the_steps, over_classes_and_time, some_steps], ids=lambda pick: pick.__name__)
def test_anything_else_is_refused_with_a_way_out(pick: Any) -> None:
    with pytest.raises(UnsupportedError, match="return the stacked spikes and let program.decode count them|record every step"):
        found(returning(pick), spikes_over_time())


class Keeper(Net):
    """Keeps what it computes on itself, and returns nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.spk_rec: dict[str, Any] = {}
        self.mem_rec: dict[str, Any] = {}

    def forward(self, x: Any) -> Any:
        self.run(x)

    def run(self, x: Any) -> None:
        self.begin()
        steps = [self.step(now) for now in x]
        self.spk_rec["out"] = torch.stack([spikes for spikes, _ in steps])
        self.mem_rec["out"] = torch.stack([mem for _, mem in steps])


@pytest.mark.parametrize("reset, kept", [("subtract", "spk_rec"), ("none", "mem_rec")])
def test_a_forward_that_returns_nothing_is_told_what_to_return(reset: str, kept: str) -> None:
    said = f"forward: it returns None, and leaves what it computes in self.{kept}; add `return self.{kept}['out']` as its last line"
    with pytest.raises(UnsupportedError, match=re.escape(said)):
        found(made(Keeper, reset_mechanism=reset), spikes_over_time())


def test_and_that_advice_works() -> None:
    class Returns(Keeper):
        def forward(self, x: Any) -> Any:
            self.run(x)
            return self.spk_rec["out"]

    agrees(made(Returns), spikes_over_time(), "time-first")
