"""`snnfuse.hardware.ir.maximum` in the emulator and in torch, equal to the last bit."""

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from snnfuse.hardware.backends.emulator.graded import magnitude
from snnfuse.hardware.backends.emulator.neuron_form import NeuronForm
from snnfuse.hardware.ir.maximum import Maximum

if TYPE_CHECKING:
    import torch

    from snnfuse.hardware.backends.torch_backend.neurons import Step


def emulator_form(node: Maximum) -> NeuronForm:
    """Port by port, each a run over all neurons; where nothing arrives the largest is 0, and nothing is sent."""
    return NeuronForm(update, {}, rests=True)


def update(inputs, states, parameters, sent):
    for j in range(sent.size):
        sent[j] = inputs[0, j]
    for port in range(1, inputs.shape[0]):
        for j in range(sent.size):
            sent[j] = max(sent[j], inputs[port, j])
    for j in range(sent.size):
        sent[j] = magnitude(sent[j])


def torch_form(node: Maximum, device: "torch.device", drives: Sequence[int]) -> "Step":
    """Of int64 tensors that hold int32 values."""
    import torch

    from snnfuse.hardware.backends.torch_backend.neurons import send, stateless

    return stateless(lambda *inputs: send(reduce(torch.maximum, inputs)))
