"""The compiler: snnTorch model to NIR graph to fixed-point Program to bundle.

Names are loaded on first use, so that importing the package imports neither torch nor NIR. No module carries the name of a
function here: importing it would hide the function.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers, which do not follow __getattr__
    from snnfuse.export.bundle.bundle import read_bundle, write_bundle
    from snnfuse.export.lowering.float_recording import record_floats
    from snnfuse.export.lowering.float_simulator import simulate
    from snnfuse.export.lowering.nir_to_network import lower
    from snnfuse.export.netx import netx_differences, read_net, write_net
    from snnfuse.export.quantization.agreement import measure_agreement
    from snnfuse.export.quantization.quantize_network import quantize
    from snnfuse.export.to_snntorch.to_snntorch import from_nir
    from snnfuse.export.tracing import to_nir, trace_model

_HOME = {
    "to_nir": "tracing",
    "register_module": "tracing",
    "trace_model": "tracing",
    "from_nir": "to_snntorch.to_snntorch",
    "lower": "lowering.nir_to_network",
    "passes": "lowering.pass_list",
    "register_lowering": "lowering.nir_nodes",
    "simulate": "lowering.float_simulator",
    "record_floats": "lowering.float_recording",
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

__all__ = [
    "from_nir",
    "lower",
    "measure_agreement",
    "netx_differences",
    "quantize",
    "read_bundle",
    "read_net",
    "record_floats",
    "simulate",
    "to_nir",
    "trace_model",
    "write_bundle",
    "write_net",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"snnfuse.export.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
