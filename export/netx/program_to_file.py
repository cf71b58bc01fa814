"""A Program to the contents of a netx file, where netx runs the same network; otherwise an error that says why not."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from snnfuse.export.netx.contents import Array, Net, NetLayer, WeightedLayer
from snnfuse.export.netx.ends_to_file import begun_together, encoder_of, sdnn_of
from snnfuse.export.netx.netx_itself import CHIP_BITS, built
from snnfuse.export.netx.neuron_registers import neuron_of
from snnfuse.export.netx.weight_groups import total_kernel, total_matrix
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.bias_input import BiasedLif
from snnfuse.hardware.ir.fixed_point import STATE_LIMIT
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.nodes import Connection, Input, Neuron
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.sigma_delta import Delta, Sigma, SigmaDelta
from snnfuse.hardware.ir.synapses import Conv2d

MOST_WEIGHTS = 1 << 24  # a netx file holds zeros too
WAY_OUT = "use target='lava'"
ENDS = (BiasedLif, Delta, Sigma)


def to_contents(program: Program) -> Net:
    """The layers of a chain of populations.

    Raises:
        UnsupportedError: netx cannot express it, or would run it differently; says what and where.
    """
    chain = _chain(program)
    first = encoder_of(program, chain[0]) if chain else None
    shape = _input_shape(program, chain)
    layers = [NetLayer("layer/0", "input", shape) if first is None else first]
    for name in chain[first is not None :]:
        arriving = program.into(name)
        feed = [c for c in arriving if not c.is_recurrent]
        if not _convolutions(feed) and len(shape) > 1:
            layers.append(NetLayer(f"layer/{len(layers)}", "flatten", (int(np.prod(shape)),)))
        layers.append(_layer(program, name, f"layer/{len(layers)}", feed, [c for c in arriving if c.is_recurrent], shape))
        shape = layers[-1].shape
    return Net(tuple(layers), program.dt)


def _chain(program: Program) -> list[str]:
    """The neuron populations in order, each fed by the one before and read by the one behind."""
    nodes = [name for name in program.nodes if name not in program.neurons]
    if len(nodes) != 1 or nodes[0] not in program.inputs:
        kinds = ", ".join(f"{name} ({type(program.nodes[name]).__name__})" for name in nodes)
        raise UnsupportedError(f"netx networks have one input, this program has {kinds or 'none'}; {WAY_OUT}")
    chain, before = list(program.neurons), nodes[0]
    _check_kinds(program, chain, program.inputs[nodes[0]])
    for name in chain:
        sources = {c.source for c in program.into(name)} - {name}
        if sources != {before}:
            fed = ", ".join(sorted(sources)) or "nothing"
            raise UnsupportedError(f"{name}: netx networks are one chain, but it is fed by {fed}, not by {before} alone; {WAY_OUT}")
        before = name
    read = {output.node for output in program.outputs.values()}
    if read - {before}:
        raise UnsupportedError(f"netx networks end in their output, but {sorted(read - {before})[0]} is one as well; {WAY_OUT}")
    return chain


def _check_kinds(program: Program, chain: list[str], fed: Input) -> None:
    """UnsupportedError for neurons that netx has not, or not in this place."""
    kinds = [type(program.nodes[name]) for name in chain]
    for place, (name, kind) in enumerate(zip(chain, kinds)):
        fits = kind in (Lif, SigmaDelta) or (kind in (BiasedLif, Delta) and not place) or (kind is Sigma and place == len(chain) - 1)
        if not fits:
            raise UnsupportedError(f"{name}: netx has no {kind.__name__} neurons{', but at an end' * (kind in ENDS)}; {WAY_OUT}")
    if len({kind in (Lif, BiasedLif) for kind in kinds}) > 1:
        raise UnsupportedError(f"netx clears LIF neurons between samples and sigma-delta neurons never: this program has both; {WAY_OUT}")
    if fed.sends_numbers and kinds and kinds[0] not in (BiasedLif, Delta):
        raise UnsupportedError(
            f"{chain[0]}: numbers are fed to it, and a netx file cannot say so: netx takes input_message_bits as an argument; {WAY_OUT}"
        )


def _input_shape(program: Program, chain: list[str]) -> tuple[int, ...]:
    """Of the input, as its first layer sees it."""
    first = [c for c in program.into(chain[0]) if not c.is_recurrent] if chain else []
    if not chain:
        raise UnsupportedError(f"netx networks have a layer, this program has no neurons; {WAY_OUT}")
    (shape,) = (node.shape for node in program.inputs.values())
    if convs := _convolutions(first):
        return convs[0].input_shape
    return shape if len(shape) in (1, 3) else (int(np.prod(shape)),)


def _convolutions(feed: Sequence[Connection]) -> list[Conv2d]:
    """Its groups, where all are convolutions of one geometry, so that one kernel says them all; otherwise none."""
    convs = [conv for c in feed if (conv := c.synapse.convolution) is not None]
    return convs if len(convs) == len(feed) and len({conv.geometry for conv in convs}) == 1 else []


def _layer(program: Program, name: str, place: str, feed: list[Connection], back: list[Connection], before: tuple[int, ...]) -> NetLayer:
    node = program.neurons[name]
    convs = _convolutions(feed)
    if isinstance(node, (Delta, Sigma)):
        (neuron, bias), feed = sdnn_of(node, name, flat=not convs), begun_together(name, feed)
    else:
        assert isinstance(node, Lif), node  # by _check_kinds
        neuron, bias = neuron_of(node, name, flat=not convs)
    if convs:
        _check_conv(name, node, convs, feed, back, before)
        return replace(_conv(name, place, node, convs), neuron=neuron, bias=bias)
    weight, delay = _dense(name, feed)
    weight_rec = _dense(name, back)[0] if back else None
    if any(c.lag for c in back) or (back and delay is not None):
        raise UnsupportedError(f"{name}: netx files cannot say delays of a recurrent layer; {WAY_OUT}")
    kind = "dense_rec" if back else "dense"
    layer = WeightedLayer(place, kind, (len(weight),), neuron, weight=weight, weight_rec=weight_rec, bias=bias, delay=delay)
    _check_weights(name, layer)
    return layer


def _check_conv(
    name: str, node: Neuron, convs: list[Conv2d], feed: list[Connection], back: list[Connection], before: tuple[int, ...]
) -> None:
    if back:
        raise UnsupportedError(f"{name}: netx has no recurrent convolutions; {WAY_OUT}")
    if any(c.lag for c in feed):
        raise UnsupportedError(f"{name}: netx ignores the delays of a convolution; {WAY_OUT}")
    if tuple(before) != convs[0].input_shape or node.shape != convs[0].output_shape:
        raise UnsupportedError(f"{name}: netx cannot reshape between a population and a convolution; {WAY_OUT}")


def _conv(name: str, place: str, node: Neuron, convs: list[Conv2d]) -> WeightedLayer:
    conv, weight = convs[0], total_kernel(convs, name)
    if type(node) is Lif and np.abs(weight).sum((1, 2, 3)).max() >= STATE_LIMIT:
        raise UnsupportedError(f"{name}: sums of its weights may leave 24 bits, where Lava's convolution wraps; {WAY_OUT}")
    if max(*weight.shape[2:], *conv.stride, *conv.padding, *conv.dilation, conv.groups) > 127:
        raise UnsupportedError(f"{name}: Lava keeps the geometry of a convolution in 8 bits, and 127 is the most; {WAY_OUT}")
    layer = WeightedLayer(place, "conv", node.shape, weight=weight, groups=conv.groups)
    return replace(layer, stride=conv.stride, padding=conv.padding, dilation=conv.dilation)


def _dense(name: str, groups: Sequence[Connection]) -> tuple[Array, Array | None]:
    """One matrix for all groups, and the delay of each synapse; None where there is none."""
    size = groups[0].synapse.size
    if size[0] * size[1] > MOST_WEIGHTS:
        raise UnsupportedError(f"{name}: {size[0]} x {size[1]} weights; a netx file holds every one, zeros too; {WAY_OUT}")
    weight, delay, held = np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, bool)
    for lag in sorted({c.lag for c in groups}):
        part = total_matrix([c.synapse for c in groups if c.lag == lag], name)
        if (held & (part != 0)).any():
            raise UnsupportedError(f"{name}: two neurons are connected with two delays, for which a netx file has no room; {WAY_OUT}")
        held |= part != 0
        weight, delay = weight + part, np.where(part != 0, lag, delay)
    return weight, _shorter(delay, held) if delay.any() else None


def _shorter(delay: Array, held: np.ndarray) -> Array:
    """One delay per target neuron, as SLAYER writes it, where all its synapses share one."""
    most = delay.max(1, keepdims=True)
    return most[:, 0] if (~held | (delay == most)).all() else delay


def _check_weights(name: str, layer: WeightedLayer) -> None:
    """Refuse weights that netx would change."""
    parts = [layer.weight] if layer.weight_rec is None else [layer.weight, layer.weight_rec]
    both = np.hstack(parts)
    if not both.any():
        raise UnsupportedError(f"{name}: all its weights are 0, on which netx fails; {WAY_OUT}")
    columns = [slice(0, parts[0].shape[1]), slice(parts[0].shape[1], None)]
    for part, weights in zip(columns, parts):
        run = built(both, part)
        if (run.effective != weights).any() or run.bits > CHIP_BITS:
            kind = f"from {both.min()} to {both.max()}" + (", odd ones among them" if (both % 2).any() else "")
            raise UnsupportedError(f"{name}: netx would change weights {kind}; {WAY_OUT}, or one group per projection (max_groups=1)")
