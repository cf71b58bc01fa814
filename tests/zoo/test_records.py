"""Records of zeros that forward writes its steps into, results in lists and named tuples, and one input repeated for all steps."""

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from forms import CLASSES, STEPS, Net, agrees, by_steps, found, graph_spikes, made, spikes_over_time

from snnfuse.export.tracing.measured import run_model
from snnfuse.hardware.errors import UnsupportedError

Results = namedtuple("Results", ("spikes", "membranes"))


def by_index(m: Any, x: Any) -> Any:
    record = torch.zeros(len(x), x.size(1), CLASSES)
    for t in range(len(x)):
        record[t] = m.step(x[t])[0]
    return record


def by_slices(m: Any, x: Any) -> Any:
    record = torch.zeros(x.size(1), len(x), CLASSES, dtype=x.dtype)
    for t in range(len(x)):
        record[:, t, :] = m.step(x[t])[0]
    return record.transpose(0, 1)


def time_last(m: Any, x: Any) -> Any:
    record = x.new_zeros((x.size(1), CLASSES, len(x)))
    for t, now in enumerate(x):
        record[..., t] = m.step(now)[0]
    return record


def summed(m: Any, x: Any) -> Any:
    record = torch.zeros(len(x), x.size(1), CLASSES)
    for t in range(len(x)):
        record[t, :] = m.step(x[t])[0]
    return record.sum(0)


def two_records(m: Any, x: Any) -> Any:
    spikes, membranes = torch.zeros(len(x), x.size(1), CLASSES), torch.zeros(len(x), x.size(1), CLASSES)
    for t in range(len(x)):
        spikes[t], membranes[t] = m.step(x[t])
    return spikes, membranes


def model_of(run: Any) -> Any:
    class Recording(Net):
        def forward(self, x: Any) -> Any:
            self.begin()
            return run(self, x)

    return made(Recording)


@pytest.mark.parametrize("run", [by_index, by_slices, time_last, summed, two_records], ids=lambda run: run.__name__)
def test_a_record_that_is_written_step_by_step(run: Any) -> None:
    model, x = model_of(run), spikes_over_time()
    form = agrees(model, x, "time-first")
    returned = run_model(model, {"x": x.numpy()}, form)[0]
    expected = by_steps(model, x)
    np.testing.assert_array_equal(returned, expected.sum(0) if run is summed else expected)


def half_written(m: Any, x: Any) -> Any:
    record = torch.zeros(len(x) + 1, x.size(1), CLASSES)
    for t in range(len(x)):
        record[t] = m.step(x[t])[0]
    return record


def twice(m: Any, x: Any) -> Any:
    record = torch.zeros(len(x), x.size(1), CLASSES)
    for t in range(len(x)):
        record[0] = m.step(x[t])[0]
    return record


def one_neuron(m: Any, x: Any) -> Any:
    record = torch.zeros(len(x), x.size(1), CLASSES)
    for t in range(len(x)):
        record[t, :, 0] = m.step(x[t])[0][:, 0]
    return record


def transposed(m: Any, x: Any) -> Any:
    return by_index(m, x) if isinstance(x, list) else written(m, x).mT


def written(m: Any, x: Any) -> Any:
    record = torch.zeros(len(x), x.size(1), CLASSES)
    for t in range(len(x)):
        record[t] = m.step(x[t])[0]
    return record


@pytest.mark.parametrize("run", [half_written, twice, one_neuron, transposed], ids=lambda run: run.__name__)
def test_any_other_writing_is_refused(run: Any) -> None:
    with pytest.raises(UnsupportedError, match="setitem: it writes to a part or all of a tensor; build the tensor with torch.cat"):
        found(model_of(run), spikes_over_time())


def test_a_named_tuple_names_its_outputs() -> None:
    model, x = model_of(lambda m, x: Results(*map(torch.stack, zip(*map(m.step, x), strict=True)))), spikes_over_time()
    graph, form = found(model, x)
    assert list(graph.outputs) == ["spikes", "membranes"]
    assert (graph_spikes(graph, x, "spikes") == by_steps(model, x)).all()
    np.testing.assert_array_equal(run_model(model, {"x": x.numpy()}, form)[0], by_steps(model, x))


@pytest.mark.parametrize("container", [list, dict])
def test_layers_in_a_list_beside_the_last_are_outputs_too(container: Any) -> None:
    class Layers(Net):
        def forward(self, x: Any) -> Any:
            self.begin()
            first, second = [], []
            for now in x:
                spikes, self.mem1 = self.lif1(self.fc1(now), self.mem1)
                first.append(spikes)
                spikes, self.mem2 = self.lif2(self.fc2(spikes), self.mem2)
                second.append(spikes)
            both = [torch.stack(first), torch.stack(second)]
            return torch.stack(second), both if container is list else {"first": both[0], "second": first and both[1]}

    model, x = made(Layers), spikes_over_time()
    graph, form = found(model, x)
    returned = run_model(model, {"x": x.numpy()}, form)
    assert len(graph.outputs) == len(returned) == 3 and [r.shape[0] for r in returned] == [STEPS] * 3
    for name, expected in zip(graph.outputs, returned, strict=True):
        assert (graph_spikes(graph, x, name) == expected).all()


@pytest.mark.parametrize("repeat", [
    lambda x: x.unsqueeze(0).repeat(STEPS, 1, 1), lambda x: x.unsqueeze(0).expand(STEPS, -1, -1), lambda x: x.repeat(STEPS, 1, 1),
    lambda x: torch.stack([x] * STEPS), lambda x: x.unsqueeze(1).repeat(1, STEPS, 1).transpose(0, 1),
], ids=["repeat", "expand", "repeat adds an axis", "stack", "batch first"])  # fmt: skip
def test_one_input_that_forward_repeats_for_all_steps(repeat: Any) -> None:
    model, x = model_of(lambda m, x: torch.stack([m.step(now)[0] for now in repeat(x)])), spikes_over_time(static=True)
    form = agrees(model, x, "static")
    assert form.steps == STEPS


def test_the_class_itself_that_forward_returns() -> None:
    model, x = model_of(lambda m, x: torch.stack([m.step(now)[0] for now in x]).sum(0).argmax(1)), spikes_over_time()
    graph, form = found(model, x)
    (returned,) = run_model(model, {"x": x.numpy()}, form)
    np.testing.assert_array_equal(returned.argmax(1), by_steps(model, x).sum(0).argmax(1))
    assert (graph_spikes(graph, x) == by_steps(model, x)).all()
