"""A netx file's contents to a Program that means what SLAYER trained.

Time. A layer's step of transport is a synapse's own step. A delay per output neuron comes after the neuron in SLAYER, before it in
netx. For a neuron without bias and recurrence that is the same, and its inputs lag; otherwise its spikes do: in the synapses of the
next layer or, after the last one, in a population that passes them on.

Sigma-delta layers run on from the first step of a sample, before any input has reached them, for netx clears none of them, and what their
biases send then is added up with all that comes later. So all of them begin at once, and each synapse's step lies within the window.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.export.netx.contents import Array, Net, NetLayer, NetNeuron, NetSdnn, WeightedLayer
from snnfuse.export.netx.first_layer import STATE_EXP, encoder, is_encoder, one_to_one, plain_input
from snnfuse.export.netx.last_layer import averages, decoder_of, readout
from snnfuse.export.netx.neuron_registers import lif_of, sigma_delta_of
from snnfuse.export.netx.options import DEFAULTS, NetOptions
from snnfuse.export.netx.weight_groups import split_weights
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import DELAY_RANGE
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Connection, Node, Output
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


def to_program(net: Net, dt: float | None = None, input_shape: tuple[int, ...] | None = None, options: NetOptions = DEFAULTS) -> Program:
    """Build it; errors and arguments as of `read_net`."""
    chain, layers = _begin(net, input_shape, options)
    for layer in layers:
        if isinstance(layer, WeightedLayer):
            _append(chain, layer, options)
            _check_end(layer, layers)
        else:
            _append_averages(chain, layer)
    if chain.spikes_lag is not None:
        _append_relay(chain)
    return Program(
        chain.nodes,
        tuple(chain.connections),
        {OUTPUT: Output(chain.last, decoder_of(chain.nodes[chain.last]))},
        dt or net.dt or DEFAULT_DT,
        tuple(chain.ledger),
    )


def _begin(net: Net, given: tuple[int, ...] | None, options: NetOptions) -> tuple[Chain, list[NetLayer]]:
    """The input, with the neurons that encode it where the file has such, and the layers behind it."""
    skipped, taken = options.chosen(net)
    bits = options.payload_bits(skipped)
    layers = [layer for layer in taken if layer.kind not in ("input", "flatten")]
    before = next((layer for layer in (taken[0], *reversed(skipped)) if layer.kind == "input" or layer in skipped), None)
    options.check_offset(is_encoder(taken[0]))
    if not is_encoder(taken[0]):
        fed = plain_input(_input_shape(before, layers[0], given), bits, skipped, options)
        return Chain({INPUT: fed}, INPUT, ledger=_ignored(taken)), layers
    first = taken[0]
    _input_shape(first, first, given)
    fed, neurons, port, entries = encoder(first, options)
    name = first.name.replace("/", "")
    chain = Chain({INPUT: fed, name: neurons}, name, ledger=[*_ignored(taken), *entries])
    chain.connections.append(one_to_one(INPUT, name, neurons.size, port))
    return chain, layers


def _ignored(layers: tuple[NetLayer, ...]) -> list[LedgerEntry]:
    reason = "lava-dl writes no such thing, and its netx ignores it as well"
    return [LedgerEntry(layer.name, f"{', '.join(layer.ignored)} under it left out", reason) for layer in layers if layer.ignored]


def _input_shape(before: NetLayer | None, first: NetLayer, given: tuple[int, ...] | None) -> tuple[int, ...]:
    if before is None and given is None and first.kind not in ("dense", "dense_rec"):
        raise InputError(f"{first.name}: no input layer says the shape (C, H, W) of its input; give it with input_shape=(C, H, W)")
    if before and given and tuple(given) != before.shape:
        raise InputError(f"{before.name}/shape: is {before.shape}, not the input shape {tuple(given)} that was given")
    if given or before:
        return tuple(given or (before.shape if before else ()))
    assert isinstance(first, WeightedLayer), first
    return (first.weight.shape[1],)


def _check_end(layer: NetLayer, layers: list[NetLayer]) -> None:
    """UnsupportedError for a layer that only the end of a network can be."""
    if layer.neuron is None and layer is not layers[-1]:
        raise UnsupportedError(
            f"{layer.name}: has no neuron, and is not the last layer: SLAYER passes on its current, netx never fires; export the block "
            f"with dynamics=True, or end before it with num_layers={layer.name[6:]}"
        )


def _append_averages(chain: Chain, layer: NetLayer) -> None:
    """Readouts that add up the spikes of each group."""
    if chain.spikes_lag is not None:
        _append_relay(chain)
    name, synapses = layer.name.replace("/", ""), averages(layer, chain.nodes[chain.last])
    chain.connections.append(Connection(chain.last, name, synapses))
    chain.nodes[name] = readout((synapses.size[0],))
    each = synapses.count // synapses.size[0]
    change = f"readouts, whose voltage is 64 times the sum of the spikes of {each} neurons, in place of their mean"
    chain.ledger.append(LedgerEntry(layer.name, change, "a mean is no neuron; the order of classes is the same"))
    chain.last = name


def _append(chain: Chain, layer: WeightedLayer, options: NetOptions) -> None:
    name, source = layer.name.replace("/", ""), chain.nodes[chain.last]
    make = _maker(layer, source.shape)
    shape = layer.shape if layer.kind == "conv" else (len(layer.weight),)
    per_synapse, per_neuron = _delays(layer, shape)
    early = layer.bias is None and layer.weight_rec is None
    lags = _sum_lags(per_synapse, per_neuron if early else None, chain.spikes_lag)
    _check_lag(layer, lags)
    exponent, changed = _exponent(layer)
    if layer.delay is not None and layer.delay.max(initial=0) > DELAY_RANGE[1]:
        change = f"{(layer.delay > DELAY_RANGE[1]).sum()} delays of up to {layer.delay.max()} steps cut to {DELAY_RANGE[1]}"
        changed.append(LedgerEntry(layer.name, change, "the chip has no longer ones; netx cuts them as well"))
    groups = split_weights(layer.weight, exponent, f"{layer.name}/weight")
    chain.connections += _connect(chain.last, name, groups, make, lags, together=isinstance(layer.neuron, NetSdnn))
    if layer.weight_rec is not None:
        chain.connections += _connect(name, name, split_weights(layer.weight_rec, exponent, f"{layer.name}/weight_rec"), Dense)
    chain.nodes[name], entries = _neurons(layer, shape, options)
    chain.ledger += [*changed, *entries]
    chain.last, chain.spikes_lag = name, None if early else per_neuron


def _neurons(layer: WeightedLayer, shape: tuple[int, ...], options: NetOptions) -> tuple[Node, list[LedgerEntry]]:
    """A layer's population, and what had to be changed."""
    if isinstance(layer.neuron, NetNeuron):
        return lif_of(layer, layer.neuron, shape)
    if isinstance(layer.neuron, NetSdnn):
        return sigma_delta_of(layer, layer.neuron, shape, options.spike_exp, STATE_EXP), []
    if layer.bias is not None and layer.bias.any():
        raise UnsupportedError(f"{layer.name}/bias: of a layer without neurons, which SLAYER does not write; export it with dynamics=True")
    return readout(shape), []


def _maker(layer: WeightedLayer, source: tuple[int, ...]) -> Maker:
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


def _conv(layer: WeightedLayer, source: tuple[int, ...]) -> Conv2d:
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


def _delays(layer: WeightedLayer, shape: tuple[int, ...]) -> tuple[Array | None, Array | None]:
    """The delay as steps per synapse (broadcastable to (out, in)), and as steps per output neuron; None where there is none."""
    delay = layer.delay
    if delay is None or not delay.any():
        return None, None
    if delay.min() < 0:
        raise InputError(f"{layer.name}/delay: {delay.min()} steps; there are 0..{DELAY_RANGE[1]}")
    delay = np.minimum(delay, DELAY_RANGE[1])
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
    neuron = layer.neuron
    if not isinstance(neuron, NetNeuron):
        return 0, []
    power = neuron.weight_exp
    if neuron.normalised and power:
        change = f"its batch normalisation's factor 2**{power} moved into synapses and bias, ahead of the current's decay"
        return power, [LedgerEntry(layer.name, change, "the chip has no factor between current and voltage; roundings differ")]
    if power < 0:
        change = f"its sums are multiplied by 2**{power} and rounded down"
        return power, [LedgerEntry(layer.name, change, "the chip keeps no fraction of a synapse's sum")]
    return power, []


def _connect(
    source: str, target: str, groups: list[tuple[NDArray[np.int32], int]], make: Maker, lags: Array | None = None, together: bool = False
) -> list[Connection]:
    """Connections of (weights, exponent) groups; where synapses differ in lag, one of each lag.

    together: whether both populations begin at once, as all of a sigma-delta network do: the step of each synapse then lies in the window.
    """
    synapses, early = [make(weights, exponent) for weights, exponent in groups], int(together)
    if lags is None or lags.min() == lags.max():
        lag = 0 if lags is None else int(lags.min())
        return [Connection(source, target, synapse, -early, lag=lag + early) for synapse in synapses]
    return [
        Connection(source, target, Sparse(part, synapse.exponent), -early, lag=lag + early)
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
    assert chain.spikes_lag is not None
    size, name = len(chain.spikes_lag), f"{chain.last}.delay"
    if chain.nodes[chain.last].sends_numbers:
        raise UnsupportedError(f"{chain.last}: delays of a last layer that has a bias and sends numbers; leave it out with num_layers")
    identity = sparse.identity(size, np.int32, "csr")
    chain.connections += [Connection(chain.last, name, Sparse(part), lag=lag) for lag, part in by_lag(identity, chain.spikes_lag[None])]
    chain.nodes[name] = Lif(chain.nodes[chain.last].shape, du=4095, dv=0, vth=0)
    chain.last, chain.spikes_lag = name, None
