"""The Lava backend. Importing this package does not import Lava; calling it does, in a child process for a simulation."""

from typing import TYPE_CHECKING, Any

from snnfuse.hardware.backends.lava.compat import INSTALL, patched_imports, require_lava
from snnfuse.hardware.backends.lava.simulate import default_time_limit, simulate_on_lava

if TYPE_CHECKING:
    from snnfuse.hardware.backends.lava.network import LavaNetwork
    from snnfuse.hardware.ir.program import Program

__all__ = [
    "INSTALL",
    "LavaNetwork",
    "default_time_limit",
    "patched_imports",
    "require_lava",
    "simulate_on_lava",
    "to_lava",
]


def to_lava(program: "Program", steps: int | None = None) -> "LavaNetwork":
    """A program as Lava processes with ports to wire on; see `snnfuse.hardware.backends.lava.network.to_lava`."""
    from snnfuse.hardware.backends.lava.network import to_lava as build

    return build(program, steps)


def __getattr__(name: str) -> Any:
    if name == "LavaNetwork":
        from snnfuse.hardware.backends.lava.network import LavaNetwork

        return LavaNetwork
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
