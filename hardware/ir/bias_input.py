"""A static analog input in the bias registers of its first neurons: a host writes it once per sample, and nothing is sent on any step.

Per sample, for an input value x and the mantissa n that the host writes into a neuron's register,

    n  = round(x / scale) + offset                                    13 bits, saturated at +-4095
    v' = ... + (bias_mant + n) 2**bias_exp          on every step, with the rest of `snnfuse.hardware.ir.lif`

Source: lava-dl 0.6.0, `netx/hdf5.py` and `netx/blocks/process.py`, whose input blocks have neurons and no synapses ("the input must be
handled through neuron's bias"), with the transform weight * x + bias; its tests write `in_layer.neuron.bias_mant` (`test_hdf5_nx.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import BIAS_MANTISSA_RANGE
from snnfuse.hardware.ir.json_fields import INTEGER, NUMBER, SHAPE
from snnfuse.hardware.ir.kinds import NEURONS, NeuronKind, Placement, register_neuron
from snnfuse.hardware.ir.lif import Lif, LifState
from snnfuse.hardware.ir.nodes import Input, State

LARGEST = BIAS_MANTISSA_RANGE[1]


@dataclass(frozen=True)
class BiasInput(Input):
    """Analog values that stay as they are for a whole sample, as mantissas of a bias.

    Attributes:
        shape: neurons, without time and batch.
        scale: value of one unit, of either sign and not 0, in the units of the float network's input.
        offset: mantissa that stands for the value 0; -4095..4095.
    """

    shape: tuple[int, ...]
    scale: float
    offset: int = 0
    # Not a field: it is the register's.
    bits: ClassVar[int] = 13  # pyright: ignore[reportIncompatibleVariableOverride]
    sends_numbers: ClassVar[bool] = True
    is_written: ClassVar[bool] = True
    is_calibrated: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale != 0):
            raise InputError(f"a bias input's scale must be finite and not 0, not {self.scale}")
        if not -LARGEST <= self.offset <= LARGEST:
            raise InputError(f"a bias input's offset must lie in -{LARGEST}..{LARGEST}, not {self.offset}")

    @property
    def payloads(self) -> tuple[int, int]:
        """What the register holds, without the lowest."""
        return -LARGEST, LARGEST

    def beyond(self, x: NDArray) -> int:
        """How many values leave the register."""
        return int((np.abs(np.rint(x / self.scale) + self.offset) > LARGEST).sum())

    def encode(self, name: str, x: NDArray) -> NDArray[np.int32]:
        """round(x / scale) + offset, saturated."""
        return np.clip(np.rint(x / self.scale) + self.offset, *self.payloads).astype(np.int32)


@dataclass(frozen=True, eq=False)
class BiasedLif(Lif):
    """`Lif` whose bias mantissa a `BiasInput` adds to, at port 1; parameters as of `Lif`."""

    ports: ClassVar[int] = 2
    written_port: ClassVar[int | None] = 1

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.bool_], LifState]:
        """One time step of `Lif`, with the bias of this sample."""
        return self.updated(state, inputs[0], self.shifted_bias(inputs[1]))


register_neuron(
    NeuronKind(
        BiasInput,
        {"shape": SHAPE, "scale": NUMBER, "offset": INTEGER},
        placement=Placement("values that a host writes into bias registers", "C", "models agree", "lava-dl's netx input layers"),
    )
)
register_neuron(
    NeuronKind(
        BiasedLif,
        NEURONS.named("Lif").fields,
        placement=Placement("a stock LIF whose bias the host sets per sample", "A", "models agree", "lava-dl's netx input layers"),
        emulator="snnfuse.hardware.backends.emulator.lif:form",
        torch="snnfuse.hardware.backends.torch_backend.neurons:biased_lif",
        lava="snnfuse.hardware.backends.lava.neurons:BIASED_LIF",
        bounds="snnfuse.hardware.overflow.lif:BIASED_LIF",
        microcode="snnfuse.hardware.backends.microcode:lif",
    )
)
