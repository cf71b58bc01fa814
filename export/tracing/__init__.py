"""From snnTorch to NIR: our own tracer, over one time step."""

from snnfuse.export.tracing.from_snntorch import DT, to_nir, trace_model

__all__ = ["DT", "to_nir", "trace_model"]
