"""What a Program is made of: populations, the synapse groups between them, and the outputs that a user reads."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import DELAY_RANGE, INT32, MESSAGE_BITS, check_range
from snnfuse.hardware.ir.json_fields import INTEGER, NUMBER, SHAPE
from snnfuse.hardware.ir.kinds import NeuronKind, Placement, register_neuron
from snnfuse.hardware.ir.synapses import Synapse

Decoder = Literal["spike_count", "first_spike", "membrane_sum", "membrane_last", "membrane_max"]
SPIKE_DECODERS: tuple[Decoder, ...] = ("spike_count", "first_spike")
State = tuple[NDArray[np.int32], ...]


class Node(ABC):
    """A population. Subclasses are frozen dataclasses.

    Attributes:
        shape: neurons, without time and batch.
        sends_numbers: whether its spikes carry a payload: int32 numbers instead of bool.
        is_timed: whether it has a window, and its spikes a time.
        is_written: whether a host writes what it sends into registers, once per sample, so that no synapse and no message carries it.
        payloads: the lowest and highest number that it can send on a step.
    """

    shape: tuple[int, ...]
    sends_numbers: ClassVar[bool] = False
    is_timed: ClassVar[bool] = True
    is_written: ClassVar[bool] = False

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)

    @property
    def custom_reset(self) -> str | None:
        """The reset, where it is one that stock silicon lacks, so that another would do without microcode."""
        return None

    @property
    def is_biased(self) -> bool:
        """Whether it charges without input."""
        return False

    @property
    def payloads(self) -> tuple[int, int]:
        return (-INT32, INT32 - 1) if self.sends_numbers else (0, 1)


class Input(Node):
    """Events from outside.

    Attributes:
        bits: width of a payload.
        scale: value of a payload of 1, in the units of the float network's input.
        is_calibrated: whether its scale follows data, so that other data that use little of its range tell of another scale.
    """

    is_calibrated: ClassVar[bool] = True
    bits: int
    scale: float

    @property
    def limit(self) -> int:
        """The largest payload."""
        return self.payloads[1]

    @property
    def given_shape(self) -> tuple[int, ...]:
        """Of the values that `encode` takes, without time and batch."""
        return self.shape

    def values(self, x: NDArray) -> NDArray:
        """What is rounded to integers: the values that are given, or what a host makes of them."""
        return x

    def beyond(self, x: NDArray) -> int:
        """How many values lie beyond the largest payload."""
        return int((np.abs(x) >= (self.limit + 0.5) * self.scale).sum())

    @abstractmethod
    def encode(self, name: str, x: NDArray) -> NDArray[np.int32]:
        """Events for float values of any shape; InputError names the input where it does not take them."""


@dataclass(frozen=True)
class SpikeInput(Input):
    """Binary spikes from outside.

    Attributes:
        shape: neurons, without time and batch.
    """

    shape: tuple[int, ...]
    # Not fields: they are the same for all of them.
    bits: ClassVar[int] = 1  # pyright: ignore[reportIncompatibleVariableOverride]
    scale: ClassVar[float] = 1.0  # pyright: ignore[reportIncompatibleVariableOverride]

    def encode(self, name: str, x: NDArray) -> NDArray[np.int32]:
        """The same numbers, 0 and 1."""
        other = x[(x != 0) & (x != 1)]
        if other.size:
            raise InputError(f"input {name!r} takes binary spikes, 0 or 1, but holds {other.flat[0]}")
        return x.astype(np.int32)


@dataclass(frozen=True)
class GradedInput(Input):
    """Signed graded spikes from outside: integers n that stand for the analog values n * scale.

    Attributes:
        shape: neurons, without time and batch.
        bits: width of the payload with its sign, 2..24; n lies in -(2**(bits-1) - 1) .. 2**(bits-1) - 1.
        scale: value of one unit, > 0, in the units of the float network's input.
    """

    shape: tuple[int, ...]
    bits: int
    scale: float
    sends_numbers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_range("graded input bits", self.bits, 2, MESSAGE_BITS)
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"a graded input's scale must be positive and finite, not {self.scale}")

    @property
    def payloads(self) -> tuple[int, int]:
        """What `bits` hold, without the lowest."""
        limit = 2 ** (self.bits - 1) - 1
        return -limit, limit

    def encode(self, name: str, x: NDArray) -> NDArray[np.int32]:
        """round(x / scale), saturated."""
        return np.clip(np.rint(x / self.scale), *self.payloads).astype(np.int32)


@dataclass(frozen=True)
class DeclaredInput(GradedInput):
    """`GradedInput` whose bits and scale a file declares, as that of a netx network, and no data."""

    is_calibrated: ClassVar[bool] = False


@dataclass(frozen=True)
class Constant(Node):
    """One neuron that spikes on every step: the source of a bias that belongs into the current.

    Lava and the chip have it as a LIF with bias 1 and threshold 0.
    """

    shape: tuple[int, ...] = (1,)
    is_timed: ClassVar[bool] = False

    @property
    def payloads(self) -> tuple[int, int]:
        """A spike, always."""
        return 1, 1

    @property
    def is_biased(self) -> bool:
        """It is a bias."""
        return True


class Neuron(Node):
    """A population that computes what it sends. What a backend needs besides is found by its registration (`kinds`).

    Attributes:
        ports: inputs; what arrives at one port is added.
        needs_all_ports: whether a Program must connect every port.
        states: names of its states, as they are recorded; empty where nothing lasts from step to step.
        adds_up: whether a state sums over time, so that only the length of the window bounds it.
        membrane: the state that a membrane decoder reads; None where there is none.
        registers: names of the parameters that a neuron has registers for.
        written_port: the port that takes what a host writes into registers, and nothing else; None where there is none.
    """

    ports: ClassVar[int] = 1
    needs_all_ports: ClassVar[bool] = False
    states: ClassVar[tuple[str, ...]] = ()
    membrane: ClassVar[str | None] = None
    registers: ClassVar[tuple[str, ...]] = ()
    written_port: ClassVar[int | None] = None
    adds_up: ClassVar[bool] = False

    def largest_payload(self, drives: Sequence[int]) -> int:
        """Bound of the magnitude that it sends, for the largest magnitude that can arrive at each port."""
        return INT32 if self.sends_numbers else 1

    def rest(self, batch: int) -> State:
        """States at the start of a window: int32 zeros (batch, *shape), one array per name in `states`."""
        return tuple(np.zeros((batch, *self.shape), np.int32) for _ in self.states)

    @abstractmethod
    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray, State]:
        """One time step.

        Args:
            state: before it, as `rest` gives it.
            inputs: what arrives, int32 (batch, *shape) per port.

        Returns:
            What is sent, bool or int32 of the same shape, and the next state.
        """


@dataclass(frozen=True, eq=False)
class Connection:
    """A synapse group from one population to another.

    Attributes:
        source, target: node names.
        synapse: weights over the flattened populations.
        delay: steps beyond the one that every synapse takes, 0..62: latency, which moves the target's window. With a lag it may be -1:
            the target's window then begins together with its source's, as where all populations of a network start at once.
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
        check_range(f"delay of {self.source} -> {self.target}", self.delay, -1 if self.lag else 0, DELAY_RANGE[1])
        check_range(f"lag of {self.source} -> {self.target}", self.lag, 0, DELAY_RANGE[1] - self.delay)

    @property
    def is_recurrent(self) -> bool:
        """Whether it feeds its own population."""
        return self.source == self.target


@dataclass(frozen=True)
class Output:
    """What a user reads.

    Attributes:
        node: a population of neurons that send binary spikes; graded ones are read through a `Lif` that cannot fire.
        decoder: how its window becomes one score per neuron: spike count, how early its first spike is, or the voltage's sum, last or
            largest value.
        num_classes: a population code: so many equal groups of neurons in a row, each of which is a class with the sum of its neurons'
            scores (of first spikes the earliest); None: every neuron is a class. As snnTorch's `population_code` and `num_classes`.
        unit: value of one unit of the voltage, in those of the float network; None where that is not known, as of spikes.
        offset: value of the voltage 0 there: one number, or one per neuron in C order.
    """

    node: str
    decoder: Decoder = "spike_count"
    num_classes: int | None = None
    unit: float | None = None
    offset: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        if self.decoder not in get_args(Decoder):
            raise InputError(f"decoder {self.decoder!r} is none of {', '.join(get_args(Decoder))}")
        if self.num_classes is not None and self.num_classes < 1:
            raise InputError(f"num_classes must be 1 or more, not {self.num_classes}")
        if self.unit is not None and not (np.isfinite(self.unit) and self.unit > 0):
            raise InputError(f"the unit of a voltage must be positive and finite, not {self.unit}")
        if not np.isfinite(self.offset).all():
            raise InputError(f"the offset of a voltage must be finite, not {self.offset}")

    @property
    def reads_membrane(self) -> bool:
        """Whether it reads voltages, and not spikes."""
        return self.decoder not in SPIKE_DECODERS

    def classes(self, shape: tuple[int, ...]) -> int:
        """Number of classes that it tells apart in a population of `shape`."""
        return math.prod(shape) if self.num_classes is None else self.num_classes

    def described(self) -> str:
        """How classes are read, in words."""
        groups = "" if self.num_classes is None else f", a class per group of neurons, {self.num_classes} in a row"
        return f"{self.decoder.replace('_', ' ')}{groups}, ties to the lowest index"


ADAPTERS = "models agree", "lava.proc.embedded_io.spike adapters"
register_neuron(NeuronKind(SpikeInput, {"shape": SHAPE}, placement=Placement("spikes from outside", "C", *ADAPTERS)))
for kind in (GradedInput, DeclaredInput):
    register_neuron(
        NeuronKind(
            kind, {"shape": SHAPE, "bits": INTEGER, "scale": NUMBER}, placement=Placement("graded spikes from outside", "C", *ADAPTERS)
        )
    )
register_neuron(
    NeuronKind(
        Constant,
        {"shape": SHAPE},
        placement=Placement("a LIF with bias 1 over threshold 0", "A", "models agree", "Lava's LIF; nengo-loihi"),
    )
)
