"""The networks of the folder `zoo` beside the checkout, as a new user exports them, and what they are worth before and after."""

import sys
import types
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.checkpoints.checkpoint import load_checkpoint
from snnfuse.export.bundle.bundle import read_bundle
from snnfuse.export.tracing.capture.arguments import input_names
from snnfuse.export.tracing.forms import find_form
from snnfuse.export.tracing.measured import run_model
from snnfuse.hardware.backends.run_pipeline import run_pipeline

Reader = Callable[[list[NDArray]], NDArray]


def counts(returned: list[NDArray]) -> NDArray:
    """Spikes over time, of the first of what forward returns."""
    return returned[0].sum(0) if returned[0].ndim > 2 else returned[0]


def population(returned: list[NDArray]) -> NDArray:
    return counts(returned).reshape(len(returned[0][0]), 10, -1).sum(-1)


def last_membrane(returned: list[NDArray]) -> NDArray:
    return returned[1]


def first(returned: list[NDArray]) -> NDArray:
    return returned[0]


def second(returned: list[NDArray]) -> NDArray:
    return returned[1]


@dataclass(frozen=True)
class Entry:
    """How one network is exported and read.

    Attributes:
        options: of the first command, beside model, weights and data.
        read: what of the float model's results is compared: scores of classes, or values over time.
        is_value: whether values are compared, not classes.
        returns: what its user had to add, as the refusal says.
    """

    options: tuple[str, ...] = ()
    read: Reader = counts
    is_value: bool = False
    returns: str = ""


ZOO: Mapping[str, Entry] = {
    "m01_tut5": Entry(), "m02_quickstart": Entry(), "m04_austin": Entry(),
    "m05_pop": Entry(("--decoder", "spike_count", "--num-classes", "10"), population),
    "m06_reg1": Entry(read=first, is_value=True), "m07_reg2": Entry(), "m08_quickfc": Entry(), "m10_exoplanet": Entry(),
    "m11_bsnn": Entry(),
    "m13_gsc": Entry(), "m15_csnn": Entry(), "m17_builder": Entry(returns="self.mem_rec['lif2']"), "m19_dvs": Entry(read=last_membrane),
    "m20_sum": Entry(), "m24_sae": Entry(read=second, is_value=True),
}  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """Accuracy in percent, or error in parts of the variance, of the float network and of what was deployed."""

    floats: float
    deployed: float
    is_value: bool = field(default=False)

    @property
    def loss(self) -> float:
        """Points of accuracy, or parts of the variance of the float network's values."""
        return self.deployed if self.is_value else self.floats - self.deployed


def completed(entry: Entry, kind: type) -> None:
    """Add to forward the one line that the refusal asks for."""
    before = kind.forward

    def forward(self: Any, input_spikes: Any) -> Any:
        before(self, input_spikes)
        return eval(entry.returns, {"self": self})  # the words of the refusal

    kind.forward = forward


def neighbour() -> None:
    """A module that a network of the folder imports and that is not in it."""
    stand_in: Any = types.ModuleType("models.m03_nmnist")
    stand_in.steps = lambda x: x
    sys.modules["models.m03_nmnist"] = stand_in


def floats(zoo: Path, name: str, entry: Entry, x: Mapping[str, NDArray]) -> NDArray:
    """What the float model makes of test samples, by snnTorch itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load_checkpoint(zoo / "data" / f"{name}.pt", model=f"{zoo / 'models' / name}.py:net")
    (array,) = x.values()
    shapes = dict.fromkeys(input_names(model), array.shape[2:])
    _, form = find_form(model, shapes, len(array))
    return entry.read(run_model(model, {"x": array.astype(np.float32)}, form))


def figures(zoo: Path, name: str, entry: Entry, bundle: Path) -> Figures:
    """Float network and bundle on the test samples."""
    from snnfuse.hardware.ir.encoding import values

    test = np.load(zoo / "data" / f"{name}_test.npz")
    pipeline = read_bundle(bundle).pipeline
    program = pipeline.programs[-1]
    x = {next(iter(pipeline.inputs)): test["x"]}
    recording = run_pipeline(pipeline, pipeline.encode(x)).recordings[-1]
    expected = floats(zoo, name, entry, x)
    if entry.is_value:
        found = values(program, recording).reshape(expected.shape)
        return Figures(0.0, float(np.mean((found - expected) ** 2) / np.var(expected)), True)
    labels = test["labels"]
    right = float((expected.reshape(len(labels), -1).argmax(1) == labels).mean()) * 100
    return Figures(right, float((program.decode(recording) == labels).mean()) * 100)
