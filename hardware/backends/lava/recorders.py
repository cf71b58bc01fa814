"""Lava's fixed-point neuron models with a tap: after each step of theirs, what they sent and their states are copied into
memory-mapped files.

The step itself is Lava's code, called and left alone. A Monitor or Var.get would cost 14-23 us per element.
Importing this module imports Lava.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.lava import stock
from snnfuse.hardware.ir.nodes import Neuron

TAP = "snnfuse_tap"  # name of the process parameter that asks for a recording


@dataclass(frozen=True)
class Tap:
    """What to record of a population.

    Attributes:
        files: .npy files by variable, "s" for what was sent, or a state, each (steps, *shape), made by `make_tap`.
        latency: steps before the first row.
    """

    files: dict[str, str]
    latency: int


def make_tap(folder: Path, stem: str, node: Neuron, steps: int, latency: int, states: bool) -> Tap:
    """Create the files of a population: bool spikes, or int32 graded ones, and int32 states."""
    types = {"s": np.int32 if node.sends_numbers else np.bool_} | (dict.fromkeys(node.states, np.int32) if states else {})
    files = {}
    shape = (steps, *map(int, node.shape))  # NumPy 2 writes an np.int64 so that it cannot read it
    for variable, dtype in types.items():
        files[variable] = str(folder / f"{stem}_{variable}.npy")
        np.lib.format.open_memmap(files[variable], mode="w+", dtype=dtype, shape=shape)
    return Tap(files, latency)


class KeepingOutPort(stock.PyOutPortVectorDense):
    """An out-port that keeps what it sent last."""

    def send(self, data: NDArray) -> None:
        self.sent = data
        super().send(data)


class Tapped(stock.ModelMixin):
    """Comes before a neuron model in the order of inheritance."""

    s_out = stock.LavaPyType(KeepingOutPort, np.int32, precision=24)

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self.tap: Tap = proc_params.get(TAP) or Tap({}, 0)
        self.rows = {variable: np.load(path, mmap_mode="r+") for variable, path in self.tap.files.items()}

    def run_spk(self) -> None:
        super().run_spk()
        row = self.time_step - 1 - self.tap.latency  # Lava counts from 1
        for variable, rows in self.rows.items():
            if 0 <= row < len(rows):
                rows[row] = self.s_out.sent if variable == "s" else getattr(self, variable)


@cache
def tapped(model: type[stock.PyLoihiProcessModel]) -> type[stock.PyLoihiProcessModel]:
    """A neuron model with a tap."""
    return type(f"Tapped{model.__name__}", (Tapped, model), {"__doc__": model.__doc__})
