"""Neurons that send numbers: the product of two inputs and the relay of one. Neither has a state.

Per time step, for synaptic inputs a (sums of weights), in int32 arithmetic, which keeps the low 32 bits:

    Product    v = (a0 a1) >> exponent       a0 and a1 arrive at port 0 and port 1; >> rounds down
    Relay      v = a
    both       s = v where |v| > 0, otherwise 0

A graded spike s is a signed number; its receiver's synapses multiply it with their weights. |v| is an int32 too, so that v =
-2**31, whose magnitude int32 cannot hold, is no spike. A chip's message has 24 bits: Lava sends all 32, and so does every backend
here; `snnfuse.hardware.overflow.observed` reports payloads that a message would not hold. A relay that feeds itself through an identity is
an accumulator: s(t) = a(t) + s(t - 1) from the start of its window on.

Source: Lava 0.10, `PyProdNeuronModelFixed` and `PyGradedVecModelFixed` with vth=0 (their default, 1, drops +1 and -1). GradedVec's
`exp` is not used by its model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import INT32, PRODUCT_EXPONENT_RANGE, check_range, to_int32
from snnfuse.hardware.ir.json_fields import INTEGER, SHAPE
from snnfuse.hardware.ir.kinds import NeuronKind, Placement, register_neuron
from snnfuse.hardware.ir.nodes import Neuron, State


@dataclass(frozen=True, eq=False)
class Product(Neuron):
    """Neurons that multiply what arrives at their two ports. A chip needs neuron microcode for them.

    Attributes:
        shape: neurons, without time and batch.
        exponent: bits that the 32-bit product is shifted right by, 0..31.

    Raises:
        FixedPointError: the exponent is outside its range.
    """

    shape: tuple[int, ...]
    exponent: int = 0
    ports: ClassVar[int] = 2
    needs_all_ports: ClassVar[bool] = True
    sends_numbers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("product exponent", self.exponent, *PRODUCT_EXPONENT_RANGE)

    def largest_payload(self, drives: Sequence[int]) -> int:
        """|a0 a1| within 32 bits, shifted; >> rounds -1 to -1."""
        return -(-min(drives[0] * drives[1], INT32) >> self.exponent)

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], State]:
        """The product of what arrives."""
        return send(product(self, *inputs)), ()


@dataclass(frozen=True, eq=False)
class Relay(Neuron):
    """Neurons that send on what arrives, as a graded spike; what needs a number one step later, or fed back, goes through them. A
    chip needs neuron microcode for them.

    Attributes:
        shape: neurons, without time and batch.
    """

    shape: tuple[int, ...]
    sends_numbers: ClassVar[bool] = True

    def largest_payload(self, drives: Sequence[int]) -> int:
        """What arrives, in 32 bits."""
        return min(drives[0], INT32)

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], State]:
        """What arrives."""
        return send(inputs[0]), ()


def product(node: Product, a0: NDArray[np.int32], a1: NDArray[np.int32]) -> NDArray[np.int32]:
    """(a0 a1) >> exponent, the product wrapped at 32 bits before the shift."""
    return to_int32(a0.astype(np.int64) * a1) >> node.exponent


def send(v: NDArray[np.int32]) -> NDArray[np.int32]:
    """v, but for -2**31: the magnitude of that overflows int32 to something below the threshold."""
    return np.where(v == np.iinfo(np.int32).min, 0, v).astype(np.int32)


UNPUBLISHED = "Lava has a fixed-point process of it; its NeuroCore model is not public"
register_neuron(
    NeuronKind(
        Product,
        {"shape": SHAPE, "exponent": INTEGER},
        placement=Placement("product neuron, lava.proc.prodneuron", "B", "assumed", UNPUBLISHED),
        emulator="snnfuse.hardware.backends.emulator.graded:product_form",
        torch="snnfuse.hardware.backends.torch_backend.neurons:product",
        lava="snnfuse.hardware.backends.lava.neurons:PRODUCT",
        bounds="snnfuse.hardware.overflow.graded:PRODUCT",
        microcode="snnfuse.hardware.backends.microcode:product",
    )
)
register_neuron(
    NeuronKind(
        Relay,
        {"shape": SHAPE},
        placement=Placement("graded relay, lava.proc.graded.GradedVec", "B", "assumed", UNPUBLISHED),
        emulator="snnfuse.hardware.backends.emulator.graded:relay_form",
        torch="snnfuse.hardware.backends.torch_backend.neurons:relay",
        lava="snnfuse.hardware.backends.lava.neurons:RELAY",
        bounds="snnfuse.hardware.overflow.graded:RELAY",
        microcode="snnfuse.hardware.backends.microcode:relay",
    )
)
