"""The updates of `snnfuse.hardware.ir.graded` and `snnfuse.hardware.ir.inverse_root`: neurons that send numbers and have no state."""

import numpy as np
from numpy import int32, int64

from snnfuse.hardware.backends.emulator.neuron_form import NeuronForm, compiled, of_neuron
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

NO_MAGNITUDE = int(np.iinfo(np.int32).min)  # the one int32 that is no graded spike


def product_form(product: Product) -> NeuronForm:
    return NeuronForm(update_product, {"exponent": product.exponent}, rests=True)


def relay_form(relay: Relay) -> NeuronForm:
    return NeuronForm(update_relay, {}, rests=True)


def inverse_root_form(root: InverseRoot) -> NeuronForm:
    return NeuronForm(update_inverse_root, {"gain": root.gain}, rests=True)


def update_product(inputs, states, parameters, sent):
    for j in range(sent.size):
        product = int32(inputs[0, j] * inputs[1, j])
        sent[j] = magnitude(int32(product >> of_neuron(parameters, j).exponent))


def update_relay(inputs, states, parameters, sent):
    for j in range(sent.size):
        sent[j] = magnitude(inputs[0, j])


def update_inverse_root(inputs, states, parameters, sent):
    for j in range(sent.size):
        sent[j] = inverse_root(int64(inputs[0, j]), int64(of_neuron(parameters, j).gain))


@compiled
def magnitude(v):
    """What is sent for v."""
    return int32(0) if v == int32(NO_MAGNITUDE) else v


@compiled
def inverse_root(a, gain):
    """`snnfuse.hardware.ir.inverse_root.inverse_root` of one number."""
    if a <= 0:
        return int32(0)
    exponent = int64(0)
    while exponent < LARGEST_EXPONENT and a >= int64(1) << (2 * exponent + 2):
        exponent += 1
    m = (a << MANTISSA_BITS) >> (2 * exponent)
    y = START - ((SLOPE * m) >> SLOPE_BITS)
    for _ in range(ITERATIONS):
        y = (y * ((3 << ROOT_BITS) - ((m * ((y * y) >> ROOT_BITS)) >> MANTISSA_BITS))) >> (ROOT_BITS + 1)
    return int32((gain * y + (int64(1) << (ROOT_BITS - 1 + exponent))) >> (ROOT_BITS + exponent))
