"""What a Program is made of: populations, the synapse groups between them, and the outputs that a user reads."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import DELAY_RANGE, MESSAGE_BITS, check_range
from snnfuse.hardware.ir.graded import Graded, InverseRoot, Product, Relay
from snnfuse.hardware.ir.json_fields import INTEGER, NUMBER, SHAPE
from snnfuse.hardware.ir.kinds import NeuronKind, register_neuron
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.synapses import Synapse

Decoder = Literal["spike_count", "membrane_sum", "membrane_last", "membrane_max"]


@dataclass(frozen=True)
class SpikeInput:
    """Binary spikes from outside.

    Attributes:
        shape: neurons, without time and batch.
    """

    shape: tuple[int, ...]


@dataclass(frozen=True)
class GradedInput:
    """Signed graded spikes from outside: integers n that stand for the analog values n * scale.

    Attributes:
        shape: neurons, without time and batch.
        bits: width of the payload with its sign, 2..24; n lies in -(2**(bits-1) - 1) .. 2**(bits-1) - 1.
        scale: value of one unit, > 0, in the units of the float network's input.
    """

    shape: tuple[int, ...]
    bits: int
    scale: float

    def __post_init__(self) -> None:
        check_range("graded input bits", self.bits, 2, MESSAGE_BITS)
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"a graded input's scale must be positive and finite, not {self.scale}")

    @property
    def limit(self) -> int:
        """The largest payload."""
        return 2 ** (self.bits - 1) - 1


@dataclass(frozen=True)
class Constant:
    """One neuron that spikes on every step: the source of a bias that belongs into the current.

    Lava and the chip have it as a LIF with bias 1 and threshold 0.
    """

    shape: tuple[int, ...] = (1,)


Neuron = Lif | Product | Relay | InverseRoot
Node = SpikeInput | GradedInput | Constant | Neuron


def sends_numbers(node: Node) -> bool:
    """Whether its spikes carry a payload: int32 numbers instead of bool."""
    return isinstance(node, (GradedInput, Graded))


@dataclass(frozen=True, eq=False)
class Connection:
    """A synapse group from one population to another.

    Attributes:
        source, target: node names.
        synapse: weights over the flattened populations.
        delay: steps beyond the one that every synapse takes, 0..62: latency, which moves the target's window.
        port: which input of the target; 1 is the second factor of a product.
        lag: steps within the window, 0..62 together with `delay`: at step t arrives what the source sent at step t - lag (t - 1 - lag
            where it is recurrent), and nothing before. Synapses of different lag are connections of their own.
    """

    source: str
    target: str
    synapse: Synapse
    delay: int = 0
    port: int = 0
    lag: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.synapse, Synapse):
            raise InputError(f"{self.source} -> {self.target}: {type(self.synapse).__name__} is no synapse group")
        if not isinstance(self.port, (int, np.integer)):
            raise InputError(f"{self.source} -> {self.target}: a port is an integer, not {self.port!r}")
        check_range(f"delay of {self.source} -> {self.target}", self.delay, *DELAY_RANGE)
        check_range(f"lag of {self.source} -> {self.target}", self.lag, 0, DELAY_RANGE[1] - self.delay)

    @property
    def is_recurrent(self) -> bool:
        """Whether it feeds its own population."""
        return self.source == self.target


@dataclass(frozen=True)
class Output:
    """What a user reads.

    Attributes:
        node: a population of `Lif`; graded spikes are read through one that cannot fire.
        decoder: how its window becomes one value per neuron: spike count, or the voltage's sum, last or largest value.
    """

    node: str
    decoder: Decoder = "spike_count"

    def __post_init__(self) -> None:
        if self.decoder not in get_args(Decoder):
            raise InputError(f"decoder {self.decoder!r} is none of {', '.join(get_args(Decoder))}")


register_neuron(NeuronKind(SpikeInput, {"shape": SHAPE}))
register_neuron(NeuronKind(GradedInput, {"shape": SHAPE, "bits": INTEGER, "scale": NUMBER}))
register_neuron(NeuronKind(Constant, {"shape": SHAPE}))
