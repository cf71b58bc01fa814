"""Neurons that send numbers: the product of two inputs, the relay of one, and the inverse root of one. None has a state.

Per time step, for synaptic inputs a (sums of weights), in int32 arithmetic, which keeps the low 32 bits:

    Product    v = (a0 a1) >> exponent       a0 and a1 arrive at port 0 and port 1; >> rounds down
    Relay      v = a
    both       s = v where |v| > 0, otherwise 0        (`snnfuse.hardware.ir.inverse_root` has equations of its own)

A graded spike s is a signed number; its receiver's synapses multiply it with their weights. |v| is an int32 too, so that v =
-2**31, whose magnitude int32 cannot hold, is no spike. A chip's message has 24 bits: Lava sends all 32, and so does every backend
here; `snnfuse.hardware.overflow.observed` reports payloads that a message would not hold. A relay that feeds itself through an identity is
an accumulator: s(t) = a(t) + s(t - 1) from the start of its window on.

Source: Lava 0.10, `PyProdNeuronModelFixed` and `PyGradedVecModelFixed` with vth=0 (their default, 1, drops +1 and -1). GradedVec's
`exp` is not used by its model.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import PRODUCT_EXPONENT_RANGE, check_range, to_int32
from snnfuse.hardware.ir.inverse_root import InverseRoot, inverse_root
from snnfuse.hardware.ir.json_fields import INTEGER, SHAPE
from snnfuse.hardware.ir.kinds import NeuronKind, register_neuron


@dataclass(frozen=True, eq=False)
class Product:
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
    states: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_range("product exponent", self.exponent, *PRODUCT_EXPONENT_RANGE)


@dataclass(frozen=True, eq=False)
class Relay:
    """Neurons that send on what arrives, as a graded spike; what needs a number one step later, or fed back, goes through them. A
    chip needs neuron microcode for them.

    Attributes:
        shape: neurons, without time and batch.
    """

    shape: tuple[int, ...]
    ports: ClassVar[int] = 1
    states: ClassVar[tuple[str, ...]] = ()


Graded = Product | Relay | InverseRoot


def step(node: Graded, *inputs: NDArray[np.int32]) -> NDArray[np.int32]:
    """One time step: an input (batch, *shape) per port to graded spikes of the same shape."""
    if isinstance(node, InverseRoot):
        return inverse_root(node, inputs[0])
    return send(product(node, *inputs) if isinstance(node, Product) else inputs[0])


def product(node: Product, a0: NDArray[np.int32], a1: NDArray[np.int32]) -> NDArray[np.int32]:
    """(a0 a1) >> exponent, the product wrapped at 32 bits before the shift."""
    return to_int32(a0.astype(np.int64) * a1) >> node.exponent


def send(v: NDArray[np.int32]) -> NDArray[np.int32]:
    """v, but for -2**31: the magnitude of that overflows int32 to something below the threshold."""
    return np.where(v == np.iinfo(np.int32).min, 0, v).astype(np.int32)


register_neuron(NeuronKind(Product, {"shape": SHAPE, "exponent": INTEGER}, emulator="snnfuse.hardware.backends.emulator.graded:product_form"))
register_neuron(NeuronKind(Relay, {"shape": SHAPE}, emulator="snnfuse.hardware.backends.emulator.graded:relay_form"))
