"""What every state of a program can become, over all inputs: intervals that hold, neuron by neuron.

For a synaptic input a in [a_low, a_high] on every step, current and voltage are bounded by what they reach when the input stays at
its end of the interval, for both leaks are monotonic. Charged with c > 0 on every step, x' = trunc(x (4096 - d) / 4096) + c climbs
from 0 to its rest point, the smallest x with ceil(x d / 4096) = c:

    x = floor((c - 1) 4096 / d) + 1            without bound for d = 0

and likewise downwards. A spike's reset limits the voltage from above: what is kept of it is at most the threshold where it resets to
zero. A neuron whose voltage cannot exceed its threshold sends nothing, and one that needs several steps to reach it again spikes
that much less often (`rates`): both narrow the inputs of the next.

Graded neurons have no state: the payload of products and relays is bounded by the corners of their inputs' intervals, that of an
inverse root by its gain. A relay that feeds itself adds up, without bound unless the steps are counted.

Intervals are of the state before it wraps or clips, so one that leaves 24 bits says that the register may overflow. Beyond an
overflow the register may hold anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, DECAY_BITS, STATE_LIMIT, Int
from snnfuse.hardware.ir.graded import Graded, Product
from snnfuse.hardware.ir.inverse_root import InverseRoot
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Connection, Constant, GradedInput, Neuron, SpikeInput
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.overflow.rates import Rate, every_step, spike_rate
from snnfuse.hardware.overflow.weighted_sums import extreme_sums

BEYOND = 1 << 40  # stands for every magnitude from here on: no register is as wide
INT32_LIMIT = 1 << 31
ROUNDS = 4  # of narrowing, where a population feeds itself; each is a sound bound
COUNTED = 4096  # steps over which a relay that feeds itself is followed
Bound = NDArray[np.int64]


class Interval(NamedTuple):
    """Smallest and largest value per neuron, int64 (neurons,), both possible as far as is known."""

    low: Bound
    high: Bound


@dataclass(frozen=True, eq=False)
class PayloadBounds:
    """One population of products or relays over all inputs.

    Attributes:
        payload: before its 32-bit wrap.
    """

    payload: Interval

    @property
    def leaves_message(self) -> NDArray[np.bool_]:
        """Neurons whose graded spike may need more than the 24 bits of a message."""
        return (self.payload.low <= -STATE_LIMIT) | (self.payload.high >= STATE_LIMIT)


@dataclass(frozen=True, eq=False)
class StateBounds:
    """One population of `Lif` over all inputs.

    Attributes:
        a: synaptic input per step.
        u: current before its wrap.
        v: voltage before its clip and reset.
        fires: bool (neurons,), whether the voltage can exceed the threshold.
    """

    a: Interval
    u: Interval
    v: Interval
    fires: NDArray[np.bool_]

    @property
    def wraps(self) -> NDArray[np.bool_]:
        """Neurons whose current may leave its 24 bits: below -2**23 + 1 or above 2**23."""
        return (self.u.low <= -STATE_LIMIT) | (self.u.high > STATE_LIMIT)

    @property
    def clips_high(self) -> NDArray[np.bool_]:
        """Neurons whose voltage may exceed 2**23 - 1."""
        return self.v.high > STATE_LIMIT - 1

    @property
    def clips_low(self) -> NDArray[np.bool_]:
        """Neurons whose voltage may fall below -(2**23 - 1)."""
        return self.v.low < 1 - STATE_LIMIT


Bounds = StateBounds | PayloadBounds


def state_bounds(program: Program, steps: int | None = None) -> dict[str, Bounds]:
    """Bounds of every neuron population of a program, over all events that it takes.

    Args:
        program: what may run.
        steps: the longest window; None for any length.
    """
    sent = {name: _source(node) for name, node in program.nodes.items() if not isinstance(node, Neuron)}
    rates = {name: every_step(len(interval.low)) for name, interval in sent.items()}
    bounds: dict[str, Bounds] = {}
    for name, node in program.neurons.items():
        rates[name] = every_step(int(np.prod(node.shape)))
        if isinstance(node, Graded):
            bounds[name] = PayloadBounds(_payload(program, name, node, sent, steps))
            sent[name] = _message(bounds[name].payload)
            continue
        sent[name] = _spikes(np.ones(len(rates[name].every), np.bool_))
        for _ in range(ROUNDS if any(c.is_recurrent for c in program.into(name)) else 1):
            bounds[name] = _population(node, drive(program, name, sent), _current(program, name, node, sent, rates), steps)
            sent[name], rates[name] = _spikes(bounds[name].fires), _rate(node, bounds[name])
    return bounds


def sums_over_time(program: Program) -> bool:
    """Whether a relay feeds itself, so that only the length of the window bounds what it sends."""
    return any(c.is_recurrent and isinstance(program.nodes[c.target], Graded) for c in program.connections)


def _payload(program: Program, name: str, node: Graded, sent: dict[str, Interval], steps: int | None) -> Interval:
    """What a product or relay computes; fed by itself, from nothing upwards until it settles or the steps are over."""
    sent[name] = Interval(*np.zeros((2, int(np.prod(node.shape))), np.int64))
    if not any(c.is_recurrent for c in program.into(name)):
        return _once(program, name, node, sent)
    found = sent[name]
    for _ in range(min(steps or COUNTED, COUNTED)):
        payload = _once(program, name, node, sent)
        wider = Interval(np.minimum(found.low, payload.low), np.maximum(found.high, payload.high))
        if all((a == b).all() for a, b in zip(wider, found)):
            return payload
        found, sent[name] = wider, _message(wider)
    ones = np.ones_like(found.low)
    return found if steps and steps <= COUNTED else Interval(-BEYOND * ones, BEYOND * ones)


def _once(program: Program, name: str, node: Graded, sent: Mapping[str, Interval]) -> Interval:
    inputs = [drive(program, name, sent, port) for port in range(node.ports)]
    if isinstance(node, InverseRoot):
        may_be_positive = (inputs[0].high > 0) | (inputs[0].low < -INT32_LIMIT)  # what wraps may be anything
        return Interval(np.zeros_like(inputs[0].low), np.where(may_be_positive, node.gain, 0))
    if not isinstance(node, Product):
        return inputs[0]
    corners = [x * y for x in map(_register, inputs[0]) for y in map(_register, inputs[1])]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    wide = (low < -INT32_LIMIT) | (high >= INT32_LIMIT)  # wrapped before its shift: any number
    return Interval(np.where(wide, -BEYOND, low >> node.exponent), np.where(wide, BEYOND, high >> node.exponent))


def _register(x: Bound) -> Bound:
    """Within what a 32-bit product needs to be known to wrap, so that 64 bits hold it."""
    return x.clip(-INT32_LIMIT, INT32_LIMIT)


def _message(payload: Interval) -> Interval:
    """What is sent: 32 bits, any of them where the payload may wrap."""
    wide = (payload.low < -INT32_LIMIT) | (payload.high >= INT32_LIMIT)
    return Interval(np.where(wide, -INT32_LIMIT, payload.low), np.where(wide, INT32_LIMIT, payload.high))


def _rate(lif: Lif, bounds: StateBounds) -> Rate:
    theta = _flat(lif.vth, lif) << ALIGN_BITS
    return spike_rate(_charged(lif, bounds.a, bounds.u).high, _flat(lif.dv, lif), theta, lif.reset)


def drive(program: Program, name: str, sent: Mapping[str, Interval], port: int = 0) -> Interval:
    """The synaptic input of a population at one port, all connections added."""
    low = high = np.zeros(int(np.prod(program.nodes[name].shape)), np.int64)
    for connection in (c for c in program.into(name) if c.port == port):
        part = _arrives(connection, sent[connection.source])
        low, high = low + part.low, high + part.high
    return Interval(low.clip(-BEYOND), high.clip(max=BEYOND))


def _arrives(connection: Connection, sent: Interval) -> Interval:
    """Through one synapse group. Where its sum may leave 32 bits, which Lava's int32 would wrap, it may be anything."""
    if connection.is_recurrent or connection.lag:  # nothing was sent before the first step
        sent = Interval(sent.low.clip(max=0), sent.high.clip(0))
    low, high = extreme_sums(connection.synapse, sent.low, sent.high)
    wide = (low < -INT32_LIMIT) | (high >= INT32_LIMIT)
    exponent = connection.synapse.exponent
    low, high = (x << exponent if exponent >= 0 else x >> -exponent for x in (low, high))
    return Interval(np.where(wide, -BEYOND, low), np.where(wide, BEYOND, high))


def _source(node: SpikeInput | GradedInput | Constant) -> Interval:
    ones = np.ones(int(np.prod(node.shape)), np.int64)
    if isinstance(node, GradedInput):
        return Interval(-node.limit * ones, node.limit * ones)
    return Interval(ones, ones) if isinstance(node, Constant) else Interval(0 * ones, ones)


def _spikes(fires: NDArray[np.bool_]) -> Interval:
    """What a population sends."""
    return Interval(np.zeros(fires.shape, np.int64), fires.astype(np.int64))


def _population(lif: Lif, a: Interval, summed: Interval, steps: int | None) -> StateBounds:
    """Bounds for inputs a in one step, where `summed` bounds the current by how often each source spikes."""
    du = _flat(lif.du, lif) + CURRENT_DECAY_OFFSET
    low, high = (x << ALIGN_BITS for x in a)
    u = Interval(np.maximum(-_charge(-low, du, steps), summed.low), np.minimum(_charge(high, du, steps), summed.high))
    charge, dv, theta = _charged(lif, a, u), _flat(lif.dv, lif), _flat(lif.vth, lif) << ALIGN_BITS
    v = Interval(_lowest(lif, charge.low, dv, theta, steps), _highest(lif, charge.high, dv, theta, steps))
    return StateBounds(a, u, v, v.high.clip(max=STATE_LIMIT - 1) > theta)


def _current(program: Program, name: str, lif: Lif, sent: Mapping[str, Interval], rates: Mapping[str, Rate]) -> Interval:
    """The current by how often each source can spike: sum of 64 |w| over all spikes, each leaked by its age.

    Truncation towards zero only takes from a current of one sign, so the leak of real numbers bounds it; a negative exponent rounds
    a sum down by less than 1 in each step and group.
    """
    kept = 1 - (int(np.min(lif.du)) + CURRENT_DECAY_OFFSET) / (1 << DECAY_BITS)  # of the slowest neuron
    low = high = np.zeros(int(np.prod(lif.shape)))
    for c in program.into(name):
        weight = rates[c.source].summed(kept)
        smallest, largest = extreme_sums(c.synapse, sent[c.source].low.clip(max=0) * weight, sent[c.source].high.clip(0) * weight)
        rounded = every_step(1).summed(kept) if c.synapse.exponent < 0 else 0.0
        low, high = low + smallest * 2.0**c.synapse.exponent - rounded, high + largest * 2.0**c.synapse.exponent
    slack = 1 + 1e-9 * np.maximum(-low, high)  # floats round
    unit = 1 << ALIGN_BITS
    return Interval(*((x * unit).clip(-BEYOND, BEYOND).astype(np.int64) for x in (low - slack, high + slack)))


def _charged(lif: Lif, a: Interval, u: Interval) -> Interval:
    """What is added to the voltage in a step, the current beyond a wrap included."""
    wraps = (u.low <= -STATE_LIMIT) | (u.high > STATE_LIMIT)
    strongest = np.maximum(-a.low, a.high) << ALIGN_BITS
    far = np.where(strongest > 2 * STATE_LIMIT, INT32_LIMIT, STATE_LIMIT)  # it wraps once only, which then may not bring it back
    bias = _flat(lif.bias_mant, lif) << _flat(lif.bias_exp, lif)
    return Interval(np.where(wraps, -far, u.low) + bias, np.where(wraps, far, u.high) + bias)


def _highest(lif: Lif, c: Bound, dv: Bound, theta: Bound, steps: int | None) -> Bound:
    """The largest voltage before its clip and reset, charged with at most c per step.

    Resets only lower it, so it stays below what charging alone reaches. Beyond the threshold, what is kept of a voltage for the
    next step is at most theta where it resets to zero; where theta is subtracted, what charging with c - theta reaches, if more.
    """
    charged = _charge(c, dv, steps)
    left = theta if lif.reset == "zero" else np.maximum(theta, _charge(c - theta, dv, None))
    if lif.reset == "subtract_delayed":  # the excess is taken in the next step, after the leak, so the charged voltage itself stands
        limited = np.maximum(_leak(theta, dv) + c, left)
    else:
        limited = _leak(left.clip(max=STATE_LIMIT - 1), dv) + c
    return np.where(charged > theta, np.minimum(charged, limited), charged)


def _lowest(lif: Lif, c: Bound, dv: Bound, theta: Bound, steps: int | None) -> Bound:
    """The smallest voltage before its clip, charged with at least c per step."""
    if lif.reset != "subtract_delayed":  # what a reset leaves is 0 or more
        return -_charge(-c, dv, steps)
    after_spike = np.where(theta < STATE_LIMIT, np.minimum(_leak(theta + 1, dv) - theta, 0) + c, c)
    return np.minimum(-_charge(-c, dv, None), after_spike)


def _charge(c: Bound, d: Bound, steps: int | None) -> Bound:
    """The largest x of x' = leak(x, d) + c in 1 to `steps` steps from 0; c itself where that is the largest."""
    if steps is not None:
        return _charge_for(c, d, steps)
    up = c > 0
    rest = np.where(d > 0, (np.where(up, c, 1) - 1) * (1 << DECAY_BITS) // np.maximum(d, 1) + 1, BEYOND)
    return np.where(up, np.minimum(rest, BEYOND), c)


def _charge_for(c: Bound, d: Bound, steps: int) -> Bound:
    x = c
    for _ in range(steps - 1):
        charged = np.minimum(_leak(x, d) + c, BEYOND)
        if (charged <= x).all():
            break
        x = np.maximum(x, charged)
    return x


def _leak(x: Bound, d: Bound) -> Bound:
    """trunc(x (4096 - d) / 4096) in 64 bits, as `fixed_point.decay`."""
    scaled = x * ((1 << DECAY_BITS) - d)
    return np.sign(scaled) * (np.abs(scaled) >> DECAY_BITS)


def _flat(value: Int, lif: Lif) -> Bound:
    """A parameter per neuron, int64."""
    return np.broadcast_to(value, lif.shape).astype(np.int64).ravel()
