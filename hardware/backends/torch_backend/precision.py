"""Which floating-point numbers a synapse group can be summed in without rounding: a proof from its weights, made once per program.

A matrix product adds payload * weight in an order that nobody promises, on GPUs in many orders at once. No order rounds where no
sum of any of the products leaves the integers that the format holds without gaps, and those are bounded by

    bound = max over targets (sum over sources |weight|) * largest payload

    float32   bound < 2**24
    float64   bound < 2**53
    beyond    float64 in parts: the payload is cut into runs of bits so short that each part stays below 2**53, and the parts'
              sums are put together in int64, of which only the low 32 bits are kept: the reference wraps there too

Largest payloads come from the program alone, never from the data: 1 for a spike, the declared limit for a graded input, and for a
graded neuron what can arrive at it, of which int32 is the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, CURRENT_DECAY_OFFSET, DECAY_BITS, INT32, STATE_LIMIT
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Connection
from snnfuse.hardware.ir.program import Program

FLOAT32_BITS, FLOAT64_BITS = 24, 53  # integers up to 2**bits have no gaps: IEEE 754, significand with its hidden bit


@dataclass(frozen=True)
class Precision:
    """How one synapse group is summed.

    Attributes:
        dtype: of the matrix product.
        part_bits: bits of the payload per part.
        parts: how many; 1: the payload as it is.
    """

    dtype: Literal["float32", "float64"]
    part_bits: int = 0
    parts: int = 1


def choose(row_sum: int, payload: int, float32: bool = True) -> Precision:
    """The cheapest format that is proven exact.

    Args:
        row_sum: largest sum of |weight| into one target.
        payload: largest magnitude that a source sends, up to 2**31.
        float32: whether the device's float32 products keep all 24 bits; see `devices`.
    """
    bound = row_sum * payload
    if float32 and bound < 1 << FLOAT32_BITS:
        return Precision("float32")
    if bound < 1 << FLOAT64_BITS:
        return Precision("float64")
    bits = FLOAT64_BITS - row_sum.bit_length()  # a part's magnitude is 2**bits at most, and row_sum < 2**bit_length
    return Precision("float64", bits, -(-payload.bit_length() // bits))


@dataclass(frozen=True)
class Bounds:
    """Largest magnitudes in a program over all inputs.

    Attributes:
        payloads: by node, of what it sends.
        row_sums: by connection.
    """

    payloads: dict[str, int]
    row_sums: Mapping[Connection, int]

    def total(self, connection: Connection) -> int:
        """Of W s, before it is wrapped."""
        return self.row_sums[connection] * self.payloads[connection.source]

    def arriving(self, connection: Connection) -> int:
        """Of what a connection adds to its target: wrapped, shifted, and wrapped again."""
        total, exponent = min(self.total(connection), INT32), connection.synapse.exponent
        return min(total << exponent, INT32) if exponent >= 0 else -(-total >> -exponent)  # rounded up: >> rounds -1 to -1

    def drives(self, program: Program, name: str) -> list[int]:
        """Of what arrives at each port of a population, in 32 bits."""
        into = program.into(name)
        return [min(sum(self.arriving(c) for c in into if c.port == port), INT32) for port in range(program.neurons[name].ports)]


def program_bounds(program: Program) -> Bounds:
    """Follow the largest payloads through a program, feed-forward sources first."""
    bounds = Bounds({}, {c: c.synapse.row_sum() for c in program.connections})
    neurons = program.neurons
    for name in program.order:
        low, high = program.nodes[name].payloads
        bounds.payloads[name] = max(-low, high)  # until it is known what arrives, and what of that it sent itself
        if name in neurons:
            bounds.payloads[name] = neurons[name].largest_payload(bounds.drives(program, name))
    return bounds


def needs_wrap32(lif: Lif, drive: int) -> bool:
    """Whether decay(u) + 64 a can leave 32 bits for |a| <= drive.

    A current in [-U, U] that shrinks to k U by decay, takes up 64 a and is wrapped by 2**24 where it leaves 24 bits stays within
    max(2**23, k U + 64 drive - 2**24); so U = max(2**23, (64 drive - 2**24) / (1 - k)) holds for ever.
    """
    change = drive << ALIGN_BITS
    kept = _slowest_decay(lif)
    excess = max(0, change - 2 * STATE_LIMIT)
    if excess and kept == 1 << DECAY_BITS:
        return True
    limit = STATE_LIMIT if not excess else max(STATE_LIMIT, -(-(excess << DECAY_BITS) // ((1 << DECAY_BITS) - kept)))
    return limit + change >= INT32


def needs_wrap24(lif: Lif, drive: int) -> bool:
    """Whether decay(u) + 64 a can leave 24 bits for |a| <= drive: not where U = 64 drive / (1 - k) stays below 2**23."""
    change = drive << ALIGN_BITS
    left = (1 << DECAY_BITS) - _slowest_decay(lif)
    return change > 0 if left == 0 else -(-(change << DECAY_BITS) // left) >= STATE_LIMIT


def _slowest_decay(lif: Lif) -> int:
    """4096 k: how much of its current the population's most lasting neuron keeps per step."""
    return (1 << DECAY_BITS) - CURRENT_DECAY_OFFSET - int(np.min(lif.du))
