"""From snnTorch to NIR: our own tracer, over one time step."""

from snnfuse.export.tracing.from_snntorch import DT, to_nir, trace_model
from snnfuse.export.tracing.neurons import register_module

__all__ = ["DT", "register_module", "to_nir", "trace_model"]
