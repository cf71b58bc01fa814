"""Lowering: a NIR graph becomes the network that quantization rounds, in standard float primitives."""
