"""Forwards that loop over time with time first, second or last, however they read it: found out, and the same spikes."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from forms import BATCH, INPUTS, STEPS, Net, agrees, by_steps, found, graph_spikes, made, spikes_over_time
from torch import nn

from snnfuse.export import to_nir
from snnfuse.export.tracing.forms import find_form
from snnfuse.export.tracing.measured import run_model
from snnfuse.hardware.errors import InputError, UnsupportedError


def time_first(m: Any, x: Any) -> Any:
    return torch.stack([m.step(now)[0] for now in x])


def fixed_count(m: Any, x: Any) -> Any:
    return torch.stack([m.step(x[t])[0] for t in range(STEPS)])


def batch_first(m: Any, x: Any) -> Any:
    return torch.stack([m.step(x[:, t])[0] for t in range(x.size(1))], dim=1)


def selected(m: Any, x: Any) -> Any:
    return torch.stack([m.step(x.select(1, t))[0] for t in range(x.shape[1])])


def unbound(m: Any, x: Any) -> Any:
    return torch.stack([m.step(now)[0] for now in x.unbind(1)])


def permuted(m: Any, x: Any) -> Any:
    batch, steps, _ = x.shape
    turned = x.permute(1, 0, 2)
    return torch.stack([m.step(turned[t].view(batch, -1))[0] for t in range(steps)])


def transposed(m: Any, x: Any) -> Any:
    return torch.stack([m.step(now)[0] for now in x.transpose(0, 1).contiguous()]).transpose(0, 1)


def time_last(m: Any, x: Any) -> Any:
    return torch.stack([m.step(x[..., t])[0] for t in range(x.shape[-1])], dim=-1)


def scaled(m: Any, x: Any) -> Any:
    x = (x - 0.5) / 0.5
    return torch.stack([m.step(now * 0.5 + 0.5)[0] for now in x])


def ready_currents(m: Any, x: Any) -> Any:
    currents, record = m.fc1(x), []
    for t in range(x.size(0)):
        spikes, m.mem1 = m.lif1(currents[t], m.mem1)
        spikes, m.mem2 = m.lif2(m.fc2(spikes), m.mem2)
        record.append(spikes)
    return torch.stack(record)


LAYOUTS = {
    time_first: "time-first", fixed_count: "time-first", batch_first: "batch-first", selected: "batch-first", unbound: "batch-first",
    permuted: "batch-first", transposed: "batch-first", time_last: "time-last", scaled: "time-first", ready_currents: "time-first",
}  # fmt: skip


def looping(run: Any) -> nn.Module:
    class Looping(Net):
        def forward(self, x: Any) -> Any:
            self.begin()
            return run(self, x)

    return made(Looping)


@pytest.mark.parametrize("run", LAYOUTS, ids=lambda run: run.__name__)
def test_it_is_found_out_and_fires_alike(run: Any) -> None:
    model, x = looping(run), spikes_over_time()
    form = agrees(model, x, LAYOUTS[run])
    (returned,) = run_model(model, {"x": x.numpy()}, form)
    np.testing.assert_array_equal(returned, by_steps(model, x))


def test_as_many_samples_as_steps_are_told_apart() -> None:
    x = spikes_over_time()[:2]
    model = looping(batch_first)
    graph, form = found(model, x)
    assert form.layout == "batch-first" and (graph_spikes(graph, x) == by_steps(model, x)).all()


def test_in_python_which_axis_is_time_is_found_too() -> None:
    x, model = spikes_over_time(), looping(batch_first)
    assert (graph_spikes(to_nir(model, x.transpose(0, 1)), x) == by_steps(model, x)).all()


def test_images_flattened_before_the_loop() -> None:
    class Images(Net):
        def forward(self, x: Any) -> Any:
            self.begin()
            x = x.flatten(2)
            return torch.stack([self.step(x[:, t])[0] for t in range(x.size(1))])

    model, x = made(Images), spikes_over_time((1, 2, 3))
    graph, form = found(model, x)
    assert form.layout == "batch-first"
    assert (graph_spikes(graph, x) == by_steps(model, x.flatten(2))).all()


def test_a_part_of_each_step() -> None:
    class Part(Net):
        def forward(self, x: Any) -> Any:
            self.begin()
            return torch.stack([self.step(x[t, :, 2:])[0] for t in range(x.size(0))])

    model, x = made(Part), spikes_over_time((INPUTS + 2,))
    graph, form = found(model, x)
    assert form.layout == "time-first"
    assert (graph_spikes(graph, x) == by_steps(model, x[..., 2:])).all()


def test_a_wrapper_that_transposes() -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = looping(time_first)

        def forward(self, x: Any) -> Any:
            return self.net(x.transpose(0, 1))

    model, x = made(Wrapper), spikes_over_time()
    graph, form = found(model, x)
    assert form.layout == "batch-first" and str(form) == "(batch, time, ...), all time steps in one call"
    assert (graph_spikes(graph, x) == by_steps(model.net, x)).all()


def backwards(m: Any, x: Any) -> Any:
    return torch.stack([m.step(x[len(x) - 1 - t])[0] for t in range(len(x))])


def differenced(m: Any, x: Any) -> Any:
    return torch.stack([m.step(now)[0] for now in x - x.roll(1, 0)])


def half_as_many(m: Any, x: Any) -> Any:
    return torch.stack([m.step(x[t])[0] for t in range(4)])


@pytest.mark.parametrize("run, why", [
    (backwards, "step 0 of the loop reads input step 8; read x[t] in step t"),
    (differenced, "read different parts of Looping: sub (sub); put time first"),
    (half_as_many, "it has 9 time steps and the loop runs 4; give it 4 time steps"),
], ids=lambda each: getattr(each, "__name__", ""))  # fmt: skip
def test_what_mixes_steps_is_refused(run: Any, why: str) -> None:
    with pytest.raises(UnsupportedError, match=re.escape(why)):
        found(looping(run), spikes_over_time())


def test_a_loop_over_more_steps_than_the_data_have_says_how_many() -> None:
    with pytest.raises(InputError, match="forward loops over 9 time steps, and the data have 5; give data of 9 steps"):
        found(looping(fixed_count), spikes_over_time()[:5])


def test_a_layout_that_is_asked_for_must_be_that_of_forward() -> None:
    x = spikes_over_time()
    with pytest.raises(InputError, match="forward takes time not as time-first"):
        find_form(looping(batch_first), {"x": (INPUTS,)}, len(x), "time-first")
    assert find_form(looping(batch_first), {"x": (INPUTS,)}, len(x), "batch-first")[1].layout == "batch-first"


def test_without_data_the_number_of_steps_must_be_said() -> None:
    with pytest.raises((InputError, UnsupportedError), match="if forward loops over time itself, say over how many: time_steps=25"):
        find_form(looping(time_first), {"x": (INPUTS,)})
    assert find_form(looping(time_first), {"x": (INPUTS,)}, STEPS)[1].steps == STEPS and BATCH > 1
