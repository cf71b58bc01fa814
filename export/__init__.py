"""The compiler: snnTorch model to NIR graph to fixed-point Program to bundle.

Names are loaded on first use, so that importing the package imports neither torch nor NIR. No module carries the name of a
function here: importing it would hide the function.
"""

import importlib
from typing import Any

_HOME = {
    "to_nir": "tracing",
    "trace_model": "tracing",
    "from_nir": "to_snntorch.to_snntorch",
    "lower": "lowering.nir_to_network",
    "simulate": "lowering.float_simulator",
    "quantize": "quantization.quantize_network",
    "measure_agreement": "quantization.agreement",
    "write_bundle": "bundle.bundle",
    "read_bundle": "bundle.bundle",
    "read_net": "netx",
    "write_net": "netx",
    "netx_differences": "netx",
    "Target": "targets",
    "find_target": "targets",
    "register_target": "targets",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"snnfuse.export.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
