"""Why a program does something else than its float network: to the layer, the step and the cause. Names are loaded on first use.

audit        every register and weight against what the compiler writes for the float network
effects      what each layer changes alone and inherits, and what undoing it gives back
"""

import importlib
from typing import Any

_HOME = {"CAUSES": "causes", "Diagnosis": "result", "Finding": "causes", "diagnose": "diagnosing"}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"snnfuse.diagnosis.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
