"""The representation: fixed-point rules, primitives, the Program, and its form on disk."""

from snnfuse.hardware.ir import (  # noqa: F401  (registers this package's kinds)
    alpha,
    bias_input,
    graded,
    inverse_root,
    lif,
    maximum,
    nodes,
    projected_input,
    sigma_delta,
    synapses,
)
