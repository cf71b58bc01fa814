"""The backends that run a Program, by name."""
