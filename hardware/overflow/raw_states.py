"""What one neuron's current and voltage were before wrap and clip, from a recorded run."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, STATE_LIMIT, Int, decay
from snnfuse.hardware.overflow.weighted_sums import row
from snnfuse.hardware.program import Connection, Constant, Program
from snnfuse.hardware.recording import Recording
from snnfuse.hardware.reference import later


class RawStates(NamedTuple):
    """int64 (time, batch): before the wrap of u, and before clip and reset of v."""

    u: NDArray[np.int64]
    v: NDArray[np.int64]


EVENTS = ("u wraps", "v clips high", "v clips low")


def excess(event: str, raw: RawStates) -> NDArray[np.int64]:
    """How far each value lies beyond the register, (time, batch); above 0 the event happens."""
    if event == "u wraps":  # +2**23 itself stands
        return np.maximum(raw.u - STATE_LIMIT, 1 - STATE_LIMIT - raw.u)
    return raw.v - (STATE_LIMIT - 1) if event == "v clips high" else 1 - STATE_LIMIT - raw.v


def raw_states(program: Program, recording: Recording, name: str, neuron: int) -> RawStates:
    """Of one neuron of a population; the recording holds the program's events, all spikes, and the population's states."""
    lif = program.neurons[name]
    u, v = (recording.states[name][x].reshape(*recording.states[name][x].shape[:2], -1)[..., neuron] for x in ("u", "v"))
    a = sum((_arrived(program, recording, c, neuron) for c in program.into(name)), np.zeros(u.shape, np.int64))
    of = lambda value: _one(value, lif.shape, neuron)  # noqa: E731
    raw_u = decay(_before(u), of(lif.du) + CURRENT_DECAY_OFFSET).astype(np.int64) + (a << ALIGN_BITS)
    theta = of(lif.vth) << ALIGN_BITS
    raw_v = decay(_before(v), of(lif.dv)).astype(np.int64) + u + (of(lif.bias_mant) << of(lif.bias_exp))
    if lif.reset == "subtract_delayed":
        raw_v -= np.where(_before(v) > theta, theta, 0)
    return RawStates(raw_u, raw_v)


def _arrived(program: Program, recording: Recording, connection: Connection, neuron: int) -> NDArray[np.int64]:
    """Through one connection, in exact integers, (time, batch)."""
    size = next(iter(recording.events.values())).shape[:2]
    source = program.nodes[connection.source]
    if isinstance(source, Constant):
        sent = np.ones((*size, int(np.prod(source.shape))), np.int64)
    else:
        sent = recording.events.get(connection.source, recording.spikes.get(connection.source)).reshape(*size, -1)
    columns, weights = row(connection.synapse, neuron)
    exponent = connection.synapse.exponent
    total = sent[..., columns].astype(np.int64) @ weights.astype(np.int64)
    total = total << exponent if exponent >= 0 else total >> -exponent
    return later(total, connection.lag + connection.is_recurrent)


def _before(x: NDArray) -> NDArray:
    """The value one step earlier, 0 at first."""
    return np.concatenate([np.zeros_like(x[:1]), x[:-1]])


def _one(value: Int, shape: tuple[int, ...], neuron: int) -> int:
    return int(np.broadcast_to(value, shape).ravel()[neuron])
