"""What a neuron kind brings so that Lava runs it: the form that a `NeuronKind` names under `lava`. Importing this module imports Lava."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from snnfuse.hardware.backends.lava import stock

FOREVER = {"reset_interval": 2**31 - 1, "reset_offset": 0}  # the first step counts as 1, so the offset 0 is 2**31 - 1 steps away

Window = Mapping[str, int]
"""`reset_interval` and `reset_offset`: states are to be zero at the start of every step t with t % interval == offset, from 1."""


@dataclass(frozen=True, eq=False)
class LavaNeuron:
    """A kind of neuron as Lava processes.

    Attributes:
        build: of (name, node, window) a process in the node's shape, with an out-port s_out and a variable for each of the node's
            states, under its name. Without a window (None) nothing is ever cleared.
        models: by process class that it builds, the fixed-point process model that runs it.
        ports: names of its in-ports, in the order of the node's.
    """

    build: Callable[[str, Any, Window | None], stock.AbstractProcess]
    models: Mapping[type[stock.AbstractProcess], type[stock.PyLoihiProcessModel]]
    ports: tuple[str, ...] = ("a_in",)


def named(name: str, process: stock.AbstractProcess) -> stock.AbstractProcess:
    """A process whose constructor takes no name, with one."""
    process.name = name
    return process
