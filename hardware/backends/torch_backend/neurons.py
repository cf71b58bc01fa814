"""Neuron kinds in torch: the form that a `NeuronKind` names under `torch`.

A form is a function of (node, device, drives), where `drives` bounds the magnitude that arrives at each port. It returns the step:

    step(state, inputs) -> (sent, next state)

of tensors: `inputs` float64 that hold integers, one per port; `state` as `Neuron.rest` has it, float64 at first and then whatever the
step returns; `sent` bool, or int32 where the node sends numbers. All are (batch, neurons); a kind without states may get
(time, batch, neurons), a whole window at once. Equations are those of the node's own `step`, to the last bit.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from snnfuse.hardware.backends.torch_backend.arithmetic import State, int64_low32, lif_tensors, wrap32
from snnfuse.hardware.backends.torch_backend.arithmetic import step as lif_step
from snnfuse.hardware.backends.torch_backend.precision import needs_wrap24, needs_wrap32
from snnfuse.hardware.ir.bias_input import BiasedLif
from snnfuse.hardware.ir.fixed_point import INT32
from snnfuse.hardware.ir.graded import Product, Relay
from snnfuse.hardware.ir.inverse_root import (
    ITERATIONS,
    LARGEST_EXPONENT,
    MANTISSA_BITS,
    ROOT_BITS,
    SLOPE,
    SLOPE_BITS,
    START,
    InverseRoot,
)
from snnfuse.hardware.ir.lif import Lif

States = tuple[Tensor, ...]
Step = Callable[[States, Sequence[Tensor]], tuple[Tensor, States]]


def lif(node: Lif, device: torch.device, drives: Sequence[int]) -> Step:
    """`snnfuse.hardware.ir.lif`, without the wraps that the drives exclude."""
    tensors = lif_tensors(node, device, needs_wrap32(node, drives[0]), needs_wrap24(node, drives[0]))

    def step(state: States, inputs: Sequence[Tensor]) -> tuple[Tensor, States]:
        spikes, after = lif_step(tensors, State(*state), inputs[0])
        return spikes > 0, after

    return step


def biased_lif(node: BiasedLif, device: torch.device, drives: Sequence[int]) -> Step:
    """`lif`, with the bias of this sample from port 1."""
    tensors = lif_tensors(node, device, needs_wrap32(node, drives[0]), needs_wrap24(node, drives[0]))
    unit = torch.as_tensor(np.ravel(2.0 ** np.asarray(node.bias_exp)), dtype=tensors.bias.dtype, device=device)

    def step(state: States, inputs: Sequence[Tensor]) -> tuple[Tensor, States]:
        spikes, after = lif_step(tensors._replace(bias=tensors.bias + inputs[1] * unit), State(*state), inputs[0])
        return spikes > 0, after

    return step


def product(node: Product, device: torch.device, drives: Sequence[int]) -> Step:
    """`snnfuse.hardware.ir.graded.product`; 62 bits, and -2**31 squared, are within int64."""
    return stateless(lambda a0, a1: send(int64_low32(a0 * a1) >> node.exponent))


def relay(node: Relay, device: torch.device, drives: Sequence[int]) -> Step:
    """What arrives."""
    return stateless(send)


def inverse_root(node: InverseRoot, device: torch.device, drives: Sequence[int]) -> Step:
    """`snnfuse.hardware.ir.inverse_root.inverse_root`."""
    powers = torch.tensor([4**k for k in range(1, LARGEST_EXPONENT + 1)], device=device)

    def root(a: Tensor) -> Tensor:
        exponent = torch.bucketize(a, powers, right=True)
        m = (a.clamp(min=0) << MANTISSA_BITS) >> (2 * exponent)
        y = START - (SLOPE * m >> SLOPE_BITS)
        for _ in range(ITERATIONS):
            y = y * ((3 << ROOT_BITS) - (m * (y * y >> ROOT_BITS) >> MANTISSA_BITS)) >> (ROOT_BITS + 1)
        half = torch.ones_like(a) << (ROOT_BITS - 1 + exponent)
        return torch.where(a > 0, node.gain * y + half >> (ROOT_BITS + exponent), 0).to(torch.int32)

    return stateless(root)


def stateless(compute: Callable[..., Tensor]) -> Step:
    """A step without states, of inputs as int64 that hold int32 values."""
    return lambda state, inputs: (compute(*(wrap32(a).to(torch.int64) for a in inputs)), ())


def send(v: Tensor) -> Tensor:
    """`snnfuse.hardware.ir.graded.send`."""
    return torch.where(v == -INT32, 0, v).to(torch.int32)
