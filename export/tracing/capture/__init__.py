"""Capture: one time step of a torch model as the operations that it ran."""
