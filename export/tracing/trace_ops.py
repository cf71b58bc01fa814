"""The tensor operations that a forward may use between its modules, and why the others are refused.

Each accepted operation has a name and a function that evaluates it out of place on example values, so that tracing
never writes to a tensor of the user's. What it means in NIR is decided later.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from snnfuse.export.tracing.refusal import USABLE, refusal
from snnfuse.hardware.errors import UnsupportedError

Evaluate = Callable[..., torch.Tensor]


def _identity(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    return x


NAMES: dict[Any, str] = {
    operator.add: "add", operator.iadd: "iadd", torch.add: "add", "add": "add", "add_": "iadd",
    "__add__": "add", "__radd__": "add",
    operator.getitem: "getitem",
    torch.flatten: "flatten", "flatten": "flatten", torch.reshape: "reshape", "reshape": "reshape", "view": "reshape",
    torch.cat: "cat", torch.concat: "cat", torch.concatenate: "cat", torch.stack: "stack",
    "detach": "same", "detach_": "same", "clone": "same", "contiguous": "same", torch.clone: "same", torch.detach: "same",
    "float": "same", "double": "same", "to": "cast", F.dropout: "dropout",
}  # fmt: skip
EVALUATE: dict[str, Evaluate] = {
    "add": torch.add, "iadd": torch.add, "getitem": operator.getitem, "flatten": torch.flatten,
    "reshape": lambda x, *shape: x.reshape(*shape), "cat": torch.cat, "stack": torch.stack,
    "same": _identity, "cast": lambda x, *a, **k: x.to(*a, **k), "dropout": _identity,
}  # fmt: skip
TIME_SUMS = {"sum", "mean", "amax", "max", "argmax", "cumsum", "median"}
TIME_ADVICE = "return the stacked spikes and let program.decode count them"
ADVICE = {
    "iadd": f"write z = x + y; to count spikes over time, {TIME_ADVICE}",
    "mul": "fold the factor into the weights of the layer before or after it",
    "imul": "fold the factor into the weights of the layer before or after it",
    "truediv": "fold the factor into the weights of the layer before or after it",
    "sub": "negate the weights of the layer before it and add",
    "relu": "use a spiking neuron (snntorch.Leaky) as the non-linearity",
    "sigmoid": "use a spiking neuron (snntorch.Leaky) as the non-linearity",
    "linear": "use a torch.nn.Linear module",
    "conv2d": "use a torch.nn.Conv2d module",
    "max_pool2d": "use a torch.nn.MaxPool2d module",
    "avg_pool2d": "use a torch.nn.AvgPool2d module",
    "permute": "present the input in (batch, channel, height, width) order",
    "transpose": "present the input in (batch, channel, height, width) order",
}


def op_name(target: Any) -> str:
    """A readable name of an fx target: a function or the name of a tensor method."""
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


def accepted(target: Any, where: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The operation's name.

    Raises:
        UnsupportedError: the operation, or an argument that changes its meaning, cannot be expressed.
    """
    name = NAMES.get(target)
    if target is getattr:
        raise refusal(where, f"it reads a tensor's .{args[1]}", USABLE)
    if name is None:
        raise _unknown(op_name(target), where)
    if name == "add" and kwargs.get("alpha", 1) != 1:
        raise refusal(
            where, f"add with alpha={kwargs['alpha']} scales its second argument", "fold alpha into the weights before it"
        )
    if name == "dropout" and kwargs.get("training", args[2] if len(args) > 2 else True):
        raise refusal(
            where, "dropout that stays active in evaluation is random", "pass training=self.training, or use torch.nn.Dropout"
        )
    return name


def _unknown(name: str, where: str) -> UnsupportedError:
    plain = name.strip("_")
    if plain in TIME_SUMS:
        return refusal(where, f"{plain}() is a reduction, which one time step of NIR cannot hold", TIME_ADVICE)
    if plain in ("item", "tolist", "eq", "ne", "gt", "lt", "ge", "le", "any", "all", "where"):
        return refusal(
            where, f"{plain} makes the computation depend on the data", "let neurons decide: compare with a neuron's threshold"
        )
    return refusal(where, f"the operation {plain} has no NIR form here", ADVICE.get(plain, USABLE))
