"""A trained ReLU network on sigma-delta neurons, which send only what changes: made for inputs that change slowly.

net     = snnfuse.nn.sigma_delta(model, threshold=0.02)   # a torch.nn.Module, whose forward is the model's
program = net.program(frames)                             # its integers, for calibration data (time, batch, *shape)

Every ReLU becomes a `SigmaDelta` population that adds up the changes that arrive and sends on those of its own activation that reach a
threshold; the input is encoded by a `Delta`, and the last layer reads its activation. On a step of the input the network sends what that
changes, and nothing where it changes nothing. Numbers per layer, for an input unit a (the value of a payload of 1), by calibration:

    w  = round(W / s), 8 bits                 s = max|W| / 127, or coarser where a sum would come near 24 bits
    payload unit of the layer = a s 2**state_exp, so that its largest activation takes about 12 bits
    bias, threshold = whole numbers of that unit; of a message what lies below the unit is lost, as in `lava.proc.sdn`
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from snnfuse.export.netx.weight_groups import split_weights
from snnfuse.hardware import Connection, Delta, Diagonal, GradedInput, Output, Program, SigmaDelta, emulate
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS, check_range
from snnfuse.hardware.ir.nodes import Node
from snnfuse.hardware.ir.sigma_delta import EXPONENT_RANGE
from snnfuse.hardware.ledger import LedgerEntry
from snnfuse.nn.relu_layers import ReluLayer, read_layers

WEIGHT_LIMIT = 127
SUM_BITS, PAYLOAD_BITS = 21, 12  # of the largest sum and activation on calibration data: four times as much still fits 24 bits
INPUT, ENCODER, OUTPUT = "input", "delta", "output"
DT = 1e-3
TINY = float(np.finfo(np.float64).tiny)


class SigmaDeltaNetwork(nn.Module):
    """A ReLU network that is to run on sigma-delta neurons; forward is the float model's.

    Attributes:
        model: in eval mode.
        threshold: least change that a neuron sends, as a fraction of its layer's largest activation.
        input_bits: of an input's payload with its sign.
        dt: seconds per step.
    """

    def __init__(self, model: nn.Module, threshold: float, input_bits: int, dt: float) -> None:
        super().__init__()
        self.model, self.threshold, self.input_bits, self.dt = model.eval(), threshold, input_bits, dt

    def forward(self, frames: Tensor) -> Tensor:
        """The float network's answer to frames (batch, *shape)."""
        return self.model(frames)

    def program(self, calibration: ArrayLike | Tensor | Mapping[str, ArrayLike]) -> Program:
        """The integers, with what they change in the ledger, measured on the calibration data.

        Args:
            calibration: float (time, batch, *shape), like what the network will see; one frame per step.

        Raises:
            InputError: another shape, or nothing but zeros.
            UnsupportedError: as of `snnfuse.nn.relu_layers.read_layers`.
        """
        x = np.asarray(next(iter(calibration.values())) if isinstance(calibration, Mapping) else calibration, np.float32)
        if x.ndim < 3 or not x.size or not np.isfinite(x).all() or not x.any():
            raise InputError(f"calibration data are finite numbers (time, batch, *shape), not all 0; these have shape {x.shape}")
        layers = read_layers(self.model, torch.from_numpy(x.reshape(-1, *x.shape[2:])))
        return _measured(self._made(layers, x), self, x)

    def _made(self, layers: list[ReluLayer], x: NDArray) -> Program:
        shape, unit = x.shape[2:], float(np.abs(x).max()) / (2 ** (self.input_bits - 1) - 1)
        nodes: dict[str, Node] = {INPUT: GradedInput(shape, self.input_bits, unit)}
        nodes[ENCODER] = Delta(shape, _threshold(self.threshold, float(np.abs(x).max()), unit))
        links = [Connection(INPUT, ENCODER, Diagonal(np.ones(int(np.prod(shape)), np.int32)))]
        last, ledger, sums = ENCODER, list[LedgerEntry](), unit
        for layer in layers:
            name = layer.name if layer.name not in nodes else f"{layer.name}_"
            neurons, synapses, sums, error = _fitted(layer, unit, self.threshold if layer.rectified else None)
            nodes[name] = neurons
            links += [Connection(last, name, synapse) for synapse in synapses]
            ledger.append(LedgerEntry(name, f"weights and bias rounded, by {error:.2%} of their norm", "the chip holds integers"))
            last, unit = name, sums * 2.0**neurons.state_exp
        change = f"changes below {self.threshold:g} of a layer's largest activation wait until they add up to that"
        ledger.append(LedgerEntry(ENCODER, change, "what is not sent costs nothing"))
        output = Output(last, "membrane_last", unit=sums)
        return Program(nodes, tuple(links), {OUTPUT: output}, self.dt, tuple(ledger))


def sigma_delta(model: nn.Module, *, threshold: float = 0.02, input_bits: int = 8, dt: float = DT) -> SigmaDeltaNetwork:
    """A ReLU network for sigma-delta neurons: `program` gives its integers, `snnfuse export FILE.py:factory` a bundle of them.

    Args:
        model: a trained chain of Linear, Conv2d, AvgPool2d, BatchNorm and Flatten layers with ReLU between them.
        threshold: least change that a neuron sends, as a fraction of its layer's largest activation, 0..1: more saves messages and costs
            accuracy.
        input_bits: 2..16, payload of the input with its sign.
        dt: seconds per step.

    Raises:
        InputError: an argument out of its range.
    """
    if not 0 <= threshold <= 1 or not 2 <= input_bits <= 16:
        raise InputError(f"threshold={threshold} must lie in 0..1, and input_bits={input_bits} in 2..16")
    return SigmaDeltaNetwork(model, threshold, input_bits, dt)


def _threshold(fraction: float, peak: float, unit: float) -> int:
    """In payload units, at least one: less would lose what lies below it."""
    return max(1, round(fraction * peak / unit))


def _fitted(layer: ReluLayer, unit: float, threshold: float | None) -> tuple[SigmaDelta, list[Any], float, float]:
    """A layer in integers for sources of a payload unit; without a threshold it never sends.

    Returns:
        The neurons, their synapse groups, the value of 1 in their sums, and the relative error of weights and bias.
    """
    values = layer.weights.values
    step = max(float(np.abs(values).max(initial=0)) / WEIGHT_LIMIT, layer.sum_peak / unit / 2**SUM_BITS, TINY)
    whole = np.rint(values / step).astype(np.int64)
    synapses = [layer.weights.synapse(part, exponent, WEIGHT_BITS) for part, exponent in split_weights(whole, 0, layer.name)]
    sums = unit * step
    state_exp = int(np.clip(np.ceil(np.log2(max(layer.peak / sums, 1.0) / 2**PAYLOAD_BITS)), *EXPONENT_RANGE))
    payload = sums * 2.0**state_exp
    bias = np.rint(layer.bias / payload).astype(np.int64)
    check_range(f"the bias of {layer.name}", bias, -(1 << 23), 1 << 23)
    vth = 1 << 23 - state_exp if threshold is None else _threshold(threshold, layer.peak, payload)
    neurons = SigmaDelta(
        layer.shape, vth, 0, state_exp, bias=bias.astype(np.int32) if bias.any() else 0, activation="relu" if layer.rectified else "unit"
    )
    lost = np.concatenate([(whole * step - values).ravel(), (bias * payload - layer.bias).ravel()])
    wanted = np.concatenate([values.ravel(), layer.bias.ravel()])
    return neurons, synapses, sums, float(np.linalg.norm(lost) / max(np.linalg.norm(wanted), TINY))


def _measured(program: Program, net: SigmaDeltaNetwork, x: NDArray) -> Program:
    """The program, its last entry with what all of it changes: outputs, the largest of them, and how many messages are left."""
    run = emulate(program, program.encode(x), "all", states=True)
    output = program.outputs[OUTPUT]
    assert output.unit is not None
    found = run.states[output.node]["act"].reshape(*x.shape[:2], -1) * output.unit
    with torch.no_grad():
        expected = net(torch.from_numpy(x.reshape(-1, *x.shape[2:]))).double().numpy().reshape(found.shape)
    error = np.linalg.norm(found - expected) / max(np.linalg.norm(expected), TINY)
    classes = int((found.argmax(-1) != expected.argmax(-1)).sum()) if found.shape[-1] > 1 else 0
    sent = sum(int(np.count_nonzero(run.spikes[name])) for name in program.neurons)
    of = sum(run.spikes[name].size for name in program.neurons if name != output.node)
    effect = (
        f"on {x.shape[1]} samples of {x.shape[0]} steps: outputs differ by {error:.2%} of their norm, the largest is another on {classes} "
        f"of {x.shape[0] * x.shape[1]} steps, {sent / of:.1%} of the neurons send something on a step"
    )
    *others, last = program.ledger
    return replace(program, ledger=(*others, replace(last, effect=effect)))
