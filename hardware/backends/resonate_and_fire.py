"""`snnfuse.hardware.ir.resonate_and_fire` in the emulator and in torch, equal to the last bit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy import int32, int64

from snnfuse.hardware.backends.emulator.neuron_form import NeuronForm, compiled, of_neuron
from snnfuse.hardware.ir.fixed_point import STATE_LIMIT, Int
from snnfuse.hardware.ir.resonate_and_fire import ResonateAndFire

if TYPE_CHECKING:
    import torch

    from snnfuse.hardware.backends.torch_backend.neurons import States, Step


def emulator_form(node: ResonateAndFire) -> NeuronForm:
    """An update in 64 bits; at rest nothing crosses the axis, so that nothing fires."""
    names = ("sin_decay", "cos_decay", "vth", "state_exp", "decay_bits")
    return NeuronForm(update, {name: getattr(node, name) for name in names}, rests=True)


def update(inputs, states, parameters, sent):
    for j in range(sent.size):
        p = of_neuron(parameters, j)
        sin, cos, bits = int64(p.sin_decay), int64(p.cos_decay), int64(p.decay_bits)
        x, y = int64(states[0, j]), int64(states[1, j])
        real = scaled(cos * x, bits) - scaled(sin * y, bits) + int64(int32(inputs[0, j] << int32(p.state_exp)))
        imag = scaled(sin * x, bits) + scaled(cos * y, bits) + int64(int32(inputs[1, j] << int32(p.state_exp)))
        real = min(max(real, int64(1 - STATE_LIMIT)), int64(STATE_LIMIT - 1))
        imag = min(max(imag, int64(1 - STATE_LIMIT)), int64(STATE_LIMIT - 1))
        states[0, j], states[1, j] = real, imag
        sent[j] = (real >= p.vth) & (imag >= 0) & (y < 0)


@compiled
def scaled(product, bits):
    """trunc(product / 2**bits)."""
    return -((-product) >> bits) if product < 0 else product >> bits


def torch_form(node: ResonateAndFire, device: "torch.device", drives: Sequence[int]) -> "Step":
    """In float64, which holds every product here: 24 bits times 13."""
    import torch

    from snnfuse.hardware.backends.torch_backend.arithmetic import DTYPE, clip, wrap32

    def tensor(value: Int) -> torch.Tensor:
        return torch.as_tensor(np.array(value, np.float64).reshape(-1 if np.ndim(value) else ()), dtype=DTYPE, device=device)

    unit = 2.0**-node.decay_bits
    sin, cos, vth = tensor(node.sin_decay) * unit, tensor(node.cos_decay) * unit, tensor(node.vth)

    def step(state: "States", inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, "States"]:
        (x, y), (a0, a1) = state, (wrap32(a * 2.0**node.state_exp) for a in inputs)
        real = clip(torch.trunc(cos * x) - torch.trunc(sin * y) + a0)
        imag = clip(torch.trunc(sin * x) + torch.trunc(cos * y) + a1)
        return (real >= vth) & (imag >= 0) & (y < 0), (real, imag)

    return step
