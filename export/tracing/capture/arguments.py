"""What a model's forward takes: the one place where its inputs get their names, for the command line, Python and the tracer alike."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from snnfuse.export.tracing.neurons import is_neuron
from snnfuse.hardware.errors import InputError

COUNTS = frozenset(
    ("num_steps", "n_steps", "nsteps", "steps", "time_steps", "timesteps", "n_timesteps", "num_timesteps", "num_time_steps",
     "n_time_steps", "time_window", "T", "seq_len", "sequence_length")
)  # fmt: skip
"""Names of arguments that are a number of time steps; one that is annotated as int is too."""
TRANSPARENT = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
Parameter = inspect.Parameter


@dataclass(frozen=True)
class Bound:
    """One argument of a call of forward.

    Attributes:
        name: of the parameter; of several behind a star, numbered.
        value: a tensor, or a number of steps.
        by_name: whether it is passed by its name.
    """

    name: str
    value: Any
    by_name: bool = False


def is_leaf(module: nn.Module) -> bool:
    """Return True for neurons, torch's layers, and modules that fold to a scale or sum over time: they are not looked into."""
    if is_neuron(module) or hasattr(module, "folded_scale") or hasattr(module, "accumulates"):
        return True
    return type(module).__module__.startswith("torch.nn") and type(module) not in TRANSPARENT


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module that DataParallel or torch.compile, or one around the other, wraps: it computes the same."""
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):
            model = cast(nn.Module, model._orig_mod)  # what torch.compile wraps is a module
        else:
            return model


def root_of(model: nn.Module) -> nn.Module:
    """Return the module whose forward is traced: the model without what wraps it, or one around a single layer."""
    model = unwrapped(model)
    return nn.Sequential(model) if is_leaf(model) else model


def input_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of a model's inputs: its own `inputs`, or what forward requires, or the first that it may be given.

    Empty for a forward(*inputs), which takes as many as there are.

    Raises:
        InputError: forward takes none.
    """
    own = getattr(unwrapped(model), "inputs", None)
    if isinstance(own, tuple | list) and own and all(isinstance(name, str) for name in own):
        return tuple(own)
    parameters = [p for p in _parameters(root_of(model)) if not _is_count(p)]
    required = tuple(p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    if required:
        return required
    optional = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))[:1]
    if not optional and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise InputError(f"{type(model).__name__}.forward takes no input; give it one, as forward(self, x)")
    return optional


def takes_steps(model: nn.Module) -> bool:
    """Return True where forward takes a number of time steps, as forward(x, num_steps) does."""
    return any(map(_is_count, _parameters(root_of(model))))


def bind(root: nn.Module, sample: Sequence[Any], steps: int | None = None) -> tuple[Bound, ...]:
    """The arguments of a call of forward.

    Args:
        root: of which forward is called.
        sample: tensors, and numbers of steps in their places, in forward's order; what it leaves out keeps its default.
        steps: what numbers of steps are that the sample does not give; None for their defaults.

    Raises:
        InputError: there are too many, or forward needs another.
    """
    parameters, left, bound = _parameters(root), list(sample), list[Bound]()
    tensors = sum(not isinstance(value, int) for value in left)
    slots = sum(not _is_count(p) and p.kind is not p.VAR_POSITIONAL for p in parameters)
    starred = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    for p in parameters:
        count = _is_count(p) and (starred or tensors <= slots)
        if p.kind is p.VAR_POSITIONAL:
            bound += [Bound(f"{p.name}_{len(bound) + i}", value) for i, value in enumerate(left)]
            left = []
        elif left and (not count or isinstance(left[0], int)):
            bound.append(Bound(p.name, left.pop(0), p.kind is p.KEYWORD_ONLY))
        elif count and steps is not None:
            bound.append(Bound(p.name, steps, by_name=p.kind is not p.POSITIONAL_ONLY))
        elif count and p.default is p.empty:
            raise InputError(f"{type(root).__name__}.forward takes {p.name}, a number of steps: give it in the sample, in its place")
        elif p.default is p.empty:
            what = "give one tensor per argument; a neuron's state it need not take: the neuron keeps it with init_hidden=True"
            raise InputError(f"{type(root).__name__}.forward also takes {p.name}, and the sample does not have it: {what}")
    if left:
        wanted = sum(p.kind is not p.VAR_POSITIONAL for p in parameters)
        raise InputError(f"the sample has {len(sample)} tensors, and {type(root).__name__}.forward takes {wanted}")
    return tuple(bound)


def call(function: Any, bound: Sequence[Bound]) -> Any:
    """What a function of bound arguments returns."""
    return function(*(b.value for b in bound if not b.by_name), **{b.name: b.value for b in bound if b.by_name})


def tensors_of(bound: Sequence[Bound]) -> list[Tensor]:
    """Those arguments that are inputs."""
    return [b.value for b in bound if isinstance(b.value, Tensor)]


def _parameters(root: nn.Module) -> list[Parameter]:
    """Of forward as its class has it, behind any decorator that says what it wraps; without self."""
    return [p for p in inspect.signature(type(root).forward).parameters.values() if p.kind is not p.VAR_KEYWORD][1:]


def _is_count(parameter: Parameter) -> bool:
    return parameter.annotation in (int, "int") or (parameter.name in COUNTS and parameter.kind is not parameter.VAR_POSITIONAL)
