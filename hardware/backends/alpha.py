"""`snnfuse.hardware.ir.alpha` in the emulator and in torch, equal to the last bit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import int32, int64

from snnfuse.hardware.backends.emulator.lif import decay
from snnfuse.hardware.backends.emulator.neuron_form import NeuronForm, of_neuron
from snnfuse.hardware.backends.resonate_and_fire import scaled
from snnfuse.hardware.ir.alpha import AlphaLif
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, DECAY_BITS, STATE_LIMIT

if TYPE_CHECKING:
    import torch

    from snnfuse.hardware.backends.torch_backend.neurons import States, Step

WHOLE = 1 << DECAY_BITS


def emulator_form(node: AlphaLif) -> NeuronForm:
    """An update in 64 bits; at rest it stays there."""
    parameters = {
        "keep_e": WHOLE - np.asarray(node.de),
        "keep_h": WHOLE - np.asarray(node.dh),
        "gain": node.gain,
        "threshold": np.left_shift(node.vth, ALIGN_BITS),
    }
    return NeuronForm(update_of(node.reset == "zero", node.reset == "subtract"), parameters, rests=True)


def update_of(to_zero: bool, subtracts: bool) -> Any:
    """The update for one reset; with neither, none."""

    def update(inputs, states, parameters, sent):
        for j in range(sent.size):
            p = of_neuron(parameters, j)
            arriving = int64(int32(inputs[0, j] << int32(ALIGN_BITS)))
            e = int64(decay(states[0, j], p.keep_e)) + arriving
            h = int64(decay(states[1, j], p.keep_h)) - arriving
            v = scaled((e + h) * int64(p.gain), int64(DECAY_BITS))
            late = states[2, j] > p.threshold
            if to_zero:
                e = int64(0) if late else e
                v = int64(0) if late else v
            if subtracts:
                e = e - (int64(p.threshold) if late else int64(0))
                v = v + (int64(states[1, j]) if late else int64(0))
            if to_zero or subtracts:
                h = int64(0) if late else h
            states[0, j] = min(max(e, int64(1 - STATE_LIMIT)), int64(STATE_LIMIT - 1))
            states[1, j] = min(max(h, int64(1 - STATE_LIMIT)), int64(STATE_LIMIT - 1))
            v = min(max(v, int64(1 - STATE_LIMIT)), int64(STATE_LIMIT - 1))
            states[2, j] = v
            sent[j] = v > p.threshold

    return update


def torch_form(node: AlphaLif, device: "torch.device", drives: Sequence[int]) -> "Step":
    """`torch_backend.alpha`."""
    import torch

    from snnfuse.hardware.backends.torch_backend.alpha import alpha_tensors, step

    tensors = alpha_tensors(node, device)

    def stepped(state: "States", inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, "States"]:
        spikes, after = step(tensors, state, inputs[0])
        return spikes > 0, after

    return stepped
