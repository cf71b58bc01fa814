"""The former home of `snnfuse.export.from_snntorch`'s functions."""

from .from_snntorch import DT, to_nir, trace_model

__all__ = ["DT", "to_nir", "trace_model"]
