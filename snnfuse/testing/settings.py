"""What the assertions run on and where they leave failed cases. Imports nothing heavy: the plugin reads it in every pytest run."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BACKENDS = ("reference", "emulator", "torch", "lava")  # a test compares them with snnfuse.hardware.backends.registry


def known_backends() -> tuple[str, ...]:
    """The names that a backend can be asked for by: ours, and those that an imported module has registered."""
    registry = sys.modules.get("snnfuse.hardware.backends.registry")  # what registers one has imported it; --help does not
    return BACKENDS if registry is None else tuple(dict.fromkeys((*BACKENDS, *registry.BACKENDS)))


FOLDER = "snnfuse-cases"


@dataclass(frozen=True)
class Settings:
    """Of one test run.

    Attributes:
        backends: names out of `BACKENDS`, at least one, in the order in which they run.
        cases: gives the folder in which failed cases are saved; asked only when one is.
    """

    backends: tuple[str, ...] = ("emulator",)
    cases: Callable[[], Path] = lambda: Path(FOLDER)


_in_force = [Settings()]


def current() -> Settings:
    """The settings in force: those of the innermost `using`."""
    return _in_force[-1]


@contextmanager
def using(settings: Settings) -> Iterator[None]:
    """Put settings in force; a pytest run inside a pytest run has its own."""
    _in_force.append(settings)
    try:
        yield
    finally:
        _in_force.remove(settings)
