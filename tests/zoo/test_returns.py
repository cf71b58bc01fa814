"""Forwards that return all steps, their sum or mean, or the last one, in any container; and results that are not returned."""

import json
import re
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from forms import STEPS, Net, agrees, by_steps, found, graph_spikes, made, spikes_over_time
from torch import nn

from snnfuse.export import lower, quantize, simulate, trace_model
from snnfuse.export.lowering.outputs import output_values
from snnfuse.export.tracing.measured import run_model
from snnfuse.hardware import emulate
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.encoding import scores


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


def grouped(m: Any, each: list[Any]) -> Any:
    return torch.stack(each).view(len(each), -1, 2, 4).sum(-1)


def grouped_in_the_loop(m: Any, each: list[Any]) -> Any:
    return torch.stack([now.reshape(-1, 2, 4).sum(2) for now in each])


def grouped_list(m: Any, each: list[Any]) -> Any:
    return [now.unflatten(1, (2, 4)).sum(-1) for now in each]


def grouped_and_summed(m: Any, each: list[Any]) -> Any:
    return torch.stack(each).unflatten(2, (2, 4)).sum(-1).sum(0)


def summed_and_grouped(m: Any, each: list[Any]) -> Any:
    return torch.stack(each).sum(0).view(-1, 2, 4).mean(-1)


def grouped_and_added(m: Any, each: list[Any]) -> Any:
    total = 0
    for now in each:
        total = total + now.view(-1, 2, 4).sum(-1)
    return total


POPULATION = (grouped, grouped_in_the_loop, grouped_list, grouped_and_summed, summed_and_grouped, grouped_and_added)


@pytest.mark.parametrize("pick", POPULATION, ids=lambda pick: pick.__name__)
def test_groups_of_neurons_that_are_added_are_a_population_code(pick: Any) -> None:
    class Coded(Net):
        def forward(self, x: Any) -> Any:
            self.begin()
            spikes = []
            for now in x:
                each, self.mem1 = self.lif1(self.fc1(now), self.mem1)
                spikes.append(each)
            return pick(self, spikes)

    model, x = made(Coded), spikes_over_time()
    graph, form = found(model, x)
    (returned,) = run_model(model, {"x": x.numpy()}, form)
    program = quantize(graph, x.numpy())
    (output,) = program.outputs.values()
    assert output.num_classes == 2
    ours = graph_spikes(graph, x).reshape(STEPS, -1, 2, 4).sum(-1)
    whole = ours if form.readings[0].reduction == "steps" else ours.sum(0) * form.readings[0].factor
    np.testing.assert_allclose(whole, returned, rtol=1e-12)
    counted = scores(program, emulate(program, program.encode({"x": x.numpy()})))
    assert counted.shape == (x.shape[1], 2)


def membranes(pick: Any) -> nn.Module:
    class Membranes(Net):
        def forward(self, x: Any) -> Any:
            self.begin()
            return pick(torch.stack([self.step(now)[1] for now in x]))

    return made(Membranes)


LARGEST = {
    "amax": lambda mem: mem.amax(0), "max": lambda mem: mem.max(0)[0], "values": lambda mem: torch.max(mem, dim=0).values,
    "unpacked": lambda mem: next(iter(torch.max(mem, 0))),
}  # fmt: skip


@pytest.mark.parametrize("pick", LARGEST.values(), ids=LARGEST)
def test_the_largest_membrane_over_time_is_a_decoder(pick: Any) -> None:
    model, x = membranes(pick), spikes_over_time()
    graph, form = found(model, x)
    assert form.readings[0].reduction == "max"
    network = lower(graph)
    (name,) = network.outputs
    values = output_values(network, simulate(network, {"x": x.numpy()}), name)
    np.testing.assert_allclose(values.max(0), run_model(model, {"x": x.numpy()}, form)[0], rtol=1e-12)
    assert quantize(graph, x.numpy()).outputs[name].decoder == "membrane_max"


SQUASHED = {
    "softmax": lambda each: F.softmax(torch.stack(each).sum(0), dim=1), "log_softmax": lambda each: F.log_softmax(each[-1], -1),
    "method": lambda each: torch.stack(each).mean(0).softmax(1), "sigmoid": lambda each: torch.sigmoid(cast(Any, sum(each))),
}  # fmt: skip


@pytest.mark.parametrize("name", SQUASHED)
def test_a_softmax_at_last_is_left_out_and_said(name: str) -> None:
    model, x = returning(lambda m, each: SQUASHED[name](each)), spikes_over_time()
    graph, form = found(model, x)
    network = lower(graph)
    assert [entry.change for entry in network.ledger] and f"{form.readings[0].squashed} of what is returned" in network.ledger[-1].change
    (returned,) = run_model(model, {"x": x.numpy()}, form)
    spikes = graph_spikes(graph, x)
    ours = spikes[-1].astype(int) if form.readings[0].reduction == "last" else spikes.sum(0)
    best = returned.argmax(1)
    assert (np.take_along_axis(ours, best[:, None], 1)[:, 0] == ours.max(1)).all()


@pytest.mark.parametrize("pick", [
    lambda m, each: torch.stack(each).max(0)[0], lambda m, each: torch.stack([F.softmax(now, 1) for now in each]),
    lambda m, each: torch.softmax(torch.stack(each).sum(0), 0), lambda m, each: torch.stack(each).sum(0).argmax(),
], ids=["spikes", "each step", "over samples", "class of all"])  # fmt: skip
def test_other_uses_stay_refused(pick: Any) -> None:
    with pytest.raises(UnsupportedError):
        found(returning(pick), spikes_over_time())


def test_a_softmax_module_at_last_is_left_out_too() -> None:
    class Ending(Net):
        def __init__(self) -> None:
            super().__init__()
            self.ending = nn.LogSoftmax(dim=1)

        def forward(self, x: Any) -> Any:
            self.begin()
            return self.ending(torch.stack([self.step(now)[0] for now in x]).sum(0))

    form = agrees(made(Ending), spikes_over_time(), "time-first")
    assert form.readings[0].squashed == "LogSoftmax"
