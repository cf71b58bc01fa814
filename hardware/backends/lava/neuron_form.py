"""What a `NeuronKind` names under `lava`: how a kind of neuron is built of Lava processes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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

    build: Callable[[str, Any, Window | None], Any]
    models: Mapping[type, type]
    ports: tuple[str, ...] = ("a_in",)
