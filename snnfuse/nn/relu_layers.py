"""A trained ReLU network as a chain of affine layers, read from its torch.fx graph: what sigma-delta neurons can take over."""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, fx, nn
from torch.nn import functional

from snnfuse.export.lowering.weights import ConvWeights, DenseWeights, SparseWeights, Weights, from_matrix
from snnfuse.hardware.errors import UnsupportedError

AT_ONCE = 256  # frames
RESHAPES = (nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout2d, nn.Identity)
RESHAPE_FUNCTIONS = (torch.flatten, torch.reshape, functional.dropout, "flatten", "view", "reshape", "contiguous")
CHAIN = "sigma-delta networks are made of a chain of Linear, Conv2d, AvgPool2d, BatchNorm and Flatten layers with ReLU between them"
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReluLayer:
    """y = f(W x + b).

    Attributes:
        name: of the torch module with its last weights, dots as underscores.
        shape: of y, without batch.
        weights: W.
        bias: b, float64 of the shape.
        rectified: whether f is max(x, 0), and not none.
        sum_peak, peak: the largest magnitudes of W x and of y on the calibration data.
    """

    name: str
    shape: tuple[int, ...]
    weights: Weights
    bias: Array
    rectified: bool
    sum_peak: float
    peak: float


class _Ranges(fx.Interpreter):
    """Runs a graph, and keeps of every node its shape, largest magnitude, and the same without each neuron's bias."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.low: dict[str, Tensor] = {}
        self.high: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        y = super().run_node(n)
        if n.op != "output" and isinstance(y, Tensor):  # sizes, that a view asks for, are none
            self.shapes[n.name] = tuple(y.shape[1:])
            low, high = y.amin(0).double(), y.amax(0).double()
            self.low[n.name] = torch.minimum(self.low.get(n.name, low), low)
            self.high[n.name] = torch.maximum(self.high.get(n.name, high), high)
        return y

    def peak(self, name: str, without: Array | float = 0.0) -> float:
        """Largest magnitude of a node's values, less a number for each of its neurons."""
        ends = (self.low[name].numpy() - without, self.high[name].numpy() - without)
        return float(max(np.abs(end).max(initial=0) for end in ends))


def read_layers(model: nn.Module, frames: Tensor) -> list[ReluLayer]:
    """The layers of a ReLU network in eval mode, in order.

    Args:
        model: with one input and one output.
        frames: float (n, *shape), calibration data.

    Raises:
        UnsupportedError: the model cannot be traced by torch.fx, is no chain, or holds another operation; names it.
    """
    try:
        graph = fx.symbolic_trace(model)
    except Exception as error:  # whatever a user's forward raises under proxies
        raise UnsupportedError(f"{type(model).__name__} cannot be traced by torch.fx: {error}; {CHAIN}") from error
    ranges = _Ranges(graph)
    with torch.no_grad():
        for first in range(0, len(frames), AT_ONCE):
            ranges.run(frames[first : first + AT_ONCE])
    found, maps, name = [], list[tuple[Weights, Array]](), ""
    steps = list(_chain(graph, ranges.shapes))
    for step, (node, module) in enumerate(steps):
        before = next(source.name for source in node.all_input_nodes if source.name in ranges.shapes)
        if _is_relu(node, module):
            if not maps:
                raise UnsupportedError(f"{node.name}: a ReLU without weights before it; {CHAIN}")
            found.append(_layer(name, maps, ranges, before, node.name))
            maps, name = [], ""
        elif affine := _affine(node, module, ranges.shapes[before], ranges.shapes[node.name]):
            maps.append(affine)
            name = str(node.target).replace(".", "_") if isinstance(module, (nn.Linear, nn.Conv2d)) else name or node.name
        if step == len(steps) - 1 and maps:
            found.append(_layer(name, maps, ranges, node.name, None))
    if not found:
        raise UnsupportedError(f"{type(model).__name__} holds no layer with weights; {CHAIN}")
    return found


def _chain(graph: fx.GraphModule, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[fx.Node, nn.Module | None]]:
    """Every operation on arrays with its module, each of which takes what the one before gives, and nothing else."""
    nodes = list(graph.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        raise UnsupportedError(f"{len(inputs)} inputs; {CHAIN}, with one input")
    before = inputs[0]
    for node in nodes:
        if node.op in ("placeholder", "output") or node.name not in shapes:
            continue
        taken = [source for source in node.all_input_nodes if source.name in shapes]
        if taken != [before]:
            raise UnsupportedError(f"{node.name}: takes {', '.join(map(str, taken)) or 'no input'}; {CHAIN}, without branches")
        yield node, graph.get_submodule(str(node.target)) if node.op == "call_module" else None
        before = node


def _is_relu(node: fx.Node, module: nn.Module | None) -> bool:
    return type(module) is nn.ReLU or node.target in (functional.relu, torch.relu, "relu")


def _affine(node: fx.Node, module: nn.Module | None, before: tuple[int, ...], after: tuple[int, ...]) -> tuple[Weights, Array] | None:
    """What an operation multiplies by and adds, (out, in) and `after`; None for one that only reshapes."""
    if isinstance(module, RESHAPES) or (module is None and node.target in RESHAPE_FUNCTIONS):
        return None
    read = next((read for kind, read in _READ.items() if type(module) is kind), None)
    if read is None:
        what = type(module).__name__ if module is not None else getattr(node.target, "__name__", str(node.target))
        extra = "; a maximum is no sum: use AvgPool2d, or a stride" if "max" in what.lower() else ""
        raise UnsupportedError(f"{node.name}: {what} cannot be kept{extra}; {CHAIN}")
    weights, bias = read(module, before)
    return weights, np.broadcast_to(bias.reshape(-1, *(1,) * (len(after) - 1)), after).astype(np.float64)


def _linear(module: nn.Linear, before: tuple[int, ...]) -> tuple[Weights, Array]:
    if len(before) != 1:
        raise UnsupportedError(f"Linear on inputs of shape {before}: flatten them first")
    weight = module.weight.detach().double().numpy()
    return DenseWeights(weight), _or_zeros(module.bias, len(weight))


def _conv(module: nn.Conv2d, before: tuple[int, ...]) -> tuple[Weights, Array]:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise UnsupportedError(f"Conv2d with padding={module.padding!r}, padding_mode={module.padding_mode!r}: give numbers, and zeros")
    weight = module.weight.detach().double().numpy()
    pairs = (tuple(int(n) for n in pair) for pair in (module.stride, module.padding, module.dilation))
    shape: Any = tuple(before)
    return ConvWeights(weight, shape, *pairs, module.groups), _or_zeros(module.bias, len(weight))  # type: ignore[arg-type]


def _pool(module: nn.AvgPool2d, before: tuple[int, ...]) -> tuple[Weights, Array]:
    size, stride, padding = (_pair(n) for n in (module.kernel_size, module.stride, module.padding))
    if module.ceil_mode or module.divisor_override or any(padding):
        raise UnsupportedError("AvgPool2d with padding, ceil_mode or divisor_override: pad before it, or leave them out")
    channels = before[0]
    shape: Any = tuple(before)
    return ConvWeights(np.full((channels, 1, *size), 1 / (size[0] * size[1])), shape, stride, groups=channels), np.zeros(channels)


def _pool_all(module: nn.AdaptiveAvgPool2d, before: tuple[int, ...]) -> tuple[Weights, Array]:
    if module.output_size not in (1, (1, 1)):
        raise UnsupportedError(f"AdaptiveAvgPool2d to {module.output_size}: to 1 it is a mean; use AvgPool2d for any other size")
    return _pool(nn.AvgPool2d((before[1], before[2])), before)


def _norm(module: nn.BatchNorm1d | nn.BatchNorm2d, before: tuple[int, ...]) -> tuple[Weights, Array]:
    if module.running_mean is None or module.running_var is None:
        raise UnsupportedError("BatchNorm without running statistics: its output depends on the batch; train with track_running_stats=True")
    mean, deviation = module.running_mean.double().numpy(), np.sqrt(module.running_var.double().numpy() + module.eps)
    gain = (1.0 if module.weight is None else module.weight.detach().double().numpy()) / deviation
    each = np.repeat(gain, int(np.prod(before[1:], dtype=np.int64)))
    return SparseWeights(sparse.csr_matrix(sparse.diags(each))), _or_zeros(module.bias, len(mean)) - gain * mean


_READ: dict[type, Callable[[Any, tuple[int, ...]], tuple[Weights, Array]]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.AvgPool2d: _pool,
    nn.AdaptiveAvgPool2d: _pool_all,
    nn.BatchNorm1d: _norm,
    nn.BatchNorm2d: _norm,
}


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _or_zeros(bias: Tensor | None, size: int) -> Array:
    return np.zeros(size) if bias is None else bias.detach().double().numpy()


def _layer(name: str, maps: list[tuple[Weights, Array]], ranges: _Ranges, summed: str, sent: str | None) -> ReluLayer:
    """All affine maps since the ReLU before as one; a batch normalisation behind a layer only scales its rows."""
    weights, bias = reduce(_then, maps)
    shape = ranges.shapes[summed]
    bias = bias.reshape(shape)
    return ReluLayer(name, shape, weights, bias, sent is not None, ranges.peak(summed, bias), ranges.peak(sent or summed))


def _then(first: tuple[Weights, Array], second: tuple[Weights, Array]) -> tuple[Weights, Array]:
    """The second map on what the first gives."""
    (before, offset), (after, bias) = first, second
    total = (after.matrix @ offset.reshape(-1)).reshape(bias.shape) + bias
    if isinstance(after, SparseWeights) and after.is_diagonal:
        return before.scaled(after.values), total
    return from_matrix(operator.matmul(after.matrix, before.matrix)), total
