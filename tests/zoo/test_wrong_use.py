"""Wrong use that would run all the same: each is warned of or refused with what to do, and a healthy network is silent."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import nir
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snntorch import Leaky
from torch import nn

from snnfuse.compile.doubts import doubtful_classes
from snnfuse.export import quantize, to_nir
from snnfuse.hardware import Program, emulate
from snnfuse.hardware.errors import CalibrationWarning, DataWarning, InputError, RangeWarning, SaturationWarning

TIME, BATCH, INPUTS, CLASSES = 40, 64, 6, 3


def images(seed: int = 0) -> NDArray[np.float64]:
    """Analog inputs that stay for all steps, (time, batch, inputs)."""
    return np.repeat(np.random.default_rng(seed).random((1, BATCH, INPUTS)), TIME, 0)


def spikes(samples: int = BATCH) -> NDArray[np.float64]:
    return (np.random.default_rng(1).random((TIME, samples, INPUTS)) < 0.4).astype(float)


def graph(neurons: int = CLASSES, dt: float | None = 1e-3, strength: float = 3) -> nir.NIRGraph:
    """One layer of LIF with tau 10 ms, whose file says its dt, or not."""
    ones, rng = np.ones(neurons), np.random.default_rng(2)
    about: dict[str, Any] = {} if dt is None else {"dt": dt}
    found = nir.NIRGraph.from_list(nir.Linear(rng.random((neurons, INPUTS)) * strength), nir.LIF(1e-2 * ones, ones, 0 * ones, ones))
    return nir.NIRGraph(found.nodes, found.edges, metadata=about)


@contextmanager
def silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("x", [images(), spikes()], ids=["analog", "spikes"])
def test_a_healthy_network_is_silent(x: NDArray) -> None:
    with silent():
        program = quantize(graph(), x)
        recording = emulate(program, program.encode({"input": x}))
    assert any(array.any() for array in recording.spikes.values())


def test_two_calibration_samples_are_few_and_many_are_not() -> None:
    with pytest.warns(CalibrationWarning, match="2 calibration samples of 40 steps are few .* calibrate on 64 or more"):
        quantize(graph(), spikes(2))


def test_data_with_the_batch_first_names_the_argument() -> None:
    with pytest.warns(CalibrationWarning, match=r"these look like 64 samples of 40 equal steps.*say batch_first=True"):
        quantize(graph(), images().swapaxes(0, 1))


@pytest.mark.parametrize(("factor", "kind", "said"), [
    (255, SaturationWarning, "values lie beyond"), (0.25, RangeWarning, "of the"), (1 / 255, RangeWarning, "of the"),
])  # fmt: skip
def test_inputs_of_another_scale(factor: float, kind: type[Warning], said: str) -> None:
    program = quantize(graph(), images())
    with silent():
        program.encode({"input": images(1) * 0.98})
    with pytest.warns(kind, match=said):
        program.encode({"input": images() * factor})


def test_a_graph_that_does_not_say_its_dt_and_never_fires() -> None:
    weak = graph(dt=None, strength=0.5)
    with pytest.warns(
        CalibrationWarning, match="never spike.*does not say its time step: it is read as 0.0001 s; give the one .* dt=0.001"
    ):
        quantize(weak, spikes()[:12])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        quantize(graph(dt=None), spikes(), dt=1e-3)
    assert not [w for w in told if "time step" in str(w.message)]


def population(neurons: int) -> tuple[Program, NDArray]:
    return quantize(graph(neurons), spikes()), spikes()


def test_outputs_that_are_a_multiple_of_the_classes() -> None:
    program, x = population(12)
    recording = emulate(program, program.encode({"input": x}))
    labels = np.arange(BATCH) % 3
    said = doubtful_classes(program, recording, labels)
    assert said is not None and "4 times the 3 classes" in said and "num_classes=3" in said
    decided = emulate(population(3)[0], program.encode({"input": x}))
    assert doubtful_classes(population(3)[0], decided, labels) is None
    coded = quantize(graph(12), x, num_classes=3)
    assert doubtful_classes(coded, emulate(coded, coded.encode({"input": x})), labels) is None


def steps(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


def leaky() -> nn.Module:
    return Leaky(beta=0.75, init_hidden=True)


def linear() -> nn.Module:
    return steps(nn.Linear(INPUTS, 5), leaky(), nn.Linear(5, 2), leaky())


def convolution() -> nn.Module:
    return steps(nn.Conv2d(1, 2, 3), leaky(), nn.Flatten(), nn.Linear(32, 2), leaky())


def tokens() -> nn.Module:
    return steps(nn.Linear(INPUTS, 5), leaky(), nn.Flatten(), nn.Linear(40, 2), leaky())


def test_a_whole_sequence_as_the_sample_of_one_step() -> None:
    whole = torch.rand(TIME, 8, INPUTS)
    with pytest.warns(DataWarning, match=r"does the same with their 8 rows; .* give one time step: sample\[0\]"):
        to_nir(linear(), whole)
    with pytest.raises(InputError, match=r"sample \(40, 8, 1, 6, 6\) is a whole sequence, .* one time step: give sample\[0\]"):
        to_nir(convolution(), torch.rand(TIME, 8, 1, 6, 6))


HEALTHY: dict[str, tuple[Callable[[], nn.Module], torch.Tensor]] = {
    "linear": (linear, torch.rand(8, INPUTS)), "convolution": (convolution, torch.rand(8, 1, 6, 6)),
    "tokens": (tokens, torch.rand(4, 8, INPUTS)),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_one_step_is_silent(name: str) -> None:
    make, sample = HEALTHY[name]
    with silent():
        to_nir(make(), sample)
