"""The target: fixed-point rules, the Program, and the backends that run it."""
