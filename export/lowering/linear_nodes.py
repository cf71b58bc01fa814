"""NIR's linear nodes as linear maps.

Between two populations there is one synapse, so whatever linear nodes lie between (a pooling before a convolution, a flatten
before a linear layer) is folded before anything is rounded: see `linear_regions`.
"""

import math
from collections.abc import Sequence

import nir
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.export.lowering.linear_map import LinearMap
from snnfuse.export.lowering.maximum_patterns import Place
from snnfuse.export.lowering.maximum_places import place
from snnfuse.export.lowering.product_patterns import Port
from snnfuse.export.lowering.registry import GROUP, LinearLowering
from snnfuse.export.lowering.shapes import Shape, same_neurons, spread
from snnfuse.export.lowering.weights import ConvWeights, from_layer, from_matrix
from snnfuse.export.ops_table import Row
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.fixed_point import DELAY_RANGE
from snnfuse.hardware.limits import check_limit

WHOLE = 1e-4  # how far a delay may lie from a multiple of dt, in steps; files hold seconds in float32
Maps = tuple[LinearMap, ...]


def _port(name: str, node: Port, shape: Shape, dt: float) -> Maps:
    _expect(name, same_neurons(node.shape, shape), shape, f"a factor of shape {node.shape}")
    return (LinearMap(node.shape),)


def _flatten(name: str, node: nir.Flatten, shape: Shape, dt: float) -> Maps:
    return (LinearMap(flattened(name, shape, node)),)


def _scale(name: str, node: nir.Scale, shape: Shape, dt: float) -> Maps:
    factors = spread(name, "a scale", node.scale, shape).ravel()
    if (factors == factors[0]).all():  # keeps a convolution's structure
        return (LinearMap(shape, factor=float(factors[0])),)
    return (LinearMap(shape, from_matrix(sparse.diags(factors, format="csr"))),)


def _delay(name: str, node: nir.Delay, shape: Shape, dt: float) -> Maps:
    """Neurons that are delayed by different times part into one map for each."""
    steps = delay_steps(name, node, shape, dt)
    if (steps == steps[:1]).all():
        return (LinearMap(shape, lag=int(steps[0])),)
    chosen = ((int(n), sparse.diags((steps == n).astype(float), format="csr")) for n in np.unique(steps))
    return tuple(LinearMap(shape, from_matrix(of_steps), lag=n, selects=True) for n, of_steps in chosen)


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


def _linear(name: str, node: nir.Affine | nir.Linear, shape: Shape, dt: float) -> Maps:
    weight = np.asarray(node.weight, np.float64)
    _expect(name, weight.ndim == 2 and weight.shape[-1] == np.prod(shape), shape, f"weights of shape {weight.shape}")
    return (LinearMap((weight.shape[0],), from_layer(weight)),)


def _convolution(name: str, node: nir.Conv1d | nir.Conv2d, shape: Shape, dt: float) -> Maps:
    kernel = np.asarray(node.weight, np.float64)
    axes = 1 if isinstance(node, nir.Conv1d) else 2
    _expect(name, len(shape) == axes + 1 and kernel.shape[1] * node.groups == shape[0], shape, f"a kernel of shape {kernel.shape}")
    if node.input_shape is not None:
        declared = tuple(int(n) for n in np.ravel(node.input_shape))
        _expect(name, declared == tuple(shape[1:]), shape, f"a convolution declared for {declared}")
    stride, dilation = (per_axis(value, axes) for value in (node.stride, node.dilation))
    padding = as_padding(name, node.padding, kernel.shape[2:], stride, dilation)
    kernel = kernel[:, :, None, :] if axes == 1 else kernel
    height, width = _two(1, shape[1:])
    weights = ConvWeights(
        kernel, (int(shape[0]), int(height), int(width)), _two(1, stride), _two(0, padding), _two(1, dilation), int(node.groups)
    )
    out = _output_shape(name, weights)
    return (LinearMap(out if axes == 2 else (out[0], out[2]), weights),)


def _pool(name: str, node: nir.AvgPool2d | nir.SumPool2d, shape: Shape, dt: float) -> Maps:
    _expect(name, len(shape) == 3, shape, "a pooling over two axes")
    channels, height, width = shape
    size, stride, padding = (_two(1, per_axis(value, 2)) for value in (node.kernel_size, node.stride, node.padding))
    _check_window(name, (height, width), size, padding)
    check_limit("array-bytes", 8 * channels * math.prod(size), f"node {name!r}: its kernel")
    value = 1.0 / np.prod(size) if isinstance(node, nir.AvgPool2d) else 1.0  # torch's count_include_pad=True
    kernel = np.full((channels, 1, *size), value)
    weights = ConvWeights(kernel, (channels, height, width), stride, padding, groups=channels)
    return (LinearMap(_output_shape(name, weights), weights),)


def _place(name: str, node: Place, shape: Shape, dt: float) -> Maps:
    """One place of a pool's windows."""
    (windows,) = LOWERINGS[type(node.pool)].maps(node.of, node.pool, shape, dt)
    return (LinearMap(windows.shape, place(node.of, windows.resolved(), node.port)),)


def _output_shape(name: str, conv: ConvWeights) -> Shape:
    window = f"a window of {conv.kernel.shape[2:]}, stride {conv.stride}, dilation {conv.dilation}, padding {conv.padding},"
    _expect(name, min((*conv.stride, *conv.dilation)) > 0 and min(conv.output_shape) > 0, conv.input_shape, window)
    check_limit("padding", max(conv.padding), f"node {name!r}")
    check_limit("neurons", math.prod(conv.output_shape), f"node {name!r}")
    return conv.output_shape


def _check_window(name: str, shape: Shape, size: Sequence[int], padding: Sequence[int]) -> None:
    """Before a kernel of that size is made."""
    check_limit("padding", max(padding), f"node {name!r}")
    fits = all(0 < taps <= length + 2 * zeros for taps, length, zeros in zip(size, shape, padding))
    _expect(name, fits and min(padding) >= 0, shape, f"a window of {tuple(size)}, padding {tuple(padding)},")


def _two(first: int, values: Sequence[int]) -> tuple[int, int]:
    """Two numbers, for height and width; of one axis, which is a row of height 1, `first` and the number."""
    height, width = (first, *values)[-2:]
    return height, width


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


def _expect(name: str, fits: bool, shape: Shape, what: str) -> None:
    if not fits:
        raise InputError(f"node {name!r}: {what} cannot take an input of shape {shape}")


_LONGEST = f"a synapse delays by {DELAY_RANGE[1]} steps at most"
_DELAY_ROWS = (
    Row(GROUP, "Delay", "no multiple of dt", "refused", "time goes in steps", "change it, or give the graph's own dt"),
    Row(GROUP, "Delay", f"over {DELAY_RANGE[1]} steps", "refused", _LONGEST, "shorten it, or enlarge dt"),
    Row(GROUP, "Delay", "of a bias", "refused", "the bias would begin only then", "move the bias behind the delay"),
)
_SHARED_ROWS = (
    Row(GROUP, "Linear, Conv2d, ...", "several in a row", "exact", "composed into one, before anything is rounded"),
    Row(GROUP, "Linear, Conv2d, ...", "side by side, with more of them behind", "exact", "added into one, where structure and delay agree"),
    Row(GROUP, "Conv1d, Conv2d", "groups over 1", "exact", "a grouped convolution, which nir 1.0.8 itself cannot check"),
    Row(
        GROUP,
        "AvgPool2d, Conv2d, Linear, ...",
        "noted as a maximum in its metadata",
        "exact",
        "a maximum neuron with a port per place of the window",
    ),
    Row(GROUP, "Conv1d, Conv2d", "padding same that is uneven", "refused", "readers differ in the side", "write it in numbers"),
)
_POOL = ("kernel_size", "stride", "padding")
_KERNEL = ("weight", "bias", "stride", "padding", "dilation", "groups", "input_shape")
_CONVOLUTION = {"numbers": _KERNEL, "optional": ("bias", "input_shape")}
_PADDED = "a convolution, and a bias; padding in numbers, valid or same"
_LAGS = "synapses that lag; each neuron may have its own"
_BIASED = "synapses, and a bias of what they lead to"

LOWERINGS: dict[type[nir.NIRNode], LinearLowering] = {
    nir.Affine: LinearLowering(_BIASED, maps=_linear, numbers=("weight", "bias"), optional=("bias",)),
    nir.Linear: LinearLowering("synapses", maps=_linear, numbers=("weight",)),
    nir.Scale: LinearLowering("a factor in the synapses before or behind it", maps=_scale, numbers=("scale",)),
    nir.Delay: LinearLowering(_LAGS, _DELAY_ROWS, maps=_delay, numbers=("delay",), shifts_time=True),
    nir.Conv1d: LinearLowering("a convolution of height 1, and a bias", maps=_convolution, **_CONVOLUTION),
    nir.Conv2d: LinearLowering(_PADDED, maps=_convolution, **_CONVOLUTION),
    nir.AvgPool2d: LinearLowering("synapses of one weight; padding counts", maps=_pool, numbers=_POOL),
    nir.SumPool2d: LinearLowering("synapses of weight 1", maps=_pool, numbers=_POOL),
    nir.Flatten: LinearLowering("the order of neurons", _SHARED_ROWS, maps=_flatten, numbers=("start_dim", "end_dim")),
    Port: LinearLowering(maps=_port),
    Place: LinearLowering(maps=_place),
}
