"""The updates of `snnfuse.hardware.ir.sigma_delta`, in 32 bits that wrap."""

from collections.abc import Callable

import numpy as np
from numpy import int32

from snnfuse.hardware.backends.emulator.neuron_form import NeuronForm, compiled, of_neuron
from snnfuse.hardware.ir.sigma_delta import Delta, Sigma, SigmaDelta


def sigma_form(node: Sigma) -> NeuronForm:
    return NeuronForm(update_sigma, {}, rests=True)


def delta_form(node: Delta) -> NeuronForm:
    return NeuronForm(update_delta, {**_encoder(node), "shift": node.shift}, rests=True)


def sigma_delta_form(node: SigmaDelta) -> NeuronForm:
    bias = np.left_shift(node.bias, node.shift)
    return NeuronForm(update_of(node.activation == "relu"), {**_encoder(node), "bias": bias}, rests=not np.any(bias))


def _encoder(node: Delta) -> dict[str, int]:
    return {"vth": node.vth << node.shift, "state_exp": node.state_exp, "cumulative": node.cumulative}


def update_sigma(inputs, states, parameters, sent):
    for j in range(sent.size):
        sigma = int32(states[0, j] + inputs[0, j])
        states[0, j] = sigma
        sent[j] = sigma


def update_delta(inputs, states, parameters, sent):
    for j in range(sent.size):
        p = of_neuron(parameters, j)
        act = int32(inputs[0, j] << int32(p.shift))
        delta = int32(int32(act - states[0, j]) + states[1, j])
        error = int32(states[2, j] + delta) if p.cumulative else int32(0)
        message = delta if magnitude(error if p.cumulative else delta) >= p.vth else int32(0)
        states[0, j] = act
        states[1, j] = int32(delta - message)
        states[2, j] = int32(0) if magnitude(message) > int32(0) else error
        sent[j] = int32(message >> int32(p.state_exp))


def update_of(relu: bool) -> Callable[..., None]:
    """The update for one activation."""

    def update(inputs, states, parameters, sent):
        for j in range(sent.size):
            p = of_neuron(parameters, j)
            sigma = int32(states[0, j] + inputs[0, j])
            act = int32(sigma + int32(p.bias))
            if relu:
                act = int32(max(act, int32(0)))
            delta = int32(int32(act - states[1, j]) + states[2, j])
            error = int32(states[3, j] + delta) if p.cumulative else int32(0)
            message = delta if magnitude(error if p.cumulative else delta) >= p.vth else int32(0)
            states[0, j] = sigma
            states[1, j] = act
            states[2, j] = int32(delta - message)
            states[3, j] = int32(0) if magnitude(message) > int32(0) else error
            sent[j] = int32(message >> int32(p.state_exp))

    return update


@compiled
def magnitude(x):
    """|x|, which of -2**31 is -2**31."""
    return int32(-x) if x < int32(0) else x
