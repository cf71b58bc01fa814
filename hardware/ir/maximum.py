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

from snnfuse.hardware.ir.fixed_point import INT32, check_range
from snnfuse.hardware.ir.graded import send
from snnfuse.hardware.ir.json_fields import INTEGER, SHAPE
from snnfuse.hardware.ir.kinds import NeuronKind, Placement, register_neuron
from snnfuse.hardware.ir.nodes import Neuron, State

MOST_PORTS = 4096  # a plain bound on what a file may ask for: a window of 64 x 64


@dataclass(frozen=True, eq=False)
class Maximum(Neuron):
    """Neurons that send the largest sum of their ports, a graded spike. A chip needs neuron microcode for them.

    Attributes:
        shape: neurons, without time and batch.
        ports: places of the window, 1..4096; each must be fed.

    Raises:
        FixedPointError: the number of ports is outside its range.
    """

    shape: tuple[int, ...]
    ports: int = 2  # pyright: ignore[reportIncompatibleVariableOverride]  (of other kinds it is the same for all of them)
    needs_all_ports: ClassVar[bool] = True
    sends_numbers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("ports", self.ports, 1, MOST_PORTS)

    def largest_payload(self, drives: Sequence[int]) -> int:
        """The largest that arrives anywhere, in 32 bits."""
        return min(max(drives), INT32)

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], State]:
        """The largest of what arrives."""
        return send(np.maximum.reduce(list(inputs))), ()


register_neuron(
    NeuronKind(
        Maximum,
        {"shape": SHAPE, "ports": INTEGER},
        placement=Placement(
            "maximum neuron, an accumulator per port", "B", "assumed", "a pooling of sums in microcode; nothing is published"
        ),
        emulator="snnfuse.hardware.backends.maximum:emulator_form",
        torch="snnfuse.hardware.backends.maximum:torch_form",
        lava="snnfuse.hardware.backends.lava.processes.maximum:MAXIMUM",
        bounds="snnfuse.hardware.overflow.graded:MAXIMUM",
        microcode="snnfuse.hardware.backends.microcode:maximum",
    )
)
