"""What a host computes between two programs, as data: what it makes of a window, and what it makes of that.

First an output (time, batch, *shape) is reduced over its window of T steps, exactly, in integers where they are:

    count   c = sum_t s_t           mean   c = (1 / T) sum_t s_t           steps   s_1 .. s_T as they were

s is a spike, 0 or 1, or in a membrane's place v `unit`, the value of the voltage v. Then each host step follows, in float64, sample by
sample (and with "steps" step by step):

    Normalise   y = scale x / |x|   over all neurons of a population; 0 stays 0

At last the next program's own input rounds it (`snnfuse.hardware.ir.encoding`): to round(y / scale of the input), or not at all where it
counts. What is held is the same on every step of the later window. Source: these are definitions; a host's float64 is IEEE 754's, whose
*, / and sqrt are exact to the last bit, and |x|**2 is the sum of the squares rounded once, in no order, so that every host gives the same.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.json_fields import at, keys, number, shown

Reduction = Literal["count", "mean", "steps"]
REDUCTIONS: tuple[Reduction, ...] = ("count", "mean", "steps")


@dataclass(frozen=True)
class Normalise:
    """y = scale x / |x|.

    Attributes:
        scale: Euclidean length of the result, > 0.

    Raises:
        InputError: no such length.
    """

    scale: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"a normalisation's scale must be positive and finite, not {self.scale}")


HostStep = Normalise
STEPS: dict[str, type] = {"Normalise": Normalise}


def step_record(step: HostStep) -> dict[str, Any]:
    """A host step as JSON: its type and its fields."""
    return {"type": type(step).__name__} | asdict(step)


def describe_step(step: HostStep) -> str:
    """A host step in words."""
    return f"L2 normalised to length {step.scale:g}"


def read_step(record: Any) -> HostStep:
    """Inverse of `step_record`; InputError for a type or field that there is not."""
    name = record.get("type") if isinstance(record, dict) else None
    if not isinstance(name, str) or name not in STEPS:
        raise InputError(f"type is {shown(name)}, none of {', '.join(STEPS)}")
    record = keys(record, {"type", *(field.name for field in fields(STEPS[name]))})
    return STEPS[name](**{name: at(name, number, value, {}) for name, value in record.items() if name != "type"})


def reduce_over_window(reduction: Reduction, values: NDArray) -> NDArray[np.float64]:
    """(time, batch, *shape) -> float64: (batch, *shape), or with "steps" (time, batch, *shape)."""
    if reduction == "steps":
        return values.astype(np.float64)
    count = values.sum(0, dtype=np.int64 if values.dtype.kind in "biu" else np.float64)
    return count.astype(np.float64) if reduction == "count" else count / len(values)


def apply(step: HostStep, x: NDArray[np.float64], lead: int = 1) -> NDArray[np.float64]:
    """One host step on values whose first `lead` axes are batch, or time and batch."""
    norm = np.sqrt(sums_of_squares(x, lead))
    return np.divide(step.scale * x, norm, out=np.zeros(x.shape), where=norm > 0)


def sums_of_squares(x: NDArray[np.float64], lead: int) -> NDArray[np.float64]:
    """Of all neurons of a sample or step, rounded once: NumPy's own sum depends on the processor, and a payload may lie halfway."""
    rows = (x * x).reshape(math.prod(x.shape[:lead]), -1).tolist()
    return np.array([math.fsum(row) for row in rows]).reshape(*x.shape[:lead], *[1] * (x.ndim - lead))


def carry(reduction: Reduction, steps: tuple[HostStep, ...], values: NDArray) -> NDArray[np.float64]:
    """What a later program reads of an output, on every step: (time, batch, *shape) -> float64 of the same shape."""
    x = reduce_over_window(reduction, values)
    for step in steps:
        x = apply(step, x, 2 if reduction == "steps" else 1)
    return x if reduction == "steps" else np.broadcast_to(x, values.shape)
