"""Devices: whether they are there, whether their products are exact, and how much memory a run may take on them."""

from typing import Any

import torch

from snnfuse.hardware.errors import EnvironmentProblem, InputError, UnsupportedError

CPU_MEMORY = 1 << 30  # bytes of working arrays
GPU_SHARE = 0.5  # of the memory that is free at the start; the library's own workspaces need some too
EXACT = ("ieee", "none")  # "none" asks for nothing and gets IEEE


def find_device(name: str) -> torch.device:
    """The device of a name such as "cpu", "cuda" or "cuda:1".

    Raises:
        InputError: no such name.
        UnsupportedError: it has no float64, which the neurons' states need.
        EnvironmentProblem: it is not in this machine.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"no device {name!r}; examples are cpu, cuda and cuda:1") from error
    if device.type not in ("cpu", "cuda"):
        raise UnsupportedError(f"device {name!r}: this backend runs on cpu and cuda only, where products are proven exact")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EnvironmentProblem(f"device {name!r}: PyTorch {torch.__version__} finds {torch.cuda.device_count()} GPUs; use device='cpu'")
    return device


def float32_is_exact(device: torch.device) -> bool:
    """Whether float32 products keep 24 bits: not where a user has allowed PyTorch to take TF32 (11 bits) or bfloat16 (8) for them.

    Their setting is read, not changed: it belongs to the whole process. Source: PyTorch, "CUDA semantics", "TensorFloat-32"; from
    2.9 on each backend has its own `fp32_precision`, and asking the older function can be an error.
    """
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    matmul: Any = getattr(backend, "matmul", None)
    try:
        return matmul.fp32_precision in EXACT
    except (AttributeError, AssertionError):  # before 2.9; the CUDA settings answer unknown names with an assertion
        return torch.get_float32_matmul_precision() == "highest"


def default_memory(device: torch.device) -> int:
    """Bytes that working arrays may take."""
    return CPU_MEMORY if device.type == "cpu" else int(GPU_SHARE * torch.cuda.mem_get_info(device)[0])
