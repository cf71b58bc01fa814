"""snnfuse: multimodal spiking networks, from snnTorch through NIR to bit-exact fixed-point programs for Loihi 2.

Importing this imports none of torch, NIR, NumPy or Lava; each is loaded by the first name that needs it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers, which do not follow __getattr__
    from snnfuse import data, export, hardware, networks, nn, testing
    from snnfuse.checkpoints.checkpoint import load_checkpoint, save_checkpoint
    from snnfuse.diagnosis.diagnosing import diagnose

    __version__: str

_HOME = {
    "diagnose": "diagnosis.diagnosing",
    "load_checkpoint": "checkpoints.checkpoint",
    "save_checkpoint": "checkpoints.checkpoint",
}
_MODULES = ("data", "export", "hardware", "networks", "nn", "testing")

__all__ = ["data", "diagnose", "export", "hardware", "load_checkpoint", "networks", "nn", "save_checkpoint", "testing"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("snnfuse")
    if name in _HOME:
        return getattr(importlib.import_module(f"snnfuse.{_HOME[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"snnfuse.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
