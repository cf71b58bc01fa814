"""Programs in PyTorch, on a CPU or a GPU, with the reference's spikes and states. Importing this does not import torch."""

from snnfuse.hardware.backends.torch_backend.entry import run_torch

__all__ = ["run_torch"]
