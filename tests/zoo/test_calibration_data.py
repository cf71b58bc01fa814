"""Calibration data as Python holds them: arrays, tensors, data sets and loaders, with and without labels, give the same program."""

from typing import Any

import numpy as np
import pytest
import torch
from forms import BATCH, CLASSES, INPUTS, STEPS, Net, made, spikes_over_time
from torch.utils.data import DataLoader, TensorDataset

from snnfuse.compile import Settings, compile, source_of
from snnfuse.compile.open_samples import samples_of
from snnfuse.export import quantize, to_nir
from snnfuse.export.targets import find_target
from snnfuse.hardware import emulate
from snnfuse.hardware.errors import InputError

X = spikes_over_time().float()
LABELS = torch.arange(BATCH) % CLASSES
SEQUENCES = X.transpose(0, 1)  # a sample of a data set is (time, ...)


def time_first(each: list[Any]) -> Any:
    return torch.stack([x for x, _ in each], 1), torch.stack([y for _, y in each])


WITH_TIME_FIRST = DataLoader(TensorDataset(SEQUENCES, LABELS), 2, collate_fn=time_first)


@pytest.mark.parametrize("data, options, labelled", [
    (X, {}, False), (X.numpy(), {}, False), ((X, LABELS), {}, True), ({"x": X, "labels": LABELS}, {}, True),
    (SEQUENCES, {"batch_first": True}, False), (TensorDataset(SEQUENCES, LABELS), {}, True), (TensorDataset(SEQUENCES), {}, False),
    (DataLoader(TensorDataset(SEQUENCES, LABELS), 2), {"batch_first": True}, True), (WITH_TIME_FIRST, {}, True),
    (DataLoader(TensorDataset(SEQUENCES), 2), {"batch_first": True}, False),
], ids="tensor array pair names batch-first set unlabelled-set loader time-first unlabelled-loader".split())  # fmt: skip
def test_the_same_samples(data: Any, options: Any, labelled: bool) -> None:
    found = samples_of(data, **options)
    (array,) = found.inputs.values()
    np.testing.assert_array_equal(array, X.numpy())
    assert (found.labels is not None) == labelled
    if found.labels is not None:
        np.testing.assert_array_equal(found.labels, LABELS.numpy())


def test_images_without_time_stay_for_all_steps() -> None:
    images = X[0]
    for data in (images, TensorDataset(images, LABELS), DataLoader(TensorDataset(images, LABELS), 2)):
        (array,) = samples_of(data, static_steps=STEPS).inputs.values()
        assert array.shape == X.shape and (array == images.numpy()).all()


def test_only_the_first_samples_are_taken() -> None:
    assert len(samples_of(TensorDataset(SEQUENCES, LABELS), most=3)) == 3
    found = samples_of(DataLoader(TensorDataset(SEQUENCES, LABELS), 2), batch_first=True, most=3)
    assert len(found) == 3 and found.labels is not None and len(found.labels) == 3


class Static(Net):
    def forward(self, x: Any) -> Any:
        self.begin()
        return torch.stack([self.step(x)[0] for _ in range(STEPS)])


def test_a_loader_calibrates_in_python() -> None:
    model, loader = made(Static).float(), DataLoader(TensorDataset(X[0], LABELS), 2)
    settings = Settings(layout="static", time_steps=STEPS)
    compiled = compile(source_of(model), loader, settings, find_target("lava"))
    assert compiled.report["calibration"]["samples"] == BATCH and compiled.report["forward"].startswith("one input for all")
    graph = to_nir(made(Static).float(), X[0])
    runs = [
        emulate(program, program.encode(X.numpy())).spikes["output"]
        for program in (quantize(graph, X.numpy()), quantize(graph, X), quantize(graph, TensorDataset(SEQUENCES, LABELS)))
    ]
    assert all((spikes == runs[0]).all() for spikes in runs) and runs[0].any()


REFUSED = {
    "list": ([], "is float64|empty"), "empty set": (TensorDataset(X[:, :0]), "is empty"), "empty loader": (iter([]), "the loader is empty"),
    "object": (object(), "a object is no array, data set or loader"), "text": (np.array(["a"]), "not numbers"),
    "ragged": ([np.zeros((3, 2)), np.zeros((4, 2))], "holds a list that is no array"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_anything_else_is_refused_in_one_line(case: str) -> None:
    data, said = REFUSED[case]
    with pytest.raises(InputError, match=said):
        samples_of(data)


def test_samples_of_different_lengths_are_refused() -> None:
    assert INPUTS
    with pytest.raises(InputError, match="samples differ in shape: .*; pad or cut them to one"):
        samples_of(_Ragged())


class _Ragged:
    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> Any:
        return torch.zeros(3 + i, INPUTS), 0
