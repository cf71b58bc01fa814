"""The representation: fixed-point rules, primitives, the Program, and its form on disk."""

from snnfuse.hardware.ir import graded, inverse_root, lif, maximum, nodes, synapses  # noqa: F401  (registers this package's kinds)
