"""Checkpoints: reading and writing model files without executing anything in them."""
