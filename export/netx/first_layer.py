"""What is fed to a netx network: spikes, numbers, or an image for an input layer's neurons."""

import numpy as np

from snnfuse.export.netx.contents import NetLayer, NetNeuron, NetSdnn
from snnfuse.export.netx.neuron_registers import BIAS_SHIFT, FULL, capped, changes, registers
from snnfuse.export.netx.options import NetOptions
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.bias_input import BiasedLif, BiasInput
from snnfuse.hardware.ir.nodes import Connection, DeclaredInput, Input, Neuron, SpikeInput
from snnfuse.hardware.ir.sigma_delta import Delta
from snnfuse.hardware.ir.synapses import Diagonal
from snnfuse.hardware.ledger import LedgerEntry

WEIGHT_SCALE = 64  # a weight of 1.0 is 64 in a file
PIXEL_BITS = 16
STATE_EXP = 6  # netx gives it to every sigma-delta neuron

Encoder = tuple[Input, Neuron, int, list[LedgerEntry]]
"""What is fed, the neurons that take it, the port of theirs, and what was changed."""


def plain_input(shape: tuple[int, ...], bits: int, skipped: tuple[NetLayer, ...], options: NetOptions) -> Input:
    """What is fed in place of the layers before."""
    if not bits:
        return SpikeInput(shape)
    after_sigma_delta = any(isinstance(layer.neuron, NetSdnn) for layer in skipped)
    return DeclaredInput(shape, bits, 1.0 / (WEIGHT_SCALE << options.spike_exp) if after_sigma_delta else 1.0)


def encoder(layer: NetLayer, options: NetOptions) -> Encoder:
    """An input layer with neurons; errors as of `read_net`."""
    weight, bias = layer.transform
    if not weight:
        raise InputError(f"{layer.name}/weight: is 0, so that no input reaches the network")
    if isinstance(layer.neuron, NetSdnn):
        return _delta(layer, layer.neuron, options)
    assert layer.neuron is not None
    current, voltage, threshold = registers(layer, layer.neuron, layer.shape)
    entries = changes(layer.name, layer.neuron, voltage)
    if np.min(current) < FULL:
        change = "its input is a bias of the voltage, as in netx, and is not added to the current, which fades"
        entries.append(LedgerEntry(layer.name, change, "SLAYER adds it to the current, for which the chip has no register"))
    lif = BiasedLif(layer.shape, current - 1, capped(voltage, FULL - 1), threshold, 0, BIAS_SHIFT)
    return BiasInput(layer.shape, 1.0 / weight, bias), lif, 1, entries


def _delta(layer: NetLayer, neuron: NetSdnn, options: NetOptions) -> Encoder:
    weight, bias = layer.transform
    if bias or weight < 0:
        raise UnsupportedError(
            f"{layer.name}: its transform is {weight} * x + {bias}, and graded inputs have a positive scale and no offset; feed what its "
            "neurons send, with skip_layers=1"
        )
    return DeclaredInput(layer.shape, PIXEL_BITS, 1.0 / weight), Delta(layer.shape, neuron.threshold, options.spike_exp, STATE_EXP), 0, []


def one_to_one(source: str, target: str, size: int, port: int) -> Connection:
    """From an input to the neurons that encode it."""
    return Connection(source, target, Diagonal(np.ones(size, np.int32)), port=port)


def is_encoder(layer: NetLayer) -> bool:
    """Whether it is an input layer with neurons."""
    return layer.kind == "input" and isinstance(layer.neuron, (NetNeuron, NetSdnn))
