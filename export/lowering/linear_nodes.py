"""NIR's linear nodes as weights, and rows of them composed into one.

Between two populations there is one synapse, so whatever linear nodes lie between (a pooling before a convolution, a flatten
before a linear layer) must become one matrix before anything is rounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import nir
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.export.lowering.network import Array
from snnfuse.export.lowering.product_patterns import Port
from snnfuse.export.lowering.shapes import Shape, same_neurons, spread
from snnfuse.export.lowering.weights import ConvWeights, DenseWeights, Weights, from_matrix
from snnfuse.export.ops_table import Row
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import DELAY_RANGE

PASSES_ON: dict[type[nir.NIRNode], str] = {
    nir.Affine: "synapses, and a bias of what they lead to",
    nir.Linear: "synapses",
    nir.Scale: "a factor in the synapses before or behind it",
    nir.Delay: "synapses that lag; each neuron may have its own",
    nir.Conv1d: "a convolution of height 1, and a bias",
    nir.Conv2d: "a convolution, and a bias; padding in numbers, valid or same",
    nir.AvgPool2d: "synapses of one weight; padding counts",
    nir.SumPool2d: "synapses of weight 1",
    nir.Flatten: "the order of neurons",
}
LINEAR_NODES = (*PASSES_ON, Port)
WHOLE = 1e-4  # how far a delay may lie from a multiple of dt, in steps; files hold seconds in float32


@dataclass(frozen=True, eq=False)
class Composite:
    """factor * weights, from a source to `shape`, `lag` steps later; weights None is the identity."""

    shape: Shape
    weights: Weights | None = None
    factor: float = 1.0
    lag: int = 0

    def resolved(self) -> Weights:
        """The weights with the factor in them."""
        size = int(np.prod(self.shape))
        if self.weights is None:
            return from_matrix(sparse.identity(size, format="csr") * self.factor)
        return self.weights.scaled(np.full(size, self.factor)) if self.factor != 1.0 else self.weights


def append(before: Composite, name: str, node: nir.NIRNode) -> Composite:
    """One more linear node, but a delay, at the end of a composite.

    Raises:
        InputError: the node does not fit what it is fed.
    """
    if isinstance(node, Port):
        _expect(name, same_neurons(node.shape, before.shape), before.shape, f"a factor of shape {node.shape}")
        return replace(before, shape=node.shape)
    if isinstance(node, nir.Flatten):
        return replace(before, shape=flattened(name, before.shape, node))
    if isinstance(node, nir.Scale):
        factors = spread(name, "a scale", node.scale, before.shape).ravel()
        if (factors == factors[0]).all():  # keeps a convolution's structure
            return replace(before, factor=before.factor * float(factors[0]))
    weights, shape = node_weights(name, node, before.shape)
    if before.weights is None:
        return replace(before, shape=shape, weights=weights)
    return replace(before, shape=shape, weights=from_matrix(weights.matrix @ before.weights.matrix))


def branches(before: Composite, name: str, node: nir.NIRNode, dt: float) -> list[Composite]:
    """`append`, of delays too: neurons that are delayed by different times part into one composite for each.

    Raises:
        InputError: the node does not fit what it is fed, or a delay is no multiple of dt.
        UnsupportedError: a delay is longer than a synapse's.
    """
    if not isinstance(node, nir.Delay):
        return [append(before, name, node)]
    steps = delay_steps(name, node, before.shape, dt)
    if (steps == steps[:1]).all():
        return [replace(before, lag=before.lag + int(steps[0]))]
    matrix = sparse.csr_matrix(before.resolved().matrix)
    parts = [(int(n), sparse.diags((steps == n).astype(float)) @ matrix) for n in np.unique(steps)]
    return [Composite(before.shape, from_matrix(part), 1.0, before.lag + n) for n, part in parts]


def delay_steps(name: str, node: nir.Delay, shape: Shape, dt: float) -> NDArray[np.int64]:
    """Whole steps of delay, flat, for each of what a node of this shape passes on."""
    exact = spread(name, "a delay", node.delay, shape).ravel() / dt
    steps = np.rint(exact)
    off = np.abs(exact - steps) > WHOLE * np.maximum(1, steps)
    if off.any() or (steps < 0).any():
        wrong = float(exact[off | (steps < 0)][0]) * dt
        raise InputError(f"node {name!r} delays by {wrong:g} s, which must be a multiple of the time step dt = {dt:g} s, or 0; change it")
    if (steps > DELAY_RANGE[1]).any():
        raise UnsupportedError(
            f"node {name!r} delays by {int(steps.max())} steps; a synapse delays by {DELAY_RANGE[1]} at most: shorten it, or enlarge dt"
        )
    return steps.astype(np.int64)


def node_weights(name: str, node: nir.NIRNode, shape: Shape) -> tuple[Weights, Shape]:
    """A linear node's weights for an input of `shape`, and its output shape."""
    if isinstance(node, (nir.Affine, nir.Linear)):
        return _linear(name, node, shape)
    if isinstance(node, nir.Scale):
        return from_matrix(sparse.diags(spread(name, "a scale", node.scale, shape).ravel(), format="csr")), shape
    if isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
        return _pool(name, node, shape)
    return _convolution(name, node, shape)


def _linear(name: str, node: nir.Affine | nir.Linear, shape: Shape) -> tuple[DenseWeights, Shape]:
    weight = np.asarray(node.weight, np.float64)
    _expect(name, weight.ndim == 2 and weight.shape[-1] == np.prod(shape), shape, f"weights of shape {weight.shape}")
    return DenseWeights(weight), (weight.shape[0],)


def _convolution(name: str, node: nir.Conv1d | nir.Conv2d, shape: Shape) -> tuple[ConvWeights, Shape]:
    kernel = np.asarray(node.weight, np.float64)
    axes = 1 if isinstance(node, nir.Conv1d) else 2
    _expect(name, len(shape) == axes + 1 and kernel.shape[1] * node.groups == shape[0], shape, f"a kernel of shape {kernel.shape}")
    if node.input_shape is not None:
        declared = tuple(int(n) for n in np.ravel(node.input_shape))
        _expect(name, declared == tuple(shape[1:]), shape, f"a convolution declared for {declared}")
    stride, dilation = (per_axis(value, axes) for value in (node.stride, node.dilation))
    padding = as_padding(name, node.padding, kernel.shape[2:], stride, dilation)
    if axes == 1:  # a row of height 1
        kernel, stride, dilation, padding = kernel[:, :, None, :], (1, *stride), (1, *dilation), (0, *padding)
        shape = (shape[0], 1, shape[1])
    weights = ConvWeights(kernel, tuple(int(n) for n in shape), stride, padding, dilation, int(node.groups))
    return weights, _drop_height(_output_shape(name, weights), axes)


def _pool(name: str, node: nir.AvgPool2d | nir.SumPool2d, shape: Shape) -> tuple[ConvWeights, Shape]:
    _expect(name, len(shape) == 3, shape, "a pooling over two axes")
    size = per_axis(node.kernel_size, 2)
    value = 1.0 / np.prod(size) if isinstance(node, nir.AvgPool2d) else 1.0  # torch's count_include_pad=True
    kernel = np.full((shape[0], 1, *size), value)
    weights = ConvWeights(kernel, shape, per_axis(node.stride, 2), per_axis(node.padding, 2), (1, 1), groups=shape[0])
    return weights, _output_shape(name, weights)


def _output_shape(name: str, conv: ConvWeights) -> Shape:
    window = f"a window of {conv.kernel.shape[2:]}, stride {conv.stride}, dilation {conv.dilation}, padding {conv.padding},"
    _expect(name, min((*conv.stride, *conv.dilation)) > 0 and min(conv.output_shape) > 0, conv.input_shape, window)
    return conv.output_shape


def _drop_height(shape: Shape, axes: int) -> Shape:
    return (shape[0], shape[2]) if axes == 1 else shape


def per_axis(value: object, axes: int) -> tuple[int, ...]:
    """A number for all axes, or one for each, as a tuple."""
    return tuple(int(n) for n in np.broadcast_to(np.asarray(value), (axes,)))


def as_padding(name: str, padding: object, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """A convolution's padding per axis, in numbers."""
    if isinstance(padding, bytes):
        padding = padding.decode()
    if not isinstance(padding, str):
        return per_axis(padding, len(kernel))
    if padding == "valid":
        return (0,) * len(kernel)
    total = [d * (k - 1) for d, k in zip(dilation, kernel)]
    if padding != "same" or any(n % 2 for n in total) or any(s != 1 for s in stride):
        raise UnsupportedError(f"{name!r}: padding {padding!r} is uneven for a kernel of {tuple(kernel)}; write the padding as numbers")
    return tuple(n // 2 for n in total)


def flattened(name: str, shape: Shape, node: nir.Flatten) -> Shape:
    """A shape after nir.Flatten, whose axes do not count the batch."""
    ends = int(node.start_dim), int(node.end_dim)
    _expect(name, all(-len(shape) <= n < len(shape) for n in ends), shape, f"a flatten of axes {ends[0]} to {ends[1]}")
    start, end = int(node.start_dim) % max(len(shape), 1), int(node.end_dim) % max(len(shape), 1)
    return (*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :])


def bias_of(name: str, node: nir.NIRNode, shape: Shape) -> Array | None:
    """What a linear node with output `shape` adds, broadcast to it; None where it adds nothing."""
    bias = getattr(node, "bias", None)
    if bias is None:
        return None
    bias = np.asarray(bias, np.float64)
    if bias.size not in (1, shape[0]):
        raise InputError(f"node {name!r}: a bias of shape {bias.shape} does not fit an output of shape {shape}")
    return np.broadcast_to(bias.reshape(-1, *(1,) * (len(shape) - 1)), shape)


def _expect(name: str, fits: bool, shape: Shape, what: str) -> None:
    if not fits:
        raise InputError(f"node {name!r}: {what} cannot take an input of shape {shape}")


def ops_rows() -> tuple[Row, ...]:
    """What becomes of every node without a state, and of the graph's own."""
    rows = [Row("NIR node", node.__name__, "", "exact", how) for node, how in PASSES_ON.items()]
    longest = f"a synapse delays by {DELAY_RANGE[1]} steps at most"
    rows += [
        Row("NIR node", "Linear, Conv2d, ...", "several in a row", "exact", "composed into one, before anything is rounded"),
        Row("NIR node", "Delay", "no multiple of dt", "refused", "time goes in steps", "change it, or give the graph's own dt (--dt)"),
        Row("NIR node", "Delay", f"over {DELAY_RANGE[1]} steps", "refused", longest, "shorten it, or enlarge dt"),
        Row("NIR node", "Delay", "of a bias", "refused", "the bias would begin only then", "move the bias behind the delay"),
        Row("NIR node", "Conv1d, Conv2d", "groups over 1", "exact", "a grouped convolution, which nir 1.0.8 itself cannot check"),
        Row("NIR node", "Conv1d, Conv2d", "padding same that is uneven", "refused", "readers differ in the side", "write it in numbers"),
        Row("NIR node", "Input", "", "exact", "an input: binary spikes, or graded ones for analog values"),
        Row("NIR node", "Output", "of one population", "exact", "its spikes are counted, or the membrane is read that never fires"),
        Row("NIR node", "Output", "of anything else", "exact", "a membrane that forgets from step to step and holds the sum"),
        Row("NIR node", "Output", "of an Input", "refused", "no neuron lies between", "put a neuron or a linear map in between"),
        Row("NIR node", "NIRGraph", "within a graph", "exact", "its nodes written out, as subgraph.node"),
        Row("NIR node", "NIRGraph", "with several inputs or outputs", "refused", "an edge could mean any", "give it one, or write it out"),
        Row("NIR node", "a loop", "of one population", "exact", "a recurrent synapse: one step, and its delays"),
        Row("NIR node", "a loop", "of several populations", "approximate", "every connection in it takes one step; NIR leaves it open"),
        Row("NIR node", "a loop", "of several, that reset differently", "refused", "they become one population", "one rule (--reset)"),
        Row("NIR node", "a loop", "without a neuron", "refused", "nothing in it takes a step", "put a neuron in it"),
    ]
    return tuple(rows)
