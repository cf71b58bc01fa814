"""The representation: fixed-point rules, primitives, the Program, and its form on disk."""
