"""Models that the compiler refuses, and what it must say of them."""

from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import nn

from snnfuse.export.tracing import to_nir
from snnfuse.hardware.errors import UnsupportedError

VECTOR, IMAGE = torch.zeros(2, 4), torch.zeros(2, 4, 6, 6)


def lif(**options: Any) -> snn.Leaky:
    return snn.Leaky(**{"beta": 0.9, "init_hidden": True, **options})


def syn(**options: Any) -> snn.Synaptic:
    return snn.Synaptic(**{"alpha": 0.5, "beta": 0.9, "init_hidden": True, **options})


class Model(nn.Module):
    """A forward written in the test, over modules given by name."""

    def __init__(self, run: Callable, **modules: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.run(self, x)


def step(run: Callable, sample: torch.Tensor = VECTOR, **modules: nn.Module) -> tuple[nn.Module, torch.Tensor]:
    """A model with fc, lif and what the test adds."""
    return Model(run, **{"fc": nn.Linear(4, 4), "lif": lif(), **modules}), sample


def chain(*modules: nn.Module, sample: torch.Tensor = VECTOR) -> tuple[nn.Module, torch.Tensor]:
    return nn.Sequential(*modules), sample


def assert_refused(model: nn.Module, sample: Any, where: str, why: str) -> None:
    """One line that names the place, the reason and the way out."""
    with pytest.raises(UnsupportedError) as error:
        to_nir(model, sample)
    message = str(error.value)
    assert where in message and why in message, message
    assert "\n" not in message and "; " in message, message
    assert error.value.exit_code == 3
