"""A netx file's contents to a Program that means what SLAYER trained.

Time. A layer's step of transport is a synapse's own step. A delay per output neuron comes after the neuron in SLAYER, before it in
netx. For a neuron without bias and recurrence that is the same, and its inputs lag; otherwise its spikes do: in the synapses of the
next layer or, after the last one, in a population that passes them on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.export.netx.contents import Array, Net, NetLayer, NetNeuron
from snnfuse.export.netx.neuron_registers import lif_of
from snnfuse.export.netx.weight_groups import split_weights
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import DELAY_RANGE, NEVER
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Connection, Node, Output, SpikeInput
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.synapses import Conv2d, Dense, Sparse, Synapse, output_size
from snnfuse.hardware.ledger import LedgerEntry

DEFAULT_DT = 1e-3  # SLAYER's own sampling time
INPUT, OUTPUT = "input", "output"

Maker = Callable[[NDArray[np.int32], int], Synapse]
"""A synapse group of weights and an exponent."""


@dataclass
class Chain:
    """What has been built so far: `last` is the population whose spikes come next, lagging by `spikes_lag` per neuron."""

    nodes: dict[str, Node]
    last: str
    spikes_lag: Array | None = None
    connections: list[Connection] = field(default_factory=list)
    ledger: list[LedgerEntry] = field(default_factory=list)


def to_program(net: Net, dt: float | None = None, input_shape: tuple[int, ...] | None = None) -> Program:
    """Build it; errors and arguments as of `read_net`."""
    layers = [layer for layer in net.layers if layer.weight is not None]
    if not layers:
        raise InputError("layer: holds no layer with weights")
    chain = Chain({INPUT: SpikeInput(_input_shape(net, layers[0], input_shape))}, INPUT)
    for layer in layers:
        _append(chain, layer)
    if chain.spikes_lag is not None:
        _append_relay(chain)
    decoder = "spike_count" if np.min(chain.nodes[chain.last].vth) < NEVER else "membrane_last"
    return Program(
        chain.nodes,
        tuple(chain.connections),
        {OUTPUT: Output(chain.last, decoder)},
        dt or net.dt or DEFAULT_DT,
        tuple(chain.ledger),
    )


def _input_shape(net: Net, first: NetLayer, given: tuple[int, ...] | None) -> tuple[int, ...]:
    said = net.layers[0].shape if net.layers[0].kind == "input" else None
    if said is None and given is None and first.kind == "conv":
        raise InputError(f"{first.name}: no input layer says the shape (C, H, W) of its input; give it with input_shape=(C, H, W)")
    if said and given and tuple(given) != said:
        raise InputError(f"{net.layers[0].name}/shape: is {said}, not the input shape {tuple(given)} that was given")
    return tuple(given or said or (first.weight.shape[1],))


def _append(chain: Chain, layer: NetLayer) -> None:
    name, source = layer.name.replace("/", ""), chain.nodes[chain.last]
    make = _maker(layer, source.shape)
    shape = layer.shape if layer.kind == "conv" else (len(layer.weight),)
    per_synapse, per_neuron = _delays(layer, shape)
    early = layer.bias is None and layer.weight_rec is None
    lags = _sum_lags(per_synapse, per_neuron if early else None, chain.spikes_lag)
    _check_lag(layer, lags)
    exponent, changed = _exponent(layer)
    chain.connections += _connect(chain.last, name, split_weights(layer.weight, exponent, f"{layer.name}/weight"), make, lags)
    if layer.weight_rec is not None:
        chain.connections += _connect(name, name, split_weights(layer.weight_rec, exponent, f"{layer.name}/weight_rec"), Dense)
    lif, entries = lif_of(layer, shape)
    chain.nodes[name] = lif
    chain.ledger += [*changed, *entries]
    chain.last, chain.spikes_lag = name, None if early else per_neuron


def _maker(layer: NetLayer, source: tuple[int, ...]) -> Maker:
    """What makes a synapse group of the layer's kind, once its sizes are checked."""
    if layer.weight_rec is not None and layer.weight_rec.shape != (len(layer.weight),) * 2:
        raise InputError(f"{layer.name}/weight_rec: expected {(len(layer.weight),) * 2}, found {layer.weight_rec.shape}")
    if layer.kind != "conv":
        if layer.weight.shape[1] != np.prod(source):
            raise InputError(f"{layer.name}/weight: takes {layer.weight.shape[1]} inputs, the layer before has {int(np.prod(source))}")
        return Dense
    conv = _conv(layer, source)
    if conv.output_shape != layer.shape:
        raise InputError(f"{layer.name}/shape: is {layer.shape}, but its convolution gives {conv.output_shape}")
    return lambda weights, exponent: replace(conv, weights=weights, exponent=exponent)


def _conv(layer: NetLayer, source: tuple[int, ...]) -> Conv2d:
    """The geometry, with empty weights of the right shape."""
    if len(source) != 3:
        raise InputError(f"{layer.name}: a convolution needs an input of shape (C, H, W), found {source}")
    out, per_group = layer.weight.shape[:2]
    if layer.groups < 1 or out % layer.groups or per_group * layer.groups != source[0]:
        raise InputError(f"{layer.name}/weight: {layer.weight.shape} in {layer.groups} groups do not fit an input of {source}")
    axes = zip(source[1:], layer.weight.shape[2:], layer.stride, layer.padding, layer.dilation)
    if min(output_size(*axis) for axis in axes) < 1:
        raise InputError(f"{layer.name}/weight: the kernel is larger than its padded input of {source}")
    empty = np.zeros(layer.weight.shape, np.int32)
    return Conv2d(empty, source, layer.stride, layer.padding, layer.dilation, layer.groups)


def _delays(layer: NetLayer, shape: tuple[int, ...]) -> tuple[Array | None, Array | None]:
    """The delay as steps per synapse (broadcastable to (out, in)), and as steps per output neuron; None where there is none."""
    delay = layer.delay
    if delay is None or not delay.any():
        return None, None
    if delay.min() < 0 or delay.max() > DELAY_RANGE[1]:
        raise InputError(f"{layer.name}/delay: {delay.min()}..{delay.max()} steps; there are 0..{DELAY_RANGE[1]}")
    size = int(np.prod(shape))
    if delay.size in (1, shape[0], size) and delay.ndim <= 1:
        per_channel = delay.size == shape[0] and len(shape) == 3
        return None, np.repeat(delay, size // shape[0]) if per_channel else np.broadcast_to(delay, size)
    if layer.kind == "dense" and delay.shape in ((layer.weight.shape[1],), layer.weight.shape):
        return np.atleast_2d(delay), None
    raise InputError(f"{layer.name}/delay: shape {delay.shape} fits neither its outputs {shape} nor its weights {layer.weight.shape}")


def _sum_lags(per_synapse: Array | None, per_target: Array | None, per_source: Array | None) -> Array | None:
    parts = [per_synapse, None if per_target is None else per_target[:, None], None if per_source is None else per_source[None]]
    present = [part for part in parts if part is not None]
    return sum(present[1:], present[0]) if present else None


def _check_lag(layer: NetLayer, lags: Array | None) -> None:
    if lags is not None and lags.max() > DELAY_RANGE[1]:
        raise InputError(f"{layer.name}/delay: together with the layer before {lags.max()} steps; a synapse has {DELAY_RANGE[1]}")


def _exponent(layer: NetLayer) -> tuple[int, list[LedgerEntry]]:
    """The synapses' exponent, and what it changes."""
    neuron: NetNeuron = layer.neuron
    power = neuron.weight_exp
    if neuron.normalised and power:
        change = f"its batch normalisation's factor 2**{power} moved into synapses and bias, ahead of the current's decay"
        return power, [LedgerEntry(layer.name, change, "the chip has no factor between current and voltage; roundings differ")]
    if power < 0:
        change = f"its sums are multiplied by 2**{power} and rounded down"
        return power, [LedgerEntry(layer.name, change, "the chip keeps no fraction of a synapse's sum")]
    return power, []


def _connect(
    source: str, target: str, groups: list[tuple[NDArray[np.int32], int]], make: Maker, lags: Array | None = None
) -> list[Connection]:
    """Connections of (weights, exponent) groups; where synapses differ in lag, one of each lag."""
    synapses = [make(weights, exponent) for weights, exponent in groups]
    if lags is None or lags.min() == lags.max():
        lag = 0 if lags is None else int(lags.min())
        return [Connection(source, target, synapse, lag=lag) for synapse in synapses]
    return [
        Connection(source, target, Sparse(part, synapse.exponent), lag=lag)
        for synapse in synapses
        for lag, part in by_lag(sparse.csr_matrix(synapse.matrix()), lags)
    ]


def by_lag(matrix: sparse.csr_matrix, lags: Array) -> list[tuple[int, sparse.csr_matrix]]:
    """The synapses of each lag, as a matrix of the same shape; `lags` is broadcastable to it."""
    entries = matrix.tocoo()
    steps = np.broadcast_to(lags, matrix.shape)[entries.row, entries.col]
    parts = []
    for lag in np.unique(steps):
        of = steps == lag
        part = sparse.csr_matrix((entries.data[of], (entries.row[of], entries.col[of])), matrix.shape)
        parts.append((int(lag), part))
    return parts


def _append_relay(chain: Chain) -> None:
    """Neurons that fire where something arrives: no current or voltage is left for the next step."""
    size, name = len(chain.spikes_lag), f"{chain.last}.delay"
    identity = sparse.identity(size, np.int32, "csr")
    chain.connections += [Connection(chain.last, name, Sparse(part), lag=lag) for lag, part in by_lag(identity, chain.spikes_lag[None])]
    chain.nodes[name] = Lif(chain.nodes[chain.last].shape, du=4095, dv=0, vth=0)
    chain.last, chain.spikes_lag = name, None
