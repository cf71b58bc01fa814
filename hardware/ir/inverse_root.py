"""A neuron that sends gain / sqrt(a): what a normalisation divides by, by Newton's iteration in fixed point. It has no state.

Per time step, for synaptic input a (a sum of squares, or of the binary spikes whose squares they are), all in integers of 32 bits:

    e  = floor(log4 a)                     0..15, so that 4**e <= a < 4**(e + 1)
    m  = floor(a 2**13 / 4**e)             13 bits behind the point, 2**13 .. 2**15 - 1, which stands for 1 <= a / 4**e < 4
    y  = 18076 - (21845 m >> 16)           14 bits behind the point: a line near 1 / sqrt(m), 9 % off at most
    y  = y (3 2**14 - (m (y y >> 14) >> 13)) >> 15        three times: y (3 - m y**2) / 2
    s  = (gain y + 2**(13 + e)) >> (14 + e)               rounded; 0 where a <= 0

>> rounds down. Each iteration squares the relative error, times 3/2: 13 %, 2.4 %, 9e-4, 2e-6, below what 14 bits hold. So for every a

    |s - gain / sqrt(a)| <= 1/2 + 2**-12 gain / sqrt(a)

which a test shows for every mantissa m and exponent e that there are. No product leaves 31 bits: gain has 16, y and m 15.

Source: Newton's iteration for 1 / sqrt is textbook (Goldberg 1991, appendix; y does not divide); widths and constants are this project's
own. A chip needs neuron microcode for it: a shift by a variable and seven products per step and neuron, assumed to fit, for no public
document says how long a neuron's program may be. The sum over a group does not happen here but in synapses of weight 1 from every
member of the group to the one neuron that computes its root, and back from that neuron to every member: two steps, all counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import check_range
from snnfuse.hardware.ir.json_fields import INTEGER, SHAPE
from snnfuse.hardware.ir.kinds import NeuronKind, Placement, register_neuron
from snnfuse.hardware.ir.nodes import Neuron, State

MANTISSA_BITS = 13  # of m behind the point
ROOT_BITS = 14  # of y behind the point
START = 18076  # 1.1033 in 14 bits: halfway between the least and the largest of 1 / sqrt(m) + m / 6
SLOPE, SLOPE_BITS = 21845, 16  # 1 / 3, which is 1 / 6 of m's units in y's
ITERATIONS = 3
LARGEST_EXPONENT = 15  # of 4, in a number of 31 bits
GAIN_BITS = 16
GAIN_RANGE = (1, (1 << GAIN_BITS) - 1)


@dataclass(frozen=True, eq=False)
class InverseRoot(Neuron):
    """Neurons that send gain / sqrt of what arrives, as a graded spike. A chip needs neuron microcode for them.

    Attributes:
        shape: neurons, without time and batch.
        gain: the payload for a = 1, and the largest; 1..2**16 - 1.

    Raises:
        FixedPointError: the gain is outside its range.
    """

    shape: tuple[int, ...]
    gain: int
    sends_numbers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("inverse root gain", self.gain, *GAIN_RANGE)

    def largest_payload(self, drives: Sequence[int]) -> int:
        """The gain."""
        return self.gain

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], State]:
        """The root of what arrives."""
        return inverse_root(self, inputs[0]), ()


def inverse_root(node: InverseRoot, a: NDArray[np.int32]) -> NDArray[np.int32]:
    """One time step: input of any shape to payloads of the same shape."""
    exponent = sum((a >= 4**k).astype(np.int64) for k in range(1, LARGEST_EXPONENT + 1))
    shift = MANTISSA_BITS - 2 * exponent
    m = np.where(shift >= 0, a.astype(np.int64) << np.maximum(shift, 0), a.astype(np.int64) >> np.maximum(-shift, 0))
    y = START - (SLOPE * m >> SLOPE_BITS)
    for _ in range(ITERATIONS):
        y = y * ((3 << ROOT_BITS) - (m * (y * y >> ROOT_BITS) >> MANTISSA_BITS)) >> (ROOT_BITS + 1)
    s = node.gain * y + (1 << (ROOT_BITS - 1 + exponent)) >> (ROOT_BITS + exponent)
    return np.where(a > 0, s, 0).astype(np.int32)


register_neuron(
    NeuronKind(
        InverseRoot,
        {"shape": SHAPE, "gain": INTEGER},
        placement=Placement("inverse square root by three Newton iterations", "B", "assumed", "no public model: `ir/inverse_root.py`"),
        emulator="snnfuse.hardware.backends.emulator.graded:inverse_root_form",
        torch="snnfuse.hardware.backends.torch_backend.neurons:inverse_root",
        lava="snnfuse.hardware.backends.lava.neurons:INVERSE_ROOT",
        bounds="snnfuse.hardware.overflow.graded:INVERSE_ROOT",
        microcode="snnfuse.hardware.backends.microcode:inverse_root",
    )
)
