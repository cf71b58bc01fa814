"""The integers of `Lif` and of its bounds once more, one neuron at a time in Python's own integers, from their documents alone."""

from dataclasses import dataclass
from typing import NamedTuple

LIMIT = 2**23
BEYOND = 2**40
FIELDS = ("du", "dv", "vth", "bias_mant", "bias_exp")


def int32(value: int) -> int:
    """The low 32 bits."""
    return (value + 2**31) % 2**32 - 2**31


def leak(x: int, d: int) -> int:
    """trunc(x (4096 - d) / 4096)."""
    scaled = x * (4096 - d)
    return abs(scaled) // 4096 * (1 if scaled >= 0 else -1)


@dataclass(frozen=True)
class Parameters:
    """Of one neuron."""

    reset: str
    du: int
    dv: int
    vth: int
    bias_mant: int = 0
    bias_exp: int = 0

    @property
    def theta(self) -> int:
        return 64 * self.vth

    def bias(self, written: int = 0) -> int:
        return (self.bias_mant + written) * 2**self.bias_exp


class Step(NamedTuple):
    """Of one neuron: states before and after their wrap or clip, and whether it fired."""

    raw_u: int
    u: int
    raw_v: int
    v: int
    fired: bool


def step(p: Parameters, u: int, v: int, a: int, written: int = 0) -> Step:
    """One time step."""
    raw_u = leak(u, p.du + 1) + 64 * a
    current = int32(leak(u, p.du + 1) + int32(64 * a))
    current += 2 * LIMIT if current <= -LIMIT else -2 * LIMIT if current > LIMIT else 0
    was_above = v > p.theta
    charged = leak(0 if p.reset == "zero_stored" and was_above else v, p.dv) + current + p.bias(written)
    if was_above and p.reset == "subtract_delayed":
        charged -= p.theta
    if was_above and p.reset == "zero_delayed":
        charged = 0
    voltage = max(1 - LIMIT, min(LIMIT - 1, charged))
    fired = voltage > p.theta * (2 if was_above and p.reset == "subtract_undelayed" else 1)
    left = {"zero": 0, "subtract": voltage - p.theta, "subtract_undelayed": voltage - p.theta}.get(p.reset, voltage) if fired else voltage
    return Step(raw_u, current, charged, left, fired)


def charge(c: int, d: int, steps: int | None) -> int:
    """The largest x of x' = leak(x, d) + c from 0, in 1 to `steps` steps or ever, within what bounds count."""
    if c <= 0:
        return c
    if steps is None:
        return min(BEYOND, (c - 1) * 4096 // d + 1) if d else BEYOND
    x = largest = c
    for _ in range(steps - 1):
        x = min(BEYOND, leak(x, d) + c)
        largest = max(largest, x)
    return largest


class Bounds(NamedTuple):
    """Of one neuron."""

    u: tuple[int, int]
    v: tuple[int, int]
    fires: bool


def bounds(
    p: Parameters, a: tuple[int, int], summed: tuple[int, int], bias: tuple[int, int], steps: int | None
) -> tuple[Bounds, tuple[int, int]]:
    """Bounds for synaptic inputs in `a`, a current within `summed` too, and a bias; and what is added to the voltage in a step."""
    u = max(-charge(-64 * a[0], p.du + 1, steps), summed[0]), min(charge(64 * a[1], p.du + 1, steps), summed[1])
    low, high = u
    if low <= -LIMIT or high > LIMIT:  # it wraps; once only, so that twice the range of one step may stay outside
        far = 2**31 if 64 * max(-a[0], a[1]) > 2 * LIMIT else LIMIT
        low, high = -far, far
    low, high = low + bias[0], high + bias[1]
    v = _lowest(p, low, steps), _highest(p, high, steps)
    return Bounds(u, v, min(v[1], LIMIT - 1) > p.theta), (low, high)


def _highest(p: Parameters, c: int, steps: int | None) -> int:
    charged = charge(c, p.dv, steps)
    if charged <= p.theta:
        return charged
    if p.reset.startswith("zero"):
        kept = p.theta
    else:
        kept = max(2 * p.theta if p.reset == "subtract_undelayed" and c > p.theta else p.theta, charge(c - p.theta, p.dv, None))
    if p.reset == "subtract_delayed":
        return min(charged, max(leak(p.theta, p.dv) + c, kept))
    return min(charged, leak(min(kept, LIMIT - 1), p.dv) + c)


def _lowest(p: Parameters, c: int, steps: int | None) -> int:
    if p.reset == "subtract_delayed":  # just above the threshold, then theta is taken
        after = min(leak(p.theta + 1, p.dv) - p.theta, 0) + c if p.theta < LIMIT else c
        return min(-charge(-c, p.dv, None), after)
    lowest = -charge(-c, p.dv, steps)
    return min(lowest, 0) if p.reset == "zero_delayed" else lowest
