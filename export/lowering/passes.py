"""Passes: named steps from one form of a network to the next, which can be listed, watched and run alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Watch = Callable[[str, Any], None]  # gets the name of each pass, and what it gave


@dataclass(frozen=True)
class Pass(Generic[T]):
    """One step of the compiler.

    Attributes:
        name: as it is listed and watched.
        run: what it does; its docstring says it.
    """

    name: str
    run: Callable[..., T]

    @property
    def summary(self) -> str:
        """What it does, the first sentence of its docstring."""
        return (self.run.__doc__ or "").strip().partition("\n\n")[0].replace("\n    ", " ")

    def __call__(self, value: Any, *args: Any, watch: Watch | None = None) -> T:
        """What it makes of a value; `watch` is told."""
        result = self.run(value, *args)
        if watch is not None:
            watch(self.name, result)
        return result

    def __str__(self) -> str:
        return f"{self.name}: {self.summary}"


def run_passes(passes: Sequence[Pass[T]], value: T, watch: Watch | None = None) -> T:
    """What a row of passes makes of a value, one after the other; `watch` is told after each."""
    for each in passes:
        value = each(value, watch=watch)
    return value
