"""Tensors that a forward makes of zeros and writes its steps into, as `record[t] = spikes`: read, they are the steps stacked.

A value that is written is no tensor while it is traced, so torch's own record stays zeros. What reads that record is given the stack.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx.node import map_aggregate
from torch.overrides import TorchFunctionMode

QUESTIONS = ("size", "dim", "__len__", "numel", "__setitem__", "stride", "is_floating_point", "element_size", "data_ptr")


@dataclass(eq=False)
class Written:
    """One record.

    Attributes:
        tensor: as forward made it, all zeros.
        axis: along which it is written; None before it is.
        parts: what was written, by index.
    """

    tensor: torch.Tensor
    axis: int | None = None
    parts: dict[int, Any] = field(default_factory=dict)

    def write(self, index: Any, value: Any) -> bool:
        """Whether the write is one whole part along the axis of those before."""
        at = place(index, self.tensor.ndim)
        if at is None or self.axis not in (None, at[0]) or self.tensor.any():
            return False
        axis, number = at[0], at[1] % self.tensor.shape[at[0]]
        shape = (*self.tensor.shape[:axis], *self.tensor.shape[axis + 1 :])
        if number in self.parts or tuple(getattr(value, "shape", ())) != shape:
            return False
        self.axis, self.parts[number] = axis, value
        return True

    @property
    def stacked(self) -> Any:
        """The parts in order; None where one is missing."""
        if self.axis is None or len(self.parts) < self.tensor.shape[self.axis]:
            return None
        return torch.stack([self.parts[i] for i in range(len(self.parts))], self.axis)


def place(index: Any, ndim: int) -> tuple[int, int] | None:
    """Axis and number of an index that takes one whole part, as [t], [t, :, :], [:, t] and [..., t]; None for any other."""
    given = index if isinstance(index, tuple) else (index,)
    numbers = [i for i in given if isinstance(i, int) and not isinstance(i, bool)]
    if len(numbers) != 1 or not all(i is Ellipsis or isinstance(i, int) or i == slice(None) for i in given):
        return None
    at = given.index(numbers[0])
    dots = next((i for i, each in enumerate(given) if each is Ellipsis), len(given))
    return (at if at < dots else ndim - (len(given) - at)), numbers[0]


class Records(TorchFunctionMode):
    """Gives whatever reads a written record its stack; `refuse` raises where there is none."""

    def __init__(self, refuse: Callable[[], Any]) -> None:
        super().__init__()
        self.refuse = refuse
        self.known: dict[int, Written] = {}

    def write(self, tensor: Any, index: Any, value: Any) -> None:
        """Note a write; refused for what is no record of whole steps."""
        if not isinstance(tensor, torch.Tensor) or not self.known.setdefault(id(tensor), Written(tensor)).write(index, value):
            self.refuse()

    def read(self, value: Any) -> Any:
        """The stack of a record that was written; anything else as it is."""
        record = self.known.get(id(value)) if isinstance(value, torch.Tensor) else None
        if record is None:
            return value
        return self.refuse() if (stack := record.stacked) is None else stack

    def __torch_function__(self, func: Any, types: Iterable[type], args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if not self.known or name in QUESTIONS:
            return func(*args, **(kwargs or {}))
        if name == "__get__":
            found = func(*args, **(kwargs or {}))
            return self.refuse() if isinstance(found, torch.Tensor) and id(args[0]) in self.known else found
        given, options = map_aggregate(tuple(args), self.read), map_aggregate(kwargs or {}, self.read)
        changed = bool(given) and given[0] is not args[0]
        method = getattr(given[0], name, None) if changed and getattr(torch.Tensor, name, None) is func else None
        return func(*given, **options) if method is None else method(*given[1:], **options)
