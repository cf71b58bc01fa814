"""The compiler: snnTorch model to NIR graph to fixed-point Program to bundle.

Names are loaded on first use, so that importing the package imports neither torch nor NIR.
"""

import importlib

_HOME = {
    "to_nir": "to_nir",
    "trace_model": "to_nir",
    "lower": "lower",
    "simulate": "simulate",
    "quantize": "quantize",
    "agreement": "agreement",
    "write_bundle": "bundle",
    "read_bundle": "bundle",
}

__all__ = list(_HOME)


def __getattr__(name: str):  # noqa: ANN202
    if name in _HOME:
        return getattr(importlib.import_module(f"snnfuse.export.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
