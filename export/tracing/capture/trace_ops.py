"""The tensor operations that a forward may use between its modules, and why the others are refused.

Each accepted operation has a function that evaluates it out of place, so that tracing never writes to a tensor of the user's, and
a family, which says what becomes of it. The rows of the table of decisions are made of the same entries.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import fx, nn

from snnfuse.export.ops_table import Row
from snnfuse.export.tracing.capture import functional_layers as layers
from snnfuse.export.tracing.nodes.refusal import USABLE, refusal
from snnfuse.hardware.errors import UnsupportedError

Family = Literal["sum", "product", "same", "move", "map", "layer", "last"]
GROUP = "operation"
ADDED = "edges that meet in one node add; a constant becomes a bias"
SCALED = "a factor in the weights before or after it, or nir.Scale"
PLACED = "the next or the last weights in another order, or nir.Conv or nir.Linear"
WRITTEN = "the next weights times its matrix, or nir.Conv or nir.Linear"
NOTHING = "nothing: the same numbers in evaluation"


@dataclass(frozen=True)
class Op:
    """An operation that is kept.

    Attributes:
        names: of functions, operators and methods, without underscores around them.
        family: "sum" and "product" with constants, "same" numbers, "move" of numbers, "map" that is linear, "layer" of torch, "last" of
            what a loop returns for all its steps, and refused anywhere else.
        run: evaluates it out of place.
        how: what it becomes.
        case: which calls this holds for.
        sized: whether its arguments may state the number of samples, so that it works for that number only.
        layer: from its arguments the module that computes the same.
    """

    names: tuple[str, ...]
    family: Family
    run: Callable[..., Any]
    how: str
    case: str = ""
    sized: bool = False
    layer: Callable[..., nn.Module] | None = None


def _same(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    return x


def _mean(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    return torch.mean(x, *args, **kwargs)


WITHIN = "over axes of a sample, not of the batch"
CONSTANTS = "with constant weights"
OPERATIONS: tuple[Op, ...] = (
    Op(("add",), "sum", torch.add, ADDED),
    Op(("sub", "subtract"), "sum", torch.sub, ADDED),
    Op(("rsub",), "sum", torch.rsub, ADDED),
    Op(("neg", "negative"), "product", operator.neg, SCALED),
    Op(("mul", "multiply"), "product", torch.mul, SCALED, "by a constant: a number, per channel or per neuron"),
    Op(("truediv", "div", "divide", "true_divide"), "product", torch.div, SCALED, "by a constant"),
    Op(("detach", "clone", "contiguous", "float", "double", "requires_grad", "pos", "positive", "cpu"), "same", _same, NOTHING),
    Op(("to", "type_as"), "same", lambda x, *a, **k: x.to(*a, **k), NOTHING, "to float32 or float64"),
    Op(("dropout", "dropout1d", "dropout2d", "alpha_dropout", "feature_dropout"), "same", _same, NOTHING, "training=False"),
    Op(("flatten",), "move", torch.flatten, "nir.Flatten, or the next weights as they are", WITHIN),
    Op(("reshape", "view"), "move", lambda x, *s: x.reshape(*s), "nir.Flatten, or the next weights as they are", WITHIN, True),
    Op(("unflatten",), "move", lambda x, *a, **k: x.unflatten(*a, **k), PLACED, WITHIN),
    Op(("squeeze",), "move", torch.squeeze, PLACED, WITHIN),
    Op(("unsqueeze",), "move", torch.unsqueeze, PLACED, WITHIN),
    Op(("permute",), "move", lambda x, *a, **k: x.permute(*a, **k), PLACED, WITHIN),
    Op(("transpose", "swapaxes", "swapdims"), "move", torch.transpose, PLACED, WITHIN),
    Op(("movedim", "moveaxis"), "move", torch.movedim, PLACED, WITHIN),
    Op(("getitem",), "move", operator.getitem, PLACED, WITHIN + "; x[t] of an input over time"),
    Op(("select",), "move", torch.select, PLACED, WITHIN),
    Op(("narrow",), "move", torch.narrow, PLACED, WITHIN),
    Op(("index_select",), "move", torch.index_select, PLACED, WITHIN),
    Op(("piece",), "move", lambda name, i, *a, **k: PIECES[name](*a, **k)[i], PLACED, WITHIN),
    Op(("flip",), "move", lambda x, *a, **k: x.flip(*a, **k), PLACED, WITHIN),
    Op(("roll",), "move", torch.roll, PLACED, WITHIN),
    Op(("rot90",), "move", torch.rot90, PLACED, WITHIN),
    Op(("cat", "concat", "concatenate"), "move", torch.cat, "the sum of one map per part", WITHIN),
    Op(("stack",), "move", torch.stack, "the sum of one map per part", WITHIN + "; of a loop's steps"),
    Op(("expand",), "move", lambda x, *s: x.expand(*s), PLACED, WITHIN, True),
    Op(("repeat",), "move", lambda x, *s: x.repeat(*s), PLACED, WITHIN, True),
    Op(("tile",), "move", lambda x, *s: x.tile(*s), PLACED, WITHIN, True),
    Op(("repeat_interleave",), "move", torch.repeat_interleave, PLACED, WITHIN),
    Op(("pad",), "move", F.pad, PLACED, "constant, reflect, replicate and circular"),
    Op(("pixel_shuffle",), "move", F.pixel_shuffle, PLACED),
    Op(("pixel_unshuffle",), "move", F.pixel_unshuffle, PLACED),
    Op(("channel_shuffle",), "move", F.channel_shuffle, PLACED),
    Op(("unfold",), "move", F.unfold, PLACED, "torch.nn.functional.unfold"),
    Op(("sum",), "map", torch.sum, WRITTEN, WITHIN),
    Op(("mean",), "map", _mean, WRITTEN, WITHIN),
    Op(("cumsum",), "map", torch.cumsum, WRITTEN, WITHIN),
    Op(("matmul", "bmm"), "map", torch.matmul, WRITTEN, CONSTANTS),
    Op(("einsum",), "map", torch.einsum, WRITTEN, CONSTANTS),
    Op(("fold",), "map", F.fold, WRITTEN),
    Op(("interpolate",), "map", F.interpolate, WRITTEN),
    Op(("adaptive_avg_pool1d",), "map", F.adaptive_avg_pool1d, WRITTEN),
    Op(("adaptive_avg_pool2d",), "map", F.adaptive_avg_pool2d, WRITTEN),
    Op(("avg_pool1d",), "map", F.avg_pool1d, WRITTEN),
    Op(("conv_transpose1d",), "map", F.conv_transpose1d, WRITTEN, CONSTANTS),
    Op(("conv_transpose2d",), "map", F.conv_transpose2d, WRITTEN, CONSTANTS),
    Op(("linear",), "layer", F.linear, "as torch.nn.Linear", CONSTANTS, layer=layers.linear),
    Op(("conv1d",), "layer", F.conv1d, "as torch.nn.Conv1d", CONSTANTS, layer=layers.conv1d),
    Op(("conv2d",), "layer", F.conv2d, "as torch.nn.Conv2d", CONSTANTS, layer=layers.conv2d),
    Op(("avg_pool2d",), "layer", F.avg_pool2d, "as torch.nn.AvgPool2d", layer=layers.avg_pool2d),
    Op(("max_pool1d",), "layer", F.max_pool1d, "as torch.nn.MaxPool1d", layer=layers.max_pool1d),
    Op(("max_pool2d",), "layer", F.max_pool2d, "as torch.nn.MaxPool2d", layer=layers.max_pool2d),
    Op(("max_pool3d",), "layer", F.max_pool3d, "as torch.nn.MaxPool3d", layer=layers.max_pool3d),
    Op(("adaptive_max_pool1d",), "layer", F.adaptive_max_pool1d, "as torch.nn.AdaptiveMaxPool1d", layer=layers.adaptive_max_pool1d),
    Op(("adaptive_max_pool2d",), "layer", F.adaptive_max_pool2d, "as torch.nn.AdaptiveMaxPool2d", layer=layers.adaptive_max_pool2d),
    Op(("adaptive_max_pool3d",), "layer", F.adaptive_max_pool3d, "as torch.nn.AdaptiveMaxPool3d", layer=layers.adaptive_max_pool3d),
)  # fmt: skip
LEFT_OUT = "left out, with an entry in the ledger: it keeps which class is the largest"
OVER_TIME = "over time, of a membrane, where forward returns it"
RETURNED = "the last function of what a loop over time returns as a sum, a mean, or its last or largest value"
OPERATIONS += (
    Op(("softmax", "log_softmax"), "last", lambda x, *a, **k: x, LEFT_OUT, RETURNED),
    Op(("sigmoid",), "last", torch.sigmoid, LEFT_OUT, RETURNED),
    Op(("amax",), "last", torch.amax, "the decoder membrane_max; likewise max over an axis", OVER_TIME),
    Op(("argmax",), "last", torch.argmax, "the class that a decoder gives", RETURNED),
)
BY_NAME: dict[str, Op] = {name: op for op in OPERATIONS for name in op.names}
SAME = {name for name, op in BY_NAME.items() if op.family == "same"}  # detach, as in truncated backpropagation, and the like
PRECISE = (torch.float32, torch.float64)
PIECES = {"chunk": torch.chunk, "split": torch.split, "tensor_split": torch.tensor_split, "unbind": torch.unbind}
LIKE = {  # constants of the shape of a tensor
    "zeros_like": torch.zeros_like, "ones_like": torch.ones_like, "full_like": torch.full_like,
    "new_zeros": torch.Tensor.new_zeros, "new_ones": torch.Tensor.new_ones, "new_full": torch.Tensor.new_full,
}  # fmt: skip
IN_PLACE = {"iadd": "add", "imul": "mul", "isub": "sub", "itruediv": "truediv", "add_": "add", "mul_": "mul", "sub_": "sub", "div_": "div"}

TIME_ADVICE = "return the stacked spikes and let program.decode count them"
SPIKE_ADVICE = "use a spiking neuron (snntorch.Leaky) as the non-linearity"
DECIDE_ADVICE = "let neurons decide: compare with a neuron's threshold"
RAW_ADVICE = "leave it out: decoding compares the outputs as they are"
PRODUCT_ADVICE = "multiply by a constant, or counts with counts by *, @ or torch.einsum"
DATA = "it makes the computation depend on the data"
CURVED = "it is not linear, and NIR's only non-linearity is the neuron"
REFUSED: tuple[tuple[tuple[str, ...], str, str], ...] = (  # names, reason, way out
    (
        ("relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "softplus", "hardtanh", "relu6", "selu", "celu", "mish"),
        CURVED,
        SPIKE_ADVICE,
    ),
    (("abs", "sqrt", "square", "exp", "log", "sin", "cos", "pow", "sign", "clamp", "clip", "round", "floor", "ceil"), CURVED, SPIKE_ADVICE),
    (("maximum", "minimum", "heaviside", "logsumexp", "erf", "atan"), CURVED, SPIKE_ADVICE),
    (("rand_like", "randn_like", "bernoulli"), "it is random, and differs from step to step", "add noise to the inputs, outside forward"),
    (("softmax", "log_softmax"), "it divides by a sum over neurons, which differs from step to step", RAW_ADVICE),
    (
        ("layer_norm", "group_norm", "instance_norm", "normalize", "rms_norm", "norm", "std", "var"),
        "it measures each sample's own statistics, which differ from step to step",
        "use torch.nn.BatchNorm, which folds into its neighbours, or a constant factor",
    ),
    (("batch_norm",), "it is called as a function, whose statistics may still change", "use a torch.nn.BatchNorm1d or 2d module"),
    (("amax", "max", "argmax", "amin", "min", "argmin", "median", "topk", "sort", "cummax", "prod", "any", "all"), DATA, DECIDE_ADVICE),
    (("eq", "ne", "gt", "lt", "ge", "le", "where", "masked_fill", "logical_and", "logical_or", "logical_not"), DATA, DECIDE_ADVICE),
    (("item", "tolist", "nonzero", "gather", "scatter"), DATA, DECIDE_ADVICE),
    (
        (
            *("max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices"),
            *("adaptive_max_pool1d_with_indices", "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d_with_indices"),
        ),
        "it also returns where each maximum lies",
        "use max_pool1d to 3d or adaptive_max_pool1d to 3d of torch.nn.functional, without return_indices",
    ),
    (("embedding",), "it looks rows up by the input's numbers", "present one-hot inputs to a torch.nn.Linear"),
    (("bilinear", "scaled_dot_product_attention", "dot"), "it multiplies two values that depend on the input", PRODUCT_ADVICE),
    (
        ("setitem", "copy", "fill", "zero", "index_fill", "index_copy", "index_put", "masked_scatter"),
        "it writes to a part or all of a tensor",
        "build the tensor with torch.cat, or the steps of a loop with torch.stack",
    ),
    (("half", "bfloat16"), "it rounds to 16 bits", "keep float32 or float64"),
    (("lerp", "addmm", "addcmul"), "it is several operations in one", "write it with +, * and @"),
)
REASONS = {name: (reason, way_out) for names, reason, way_out in REFUSED for name in names}


def op_name(target: Any) -> str:
    """A readable name of an fx target: a function or the name of a tensor method."""
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


def in_place(target: Any) -> bool:
    """Whether it changes its first argument."""
    return op_name(target) in IN_PLACE


def accepted(target: Any, where: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The operation's name in `BY_NAME` or `PIECES`.

    Raises:
        UnsupportedError: the operation, or an argument that changes its meaning, cannot be expressed.
    """
    if target is getattr:
        raise refusal(where, f"it reads a tensor's .{args[1]}", USABLE)
    if kwargs.get("out") is not None:
        raise refusal(where, f"{op_name(target)} writes its result to another tensor", "leave out= away, and use what it returns")
    name = IN_PLACE.get(op_name(target), op_name(target).strip("_"))
    name = {"radd": "add", "rmul": "mul", "concat": "cat", "concatenate": "cat", "detach_": "detach"}.get(name, name)
    if name not in BY_NAME and name not in PIECES:
        raise _unknown(name, where)
    if "dropout" in name and kwargs.get("training", args[2] if len(args) > 2 else True):
        raise refusal(where, "dropout that stays active in evaluation is random", "pass training=self.training, or use torch.nn.Dropout")
    return name


def over_batch(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a recorded sum, mean or cumsum goes over the first axis."""
    value = (args[0] if args else kwargs["input"]).meta["value"]
    dims = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
    given = dims if isinstance(dims, list | tuple) else (dims,)
    return dims is None or any(d % value.ndim == 0 for d in given)


def _unknown(name: str, where: str) -> UnsupportedError:
    reason, way_out = REASONS.get(name, ("it has no NIR form", USABLE))
    return refusal(where, f"{name}: {reason}", way_out)


def not_last(node: fx.Node) -> UnsupportedError:
    """Why an operation that may only come last is refused where it does not."""
    return _unknown(node.meta["op"], node.meta["where"].partition(":")[0])


def ops_rows() -> tuple[Row, ...]:
    """What becomes of every operation between modules."""
    kept = [Row(GROUP, ", ".join(PIECES if op.names == ("piece",) else op.names), op.case, "exact", op.how) for op in OPERATIONS if op.how]
    kept.append(Row(GROUP, ", ".join(LIKE), "", "exact", "a constant of that shape"))
    refused = [Row(GROUP, ", ".join(names), "", "refused", reason, way_out) for names, reason, way_out in REFUSED]
    thresholds = "a nir.Threshold for each level of the product; product neurons on the chip"
    counts = Row(GROUP, "mul, matmul, bmm, einsum", "of two counts: spikes, their sums, sums over time", "exact", thresholds)
    products = Row(
        GROUP, "mul, truediv, matmul, bmm, einsum", "of any other two values that depend on the input", "refused",
        "thresholds can multiply non-negative integers of a known bound only", PRODUCT_ADVICE,
    )  # fmt: skip
    summed = Row(
        GROUP, "a module with accumulates()", "of counts; snnfuse.networks.Accumulator", "exact", "nir.I with r = 1 / dt, a graded relay"
    )
    batch = Row(GROUP, "sum, mean, cumsum", "over the batch or time", "refused", "it mixes samples or steps", TIME_ADVICE)
    other = Row(GROUP, "any other operation", "", "refused", "it has no NIR form", USABLE)
    return (*kept, counts, summed, *refused, products, batch, other)
