"""Neuron kinds in training: the form that a `NeuronKind` names under `training`.

A form is a function of (node, drives, learnt), where `drives` bounds the magnitude that arrives at each port. It returns the step:

    step(state, inputs) -> (sent, next state)

of tensors float64 (batch, neurons) that hold integers; `inputs` one per port, `state` as `Neuron.rest` has it. What is sent, and the state,
is what the node's own `step` gives for the registers that training has made, to the last bit; gradients are those of `gradients`: through
roundings straight, through spikes a surrogate, and none through what a reset takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from snnfuse.hardware.backends.torch_backend.alpha import alpha_tensors
from snnfuse.hardware.backends.torch_backend.alpha import step as alpha_step
from snnfuse.hardware.backends.torch_backend.arithmetic import State, lif_tensors, wrap32
from snnfuse.hardware.backends.torch_backend.arithmetic import step as lif_step
from snnfuse.hardware.backends.torch_backend.precision import needs_wrap24, needs_wrap32
from snnfuse.hardware.ir.alpha import AlphaLif
from snnfuse.hardware.ir.fixed_point import INT32
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.maximum import Maximum
from snnfuse.nn.gradients import Fire, trunc_through

States = tuple[Tensor, ...]
Step = Callable[[States, Sequence[Tensor]], tuple[Tensor, States]]


@dataclass(frozen=True, eq=False)
class Learnt:
    """What training has made of a population's registers, float64 (neurons,) that hold integers.

    Attributes:
        threshold: 64 vth; nothing is above it where the kind has no threshold.
        bias: added to the voltage on every step; 0 where the kind has no such register.
        slope: steepness of the surrogate gradient.
    """

    threshold: Tensor
    bias: Tensor
    slope: float

    def fire(self, x: Tensor) -> Tensor:
        """1.0 where the membrane less the threshold is above 0, else 0.0."""
        return Fire.apply(x, self.threshold, self.slope)


def lif(node: Lif, drives: Sequence[int], learnt: Learnt) -> Step:
    """`snnfuse.hardware.ir.lif`, without the wraps that the drives exclude."""
    wraps = needs_wrap32(node, drives[0]), needs_wrap24(node, drives[0])
    tensors = lif_tensors(node, learnt.bias.device, *wraps)._replace(threshold=learnt.threshold, bias=learnt.bias)
    return lambda state, inputs: lif_step(tensors, State(*state), inputs[0], trunc_through, learnt.fire, Tensor.detach)


def alpha(node: AlphaLif, drives: Sequence[int], learnt: Learnt) -> Step:
    """`snnfuse.hardware.ir.alpha`."""
    tensors = alpha_tensors(node, learnt.threshold.device)._replace(threshold=learnt.threshold)
    return lambda state, inputs: alpha_step(tensors, state, inputs[0], trunc_through, learnt.fire, Tensor.detach)


def maximum(node: Maximum, drives: Sequence[int], learnt: Learnt) -> Step:
    """`snnfuse.hardware.ir.maximum`; the gradient goes to the ports that hold the largest, in equal parts."""

    def step(state: States, inputs: Sequence[Tensor]) -> tuple[Tensor, States]:
        largest = reduce(torch.maximum, map(wrap32, inputs))
        return torch.where(largest == -INT32, 0.0, largest), ()

    return step
