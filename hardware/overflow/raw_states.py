"""What one neuron's current and voltage, or payload, were before wrap and clip, from a recorded run."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.reference import later
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, STATE_LIMIT, decay, shift, to_int32
from snnfuse.hardware.ir.graded import Product
from snnfuse.hardware.ir.inverse_root import InverseRoot, inverse_root
from snnfuse.hardware.ir.nodes import Connection, Constant
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording


class RawStates(NamedTuple):
    """int64 (time, batch): before the wrap of u, and before clip and reset of v."""

    u: NDArray[np.int64]
    v: NDArray[np.int64]


EVENTS = ("u wraps", "v clips high", "v clips low")  # of `Lif`
MESSAGE = "payload leaves its message"  # of products and relays


def excess(program: Program, recording: Recording, name: str, neuron: int, event: str) -> NDArray[np.int64]:
    """How far a neuron's value lies beyond its register, (time, batch); above 0 the event happens.

    Args:
        program, recording: a run, with its events, all spikes, and the population's states.
        name, neuron: a population, and the index of one of its neurons in C order.
        event: one of `EVENTS`, or `MESSAGE`.
    """
    if event == MESSAGE:
        return np.abs(_payload(program, recording, name, neuron)) - (STATE_LIMIT - 1)
    raw = raw_states(program, recording, name, neuron)
    if event == "u wraps":  # +2**23 itself stands
        return np.maximum(raw.u - STATE_LIMIT, 1 - STATE_LIMIT - raw.u)
    return raw.v - (STATE_LIMIT - 1) if event == "v clips high" else 1 - STATE_LIMIT - raw.v


def _payload(program: Program, recording: Recording, name: str, neuron: int) -> NDArray[np.int64]:
    node = program.neurons[name]
    inputs = [_arriving(program, recording, name, neuron, port) for port in range(node.ports)]
    if isinstance(node, InverseRoot):
        return inverse_root(node, to_int32(inputs[0])).astype(np.int64)
    if not isinstance(node, Product):
        return inputs[0]
    return to_int32(inputs[0]).astype(np.int64) * to_int32(inputs[1]) >> node.exponent


def raw_states(program: Program, recording: Recording, name: str, neuron: int) -> RawStates:
    """Of one neuron of a population of `Lif`; arguments as for `excess`."""
    lif = program.neurons[name]
    u, v = (recording.states[name][x].reshape(*recording.states[name][x].shape[:2], -1)[..., neuron] for x in ("u", "v"))
    a = _arriving(program, recording, name, neuron)
    du, dv, vth, mantissa, exponent = (
        int(np.broadcast_to(x, lif.shape).ravel()[neuron]) for x in (lif.du, lif.dv, lif.vth, lif.bias_mant, lif.bias_exp)
    )
    raw_u = decay(later(u, 1), du + CURRENT_DECAY_OFFSET).astype(np.int64) + (a << ALIGN_BITS)
    raw_v = decay(later(v, 1), dv).astype(np.int64) + u + (mantissa << exponent)
    if lif.reset == "subtract_delayed":
        raw_v -= np.where(later(v, 1) > vth << ALIGN_BITS, vth << ALIGN_BITS, 0)
    return RawStates(raw_u, raw_v)


def _arriving(program: Program, recording: Recording, name: str, neuron: int, port: int = 0) -> NDArray[np.int64]:
    """What arrives at a port, in exact integers, (time, batch)."""
    size = next(iter(recording.events.values())).shape[:2]
    total = np.zeros(size, np.int64)
    for c in program.into(name):
        if c.port == port:
            total += later(_weighted(c, neuron, _sent(program, recording, c.source, size)), c.lag + c.is_recurrent)
    return total


def _sent(program: Program, recording: Recording, source: str, size: tuple[int, int]) -> NDArray:
    node = program.nodes[source]
    if isinstance(node, Constant):
        return np.ones((*size, int(np.prod(node.shape))), np.int64)
    return recording.events.get(source, recording.spikes.get(source)).reshape(*size, -1)


def _weighted(connection: Connection, neuron: int, sent: NDArray) -> NDArray[np.int64]:
    columns, weights = connection.synapse.row(neuron)
    return shift(sent[..., columns].astype(np.int64) @ weights, connection.synapse.exponent)
