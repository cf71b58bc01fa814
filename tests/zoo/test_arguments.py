"""Forwards whose arguments are more or other than one input: counts of steps, stars, defaults, decorators, and one input for all steps."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from forms import INPUTS, STEPS, Net, Restarting, Static, agrees, by_steps, found, graph_spikes, made, spikes_over_time

from snnfuse.compile.tracing import input_names
from snnfuse.export import to_nir
from snnfuse.export.tracing.forms import find_form
from snnfuse.export.tracing.measured import run_model
from snnfuse.hardware.errors import InputError


class Counted(Net):
    def forward(self, x: Any, num_steps: Any) -> Any:
        self.begin()
        return torch.stack([self.step(x)[0] for _ in range(num_steps)])


class Annotated(Net):
    def forward(self, x: Any, long: int = 25) -> Any:
        self.begin()
        return torch.stack([self.step(x[t])[0] for t in range(long)])


class Optional(Net):
    def forward(self, x: Any = None) -> Any:
        self.begin()
        return torch.stack([self.step(now)[0] for now in x])


class Starred(Net):
    def forward(self, *args: Any) -> Any:
        self.begin()
        return torch.stack([self.step(now)[0] for now in args[0]])


class Named(Net):
    def forward(self, *, x: Any) -> Any:
        self.begin()
        return torch.stack([self.step(now)[0] for now in x])


def wrapped(function: Callable) -> Callable:
    @functools.wraps(function)
    def inner(*args: Any, **options: Any) -> Any:
        return function(*args, **options)

    return inner


def bare(function: Callable) -> Callable:
    def inner(self: Any, *args: Any) -> Any:
        return function(self, *args)

    return inner


class Decorated(Net):
    @torch.no_grad()
    @wrapped
    def forward(self, x: Any) -> Any:
        self.begin()
        return torch.stack([self.step(now)[0] for now in x])


class Bare(Net):
    @bare
    def forward(self, x: Any) -> Any:
        self.begin()
        return torch.stack([self.step(now)[0] for now in x])


FORMS = {
    Static: ("static", ("x",)), Counted: ("static", ("x",)), Annotated: ("time-first", ("x",)), Optional: ("time-first", ("x",)),
    Starred: ("time-first", ()), Named: ("time-first", ("x",)), Decorated: ("time-first", ("x",)), Bare: ("time-first", ()),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMS, ids=lambda kind: kind.__name__)
def test_inputs_are_found_and_fire_alike(kind: Any) -> None:
    layout, names = FORMS[kind]
    model, x = made(kind), spikes_over_time(static=layout == "static")
    form = agrees(model, x, layout)
    assert input_names(model) == names
    np.testing.assert_array_equal(run_model(model, {"x": x.numpy()}, form)[0], by_steps(model, x))


def test_a_count_of_steps_in_a_sample_is_no_tensor() -> None:
    model, x = made(Counted), spikes_over_time(static=True)
    assert (graph_spikes(to_nir(model, (x[0], 3)), x) == by_steps(model, x)).all()
    with pytest.raises(InputError, match="Counted.forward takes num_steps, a number of steps: give it in the sample, in its place"):
        to_nir(model, x[0])


def test_two_starred_inputs_are_named_by_place() -> None:
    class Two(Net):
        def forward(self, *xs: Any) -> Any:
            self.begin()
            return torch.stack([self.step(a + b)[0] for a, b in zip(*xs, strict=True)])

    model = made(Two)
    traced, form = find_form(model, {"left": (INPUTS,), "right": (INPUTS,)}, STEPS)
    assert list(traced.graph.inputs) == ["xs_0", "xs_1"] and form.layout == "time-first"


def test_a_static_loop_of_another_length_than_the_data_is_the_same_graph() -> None:
    model, x = made(Static), spikes_over_time(static=True)[:4]
    graph, form = found(model, x)
    assert form.steps == STEPS and (graph_spikes(graph, x, next(iter(graph.outputs))) == by_steps(model, x)).all()


def test_an_attribute_called_inputs_that_is_a_number() -> None:
    class Numbered(Optional):
        inputs = INPUTS

    assert input_names(made(Numbered)) == ("x",)


@pytest.mark.parametrize("steps", [1, STEPS])
def test_states_that_every_call_makes_anew(steps: int) -> None:
    from snnfuse.export import lower, simulate

    torch.manual_seed(1)
    model, x = Restarting().double().eval(), spikes_over_time()[:steps]
    graph, form = found(model, x)
    assert form.layout == "step"
    network = lower(graph)
    run = simulate(network, {"x": x.numpy()})
    with torch.no_grad():
        hidden = torch.stack([model.lif(model.fc1(now), model.lif.init_leaky())[0] for now in x]).numpy()
        expected = torch.stack([model(now) for now in x]).numpy()
    assert (run.spikes["lif"] != hidden).sum() == 0 and 0.02 < hidden.mean() < 0.98
    np.testing.assert_allclose(run.v[network.outputs["output"]], expected, rtol=1e-9)
