"""Neurons that send the largest of what arrives at their ports: a max pooling of numbers, in front of any neuron.

Per time step, for synaptic inputs a_p (sums of weights at port p), in int32 arithmetic:

    v = max(a_0, a_1, ..)
    s = v where |v| is an int32, otherwise 0          as of `snnfuse.hardware.ir.graded`

A pooling has a port per place of its window, so that what arrives at place p of a neuron's window is summed at port p, by as many synapse
groups as it takes. The maximum commutes with factors that are not negative, so that one scale of all ports is that of what is sent; the
sign of a negative one belongs into the synapses behind. What is fed back or skips the pooling goes to the neuron behind it, as anything
does that is added to the maximum. The neuron has no state.

Source: torch.nn.MaxPool2d. Lava has no such neuron; its process here is of our own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import INT32, STATE_LIMIT, check_range
from snnfuse.hardware.ir.graded import send
from snnfuse.hardware.ir.json_fields import INTEGER, NUMBER, SHAPE
from snnfuse.hardware.ir.kinds import NeuronKind, Placement, register_neuron
from snnfuse.hardware.ir.nodes import Neuron, State

MOST_PORTS = 4096  # a plain bound on what a file may ask for: a window of 64 x 64


@dataclass(frozen=True, eq=False)
class Maximum(Neuron):
    """Neurons that send the largest sum of their ports, a graded spike. A chip needs neuron microcode for them.

    Attributes:
        shape: neurons, without time and batch.
        ports: places of the window, 1..4096; each must be fed.
        scale: value of a payload of 1, > 0, in the units of the float network; informs only.

    Raises:
        FixedPointError: the number of ports is outside its range.
        InputError: the scale is no such number.
    """

    shape: tuple[int, ...]
    ports: int = 2  # pyright: ignore[reportIncompatibleVariableOverride]  (of other kinds it is the same for all of them)
    scale: float = 1.0
    needs_all_ports: ClassVar[bool] = True
    sends_numbers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("ports", self.ports, 1, MOST_PORTS)
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"a maximum's scale must be positive and finite, not {self.scale}")

    def encode(self, values: NDArray) -> NDArray[np.int32]:
        """Integers of 24 bits that stand for the float network's values, of any shape: round(x / scale), saturated."""
        return np.clip(np.rint(values / self.scale), 1 - STATE_LIMIT, STATE_LIMIT - 1).astype(np.int32)

    def largest_payload(self, drives: Sequence[int]) -> int:
        """The largest that arrives anywhere, in 32 bits."""
        return min(max(drives), INT32)

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], State]:
        """The largest of what arrives."""
        return send(np.maximum.reduce(list(inputs))), ()


register_neuron(
    NeuronKind(
        Maximum,
        {"shape": SHAPE, "ports": INTEGER, "scale": NUMBER},
        placement=Placement(
            "maximum neuron, an accumulator per port", "B", "assumed", "a pooling of sums in microcode; nothing is published"
        ),
        emulator="snnfuse.hardware.backends.maximum:emulator_form",
        torch="snnfuse.hardware.backends.maximum:torch_form",
        lava="snnfuse.hardware.backends.lava.processes.maximum:MAXIMUM",
        bounds="snnfuse.hardware.overflow.graded:MAXIMUM",
        microcode="snnfuse.hardware.backends.microcode:maximum",
        training="snnfuse.nn.neurons:maximum",
    )
)
