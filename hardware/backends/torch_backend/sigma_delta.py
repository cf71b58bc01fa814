"""`snnfuse.hardware.ir.sigma_delta` in torch: int32 tensors, which wrap as NumPy's do."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from snnfuse.hardware.backends.torch_backend.arithmetic import wrap32
from snnfuse.hardware.backends.torch_backend.neurons import States, Step
from snnfuse.hardware.ir.sigma_delta import Delta, Sigma, SigmaDelta


def sigma(node: Sigma, device: torch.device, drives: Sequence[int]) -> Step:
    """The sum so far."""

    def step(state: States, inputs: Sequence[Tensor]) -> tuple[Tensor, States]:
        total = _int32(state[0]) + _int32(wrap32(inputs[0]))
        return total, (total,)

    return step


def delta(node: Delta, device: torch.device, drives: Sequence[int]) -> Step:
    """The change of what arrives."""
    return lambda state, inputs: _sent(node, _int32(wrap32(inputs[0])) << node.shift, state)


def sigma_delta(node: SigmaDelta, device: torch.device, drives: Sequence[int]) -> Step:
    """The change of the activation."""
    shifted = np.left_shift(np.asarray(node.bias, np.int32), node.shift)
    bias = torch.as_tensor(shifted.reshape(-1 if shifted.ndim else ()), device=device)

    def step(state: States, inputs: Sequence[Tensor]) -> tuple[Tensor, States]:
        total = _int32(state[0]) + _int32(wrap32(inputs[0]))
        act = total + bias
        message, after = _sent(node, act.clamp(min=0) if node.activation == "relu" else act, state[1:])
        return message, (total, *after)

    return step


def _sent(node: Delta, act: Tensor, state: States) -> tuple[Tensor, States]:
    before, residue, error = (_int32(x) for x in state)
    change = act - before + residue
    error = error + change if node.cumulative else error
    sends = torch.abs(error if node.cumulative else change) >= node.vth << node.shift
    message = torch.where(sends, change, 0)
    return message >> node.state_exp, (act, change - message, torch.where(torch.abs(message) > 0, 0, error))


def _int32(x: Tensor) -> Tensor:
    return x.to(torch.int32)
