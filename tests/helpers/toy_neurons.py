"""A neuron kind of somebody else's package: it sends by how much its input has changed since it last did, once that is enough.

    d = a - held (32 bits)        s = d where |d| >= vth, else 0        held' = held + s

Everything that snnfuse needs of it is in this file; importing it registers the kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy import int32, int64
from numpy.typing import NDArray

from snnfuse.hardware.backends.emulator.neuron_form import NeuronForm, of_neuron
from snnfuse.hardware.ir.fixed_point import INT32, STATE_LIMIT, Int, check_range, held, to_int32
from snnfuse.hardware.ir.json_fields import PARAMETER, SHAPE
from snnfuse.hardware.ir.kinds import NeuronKind, Placement, register_neuron
from snnfuse.hardware.ir.nodes import Neuron, State
from snnfuse.hardware.overflow.bounds import BEYOND, Arriving, Event, Interval, NeuronBounds, States
from snnfuse.hardware.overflow.rates import Rate, every_step


@dataclass(frozen=True, eq=False)
class Change(Neuron):
    """Change detectors; vth >= 1, one for all or one each."""

    shape: tuple[int, ...]
    vth: Int
    sends_numbers: ClassVar[bool] = True
    states: ClassVar[tuple[str, ...]] = ("held",)

    def __post_init__(self) -> None:
        check_range("vth", self.vth, 1, INT32 - 1)
        object.__setattr__(self, "vth", held(self.vth))

    def step(self, state: State, inputs: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], State]:
        change = to_int32(inputs[0].astype(np.int64) - state[0])
        sent = np.where(np.abs(change.astype(np.int64)) >= self.vth, change, 0).astype(np.int32)
        return sent, (to_int32(state[0].astype(np.int64) + sent),)


def emulator_form(node: Change) -> NeuronForm:
    return NeuronForm(update, {"vth": node.vth}, rests=True)


def update(inputs, states, parameters, sent):
    for j in range(sent.size):
        change = int64(int32(inputs[0, j] - states[0, j]))
        sends = change if abs(change) >= of_neuron(parameters, j).vth else int64(0)
        sent[j] = sends
        states[0, j] = states[0, j] + sends


def torch_form(node: Change, device: Any, drives: Sequence[int]) -> Any:
    import torch

    from snnfuse.hardware.backends.torch_backend.arithmetic import DTYPE, wrap32

    vth = torch.as_tensor(np.array(node.vth, np.float64).reshape(-1 if np.ndim(node.vth) else ()), dtype=DTYPE, device=device)

    def step(state: Any, inputs: Any) -> Any:
        change = wrap32(wrap32(inputs[0]) - state[0])
        sent = torch.where(change.abs() >= vth, change, torch.zeros_like(change))
        return sent.to(torch.int32), (wrap32(state[0] + sent),)

    return step


@dataclass(frozen=True, eq=False)
class DeltaBounds:
    """What is held lies where input has been, or at 0; what is sent between the two farthest of these."""

    intervals: Mapping[str, Interval]
    rate: Rate

    @property
    def sent(self) -> Interval:
        return self.intervals["payload"]


class DeltaOverflow(NeuronBounds):
    """`Change` in the overflow proof."""

    events = {"payload leaves its message": Event("payload", 1 - STATE_LIMIT, STATE_LIMIT - 1)}

    def bounds(self, node: Change, arriving: Arriving, steps: int | None) -> DeltaBounds:
        arriving.assume(Interval(*(np.full(node.size, end, np.int64) for end in (-BEYOND, BEYOND))))
        low, high = arriving.drive()
        reached = np.minimum(low, 0), np.maximum(high, 0)
        return DeltaBounds({"payload": Interval(low - reached[1], high - reached[0])}, every_step(node.size))

    def raw(self, node: Change, inputs: Sequence[NDArray[np.int64]], states: States) -> Mapping[str, NDArray[np.int64]]:
        before = np.concatenate([np.zeros_like(states["held"][:1]), states["held"][:-1]])
        change = inputs[0] - before
        return {"payload": np.where(np.abs(change) >= node.vth, change, 0)}


register_neuron(
    NeuronKind(
        Change,
        {"shape": SHAPE, "vth": PARAMETER},
        placement=Placement("a change detector", "B", "assumed", "this file"),
        emulator=emulator_form,
        torch=torch_form,
        lava="toy_neurons_on_lava:DELTA",
        bounds=DeltaOverflow(),
    )
)
