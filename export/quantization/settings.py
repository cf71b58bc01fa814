"""How a graph is to be rounded: one object, from the command line or `quantize` down to every population."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from snnfuse.export.quantization.reading import Reading
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import MESSAGE_BITS, WEIGHT_BITS, check_range
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.nodes import Decoder, Output

Encoding = Literal["spikes", "bias"]
Width = int | tuple[int, int]
WeightBits = Width | Mapping[str, Width]


INPUT_BITS = 12  # of analog inputs, unless told


@dataclass(frozen=True)
class QuantizationSettings:
    """Arguments of `snnfuse.export.quantize`, checked.

    Attributes:
        dt: seconds per step; None for the graph's own, or 1e-4.
        reset: of every spiking population; None for each one's own.
        weight_bits: 1..8, or {population: such a number, or a pair (excitatory, inhibitory)}; those not named have 8.
        input_bits: 2..24, payload of a graded input with its sign; None for `INPUT_BITS`, or fewer where weights then lose less.
        max_groups: in which one weight may be stored, 1 or more.
        encode: how analog inputs come in: "spikes", graded, on every step; or "bias", written once per sample by a host that computes the
            first layer.
        decoder, num_classes, output: how outputs are read, as of `snnfuse.export.quantization.reading.Reading`.

    Raises:
        InputError: one of them is out of range.
    """

    dt: float | None = None
    reset: Reset | None = None
    weight_bits: WeightBits = WEIGHT_BITS
    input_bits: int | None = None
    max_groups: int = 2
    decoder: Decoder | None = None
    num_classes: int | None = None
    output: str | None = None
    encode: Encoding = "spikes"

    def __post_init__(self) -> None:
        Output("", self.decoder or "spike_count", self.num_classes)  # refuses what is none
        check_widths(self.weight_bits)
        check_range("input_bits", self.payload_bits, 2, MESSAGE_BITS)
        if self.max_groups < 1:
            raise InputError(f"max_groups must be 1 or more, not {self.max_groups}")

    @property
    def payload_bits(self) -> int:
        """`input_bits`, or `INPUT_BITS` to begin with."""
        return INPUT_BITS if self.input_bits is None else self.input_bits

    @property
    def reading(self) -> Reading:
        """How outputs are read."""
        return Reading(self.decoder, self.num_classes, self.output)

    @property
    def of_earlier_stage(self) -> "QuantizationSettings":
        """The same for a stage whose outputs a host carries on, and nobody decides by."""
        return replace(self, decoder=None, num_classes=None, output=None)


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
