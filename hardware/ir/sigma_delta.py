"""Sigma-delta neurons: what changes is sent, as a number, and added up again where it arrives.

Per time step, for a synaptic input a, in int32 arithmetic, which keeps the low 32 bits; << is by spike_exp + state_exp, e by state_exp:

    Sigma        sigma' = sigma + a                               s = sigma'
    SigmaDelta   sigma' = sigma + a
                 act'   = f(sigma' + (bias << ...))               f = max(x, 0), "relu", or x, "unit"
    Delta        act'   = a << ...

    the last two:
                 delta  = act' - act + residue
                 m      = delta, or, where errors cumulate, error' = error + delta
                 send   = |m| >= vth << ...                       |-2**31| is -2**31
                 s      = delta >> e where it sends, otherwise 0  >> rounds down
                 residue' = 0 where it sends, otherwise delta     error' = 0 where it sends

A message has 24 bits on a chip, and states have 24: Lava keeps 32 of both, and so does every backend here; the overflow proof says
which leave 24. What >> drops of a message is not made up for later.

Source: Lava 0.10, `lava/proc/sdn/models.py`, the fixed-point models, as they compute. Their processes take one threshold for all neurons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import FixedPointError
from snnfuse.hardware.ir.fixed_point import INT32, Int, check_range, held, to_int32
from snnfuse.hardware.ir.json_fields import INTEGER, PARAMETER, SHAPE, TEXT
from snnfuse.hardware.ir.kinds import NeuronKind, Placement, register_neuron
from snnfuse.hardware.ir.nodes import Neuron, State

Activation = Literal["relu", "unit"]
EXPONENT_RANGE = (0, 7)  # registers of 3 bits


@dataclass(frozen=True, eq=False)
class Sigma(Neuron):
    """Neurons that add up what arrives and send the sum on every step: the end of a sigma-delta network.

    Attributes:
        shape: neurons, without time and batch.
    """

    shape: tuple[int, ...]
    sends_numbers: ClassVar[bool] = True
    adds_up: ClassVar[bool] = True
    states: ClassVar[tuple[str, ...]] = ("sigma",)
    membrane: ClassVar[str | None] = "sigma"

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], State]:
        """One time step of the equations above."""
        sigma = state[0] + inputs[0]
        return sigma, (sigma,)


@dataclass(frozen=True, eq=False)
class Delta(Neuron):
    """Neurons that send how much their input has changed: the begin of a sigma-delta network, on a host.

    Attributes:
        shape: neurons, without time and batch.
        vth: least change that is sent, in units of the input, >= 0; its shifted value fits 32 bits.
        spike_exp: bits that a message has behind the point, 0..7.
        state_exp: bits that states have beyond those of a message, 0..7.
        cumulative: whether changes that were not sent add up on their way to the threshold; 0 or 1.

    Raises:
        FixedPointError: a parameter is outside its range, or has another shape than the population.
    """

    shape: tuple[int, ...]
    vth: int
    spike_exp: int = 0
    state_exp: int = 0
    cumulative: int = 0
    sends_numbers: ClassVar[bool] = True
    states: ClassVar[tuple[str, ...]] = ("act", "residue", "error")
    membrane: ClassVar[str | None] = "act"
    registers: ClassVar[tuple[str, ...]] = ("vth",)

    def __post_init__(self) -> None:
        for name in ("spike_exp", "state_exp"):
            check_range(name, getattr(self, name), *EXPONENT_RANGE)
        check_range("cumulative", int(self.cumulative), 0, 1)
        check_range("vth", self.vth, 0, (INT32 - 1) >> self.shift)
        for name in ("vth", "spike_exp", "state_exp", "cumulative"):
            object.__setattr__(self, name, int(getattr(self, name)))

    @property
    def shift(self) -> int:
        """Bits that states have behind the point."""
        return self.spike_exp + self.state_exp

    @property
    def payloads(self) -> tuple[int, int]:
        """32 bits, shifted."""
        return -(INT32 >> self.state_exp), (INT32 - 1) >> self.state_exp

    def largest_payload(self, drives: Sequence[int]) -> int:
        """32 bits, shifted."""
        return INT32 >> self.state_exp

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], State]:
        """One time step of the equations above."""
        return self.sent(to_int32(inputs[0].astype(np.int64) << self.shift), state)

    def sent(self, act: NDArray[np.int32], state: State) -> tuple[NDArray[np.int32], State]:
        """The spikes for an activation, and the states after it."""
        before, residue, error = state
        delta = act - before + residue
        error = error + delta if self.cumulative else error
        sends = np.abs(error if self.cumulative else delta) >= self.vth << self.shift
        message = np.where(sends, delta, 0).astype(np.int32)
        cleared = np.where(np.abs(message) > 0, 0, error).astype(np.int32)
        return message >> self.state_exp, (act, delta - message, cleared)


@dataclass(frozen=True, eq=False)
class SigmaDelta(Delta):
    """Neurons that add up what arrives, and send how much the activation of the sum has changed.

    Attributes:
        shape, vth, spike_exp, state_exp, cumulative: as of `Delta`.
        bias: an integer, or int32 of the shape; in units of the threshold.
        activation: "relu", or "unit", which is none.

    Raises:
        FixedPointError: as of `Delta`.
    """

    bias: Int = 0
    activation: Activation = "relu"
    adds_up: ClassVar[bool] = True
    states: ClassVar[tuple[str, ...]] = ("sigma", "act", "residue", "error")
    registers: ClassVar[tuple[str, ...]] = ("vth", "bias")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("bias", self.bias, -(INT32 >> self.shift), (INT32 - 1) >> self.shift)
        if np.ndim(self.bias) and np.shape(self.bias) != tuple(self.shape):
            raise FixedPointError(f"bias has shape {np.shape(self.bias)}, the population {self.shape}")
        object.__setattr__(self, "bias", held(self.bias))
        if self.activation not in get_args(Activation):
            raise FixedPointError(f"activation={self.activation!r} is none of {', '.join(get_args(Activation))}")

    @property
    def is_biased(self) -> bool:
        """Whether any neuron has a bias."""
        return bool(np.any(self.bias))

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], State]:
        """One time step of the equations above."""
        sigma = state[0] + inputs[0]
        act = (sigma + np.left_shift(np.asarray(self.bias, np.int32), self.shift)).astype(np.int32)
        message, after = self.sent(np.maximum(act, 0) if self.activation == "relu" else act, state[1:])
        return message, (sigma, *after)


_DELTA = {"shape": SHAPE, "vth": INTEGER, "spike_exp": INTEGER, "state_exp": INTEGER, "cumulative": INTEGER}
_ON_BOARDS = "models agree", "Lava's lava.proc.sdn; lava-dl's test_hdf5_nx and pilotnet_sdnn benchmark run them on Loihi 2"
_EMULATOR, _TORCH = "snnfuse.hardware.backends.emulator.sigma_delta", "snnfuse.hardware.backends.torch_backend.sigma_delta"
_LAVA, _BOUNDS = "snnfuse.hardware.backends.lava.processes.sigma_delta", "snnfuse.hardware.overflow.sigma_delta"
register_neuron(
    NeuronKind(
        Sigma,
        {"shape": SHAPE},
        placement=Placement("an accumulator, lava.proc.sdn.Sigma", "A", *_ON_BOARDS),
        emulator=f"{_EMULATOR}:sigma_form",
        torch=f"{_TORCH}:sigma",
        lava=f"{_LAVA}:SIGMA",
        bounds=f"{_BOUNDS}:SIGMA",
    )
)
register_neuron(
    NeuronKind(
        Delta,
        _DELTA,
        placement=Placement("a delta encoder, lava.proc.sdn.Delta, on the host", "C", *_ON_BOARDS),
        emulator=f"{_EMULATOR}:delta_form",
        torch=f"{_TORCH}:delta",
        lava=f"{_LAVA}:DELTA",
        bounds=f"{_BOUNDS}:DELTA",
    )
)
register_neuron(
    NeuronKind(
        SigmaDelta,
        {**_DELTA, "bias": PARAMETER, "activation": TEXT},
        placement=Placement("a sigma-delta neuron, lava.proc.sdn.SigmaDelta", "A", *_ON_BOARDS, words=2),  # of 8,192; 3,584 fit a core
        emulator=f"{_EMULATOR}:sigma_delta_form",
        torch=f"{_TORCH}:sigma_delta",
        lava=f"{_LAVA}:SIGMA_DELTA",
        bounds=f"{_BOUNDS}:SIGMA_DELTA",
    )
)
