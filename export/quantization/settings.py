"""How a graph is to be rounded: one object, from the command line or `quantize` down to every population."""

from collections.abc import Mapping
from dataclasses import dataclass

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import MESSAGE_BITS, WEIGHT_BITS, check_range
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.nodes import Decoder

Width = int | tuple[int, int]
WeightBits = Width | Mapping[str, Width]


@dataclass(frozen=True)
class QuantizationSettings:
    """Arguments of `snnfuse.export.quantize`, checked.

    Attributes:
        dt: seconds per step; None for the graph's own, or 1e-4.
        reset: of every spiking population; None for each one's own.
        weight_bits: 1..8, or {population: such a number, or a pair (excitatory, inhibitory)}; those not named have 8.
        input_bits: 2..24, payload of a graded input with its sign.
        max_groups: in which one weight may be stored, 1 or more.
        decoder: how outputs are read; None for spike count, and the membrane's sum for a readout.

    Raises:
        InputError: one of them is out of range.
    """

    dt: float | None = None
    reset: Reset | None = None
    weight_bits: WeightBits = WEIGHT_BITS
    input_bits: int = 12
    max_groups: int = 2
    decoder: Decoder | None = None

    def __post_init__(self) -> None:
        check_widths(self.weight_bits)
        check_range("input_bits", self.input_bits, 2, MESSAGE_BITS)
        if self.max_groups < 1:
            raise InputError(f"max_groups must be 1 or more, not {self.max_groups}")


def check_widths(weight_bits: WeightBits) -> None:
    """InputError for a width that is no whole number 1..8, or pair of them."""
    named = weight_bits if isinstance(weight_bits, Mapping) else {"": weight_bits}
    for name, width in named.items():
        pair = (width,) if isinstance(width, int) else tuple(width)
        if isinstance(width, bool) or len(pair) > 2 or (len(pair) < 2 and not isinstance(width, int)):
            raise InputError(f"weight_bits of {name!r} must be a number 1..8 or a pair (excitatory, inhibitory), not {width!r}")
        for bits in pair:
            check_range(f"weight_bits of {name!r}" if name else "weight_bits", bits, 1, WEIGHT_BITS)


DEFAULTS = QuantizationSettings()
