"""What a network is trained for. A network may bring its own; this page is the whole agreement.

A network's `inputs`, else the arguments of its forward, name what it reads. Its forward is one time step, or goes through time itself in
any way that an export takes (`snnfuse.networks.own_forms`); of several outputs the first is trained. Each of these may be added:

    decoder: str
        How outputs (time, batch, classes) become scores: "spike_count" and "membrane_sum" sum over time (the default), "membrane_last"
        takes the last step, "membrane_max" the largest value, "first_spike" what is left of the window after the first spike. As of
        `snnfuse.hardware.ir.program.Decoder`. A network in the chip's arithmetic has its program's rule, a population code too.

    training_outputs(*inputs) -> (outputs, features)
        A run over time that keeps what the loss reads besides: inputs (time, batch, *shape) in the order of `inputs`, to outputs
        (time, batch, classes) and features, a mapping of name to tensor (batch, *shape).

    losses(outputs, features, labels, settings) -> an object whose `total` is a scalar, the mean over the batch
        labels: int64 (batch,); settings: the `Recipe`, whose `label_smoothing`, `alignment` and `temperature` are there for it. Called
        outside autocast, on numbers in float32 or more.

Both or none of the last two. Without them the network is run by `run_folded`, or step by step where that would be another network
(`through_time_of`), and its loss is `classification`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.nodes import Output
from snnfuse.networks import goes_through_time, input_names, run, run_folded
from snnfuse.networks.own_forms import decoder_of_own, read_output
from snnfuse.nn import FixedPointNetwork
from snnfuse.training.recipe import Recipe

Batch = dict[str, Tensor]
ThroughTime = Callable[..., Tensor | tuple[Tensor, ...]]
ROUNDING, SAME = 1e-4, 0.99  # of the largest number; and share of numbers that must agree, for rounding moves a spike now and then


class OwnLoss(Protocol):
    """A network that brings its loss; see above."""

    def training_outputs(self, *inputs: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]: ...
    def losses(self, outputs: Tensor, features: Mapping[str, Tensor], labels: Tensor, settings: Recipe) -> "Terms": ...


class Terms(Protocol):
    """What `losses` gives."""

    @property
    def total(self) -> Tensor: ...


def outputs(model: nn.Module, batch: Batch, through_time: Callable[..., Tensor | tuple[Tensor, ...]]) -> Tensor:
    """What a network returns, (time, batch, classes): a one-step network or a `Staged` is run through time, one in the chip's arithmetic
    does that itself.

    batch: inputs (time, batch, *shape) by name.
    """
    if isinstance(model, FixedPointNetwork):
        returned = model({name: batch[name] for name in input_names(model)})
    else:
        read = {name: batch[name] for name in input_names(model)}
        returned = read_output(model, through_time(model, *read.values()), read)
    if isinstance(returned, dict) and isinstance(model, FixedPointNetwork) and model.decides is not None:
        return returned[model.decides]
    if not isinstance(returned, Tensor):
        raise InputError(f"training needs a network with one output; {type(model).__name__} has {len(returned)}")
    return returned


def decoder_of(model: nn.Module) -> Output:
    """The rule by which a network's outputs are read; InputError where there is no such rule."""
    if isinstance(model, FixedPointNetwork):
        return model.rule
    try:
        return Output(type(model).__name__, getattr(model, "decoder", None) or decoder_of_own(model) or "spike_count")
    except InputError as error:
        raise InputError(f"{type(model).__name__}: {error}") from error


def scores(model: nn.Module, returned: Tensor) -> Tensor:
    """Decode outputs (time, batch, classes) to scores (batch, classes), float32 or more, by the deployed program's rule."""
    rule = decoder_of(model)
    found = _reduced(rule.decoder, wide(returned))
    if rule.num_classes is None:
        return found
    groups = found.reshape(len(found), rule.num_classes, -1)
    return groups.amax(-1) if rule.decoder == "first_spike" else groups.sum(-1)


def _reduced(decoder: str, values: Tensor) -> Tensor:
    """`snnfuse.hardware.ir.encoding.reduce_window` with gradients."""
    if decoder == "first_spike":
        before = torch.cumprod(torch.cat([torch.ones_like(values[:1]), 1 - values[:-1]]), 0)  # 1 up to the first spike
        left = torch.arange(len(values) - 1, -1, -1, dtype=values.dtype, device=values.device)
        return (values * before * left.reshape(-1, *[1] * (values.ndim - 1))).sum(dim=0)
    if decoder == "membrane_last":
        return values[-1]
    return values.amax(dim=0) if decoder == "membrane_max" else values.sum(dim=0)


def classification(model: nn.Module, returned: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    """Cross entropy of softmax(sharpness * scores); returned: the network's output (time, batch, classes)."""
    with torch.autocast(labels.device.type, enabled=False):
        return functional.cross_entropy(
            recipe.sharpness * scores(model, returned).flatten(1), labels, label_smoothing=recipe.label_smoothing
        )


def through_time_of(model: nn.Module, batch: Batch) -> ThroughTime:
    """`run_folded` for a network of this package, and for another where it gives what `run` does on a batch; else `run`, which is slower.

    A user's own that goes through time itself is called as it is. Where a network puts out the same number everywhere, so that nothing can
    be compared, it is run step by step.

    Raises:
        InputError, UnsupportedError: a user's own that could not be deployed either.
    """
    if isinstance(model, FixedPointNetwork) or type(model).__module__.partition(".")[0] == "snnfuse":
        return run_folded
    if goes_through_time(model, *[batch[name] for name in input_names(model)]):
        return run
    was_training = model.training
    with torch.no_grad():
        one, other = (outputs(model.eval(), batch, how) for how in (run, run_folded))
    model.train(was_training)
    equal = (one - other).abs() <= ROUNDING * one.abs().max()
    return run_folded if one.min() < one.max() and equal.float().mean() >= SAME else run


def loss_of(
    model: nn.Module, batch: Batch, labels: Sequence[tuple[Tensor, float]], recipe: Recipe, through_time: ThroughTime = run_folded
) -> Tensor:
    """The network's own loss on a batch of inputs (time, batch, *shape), else `classification`; a scalar with gradients.

    labels: int64 (batch,) and their weight; several where samples are mixtures. through_time: of a network without a loss of its own.
    """
    if not hasattr(model, "losses"):
        returned = outputs(model, batch, through_time)
        return _weighted((classification(model, returned, each, recipe), weight) for each, weight in labels)
    own = cast(OwnLoss, model)
    returned, features = own.training_outputs(*[batch[name] for name in input_names(model)])
    with torch.autocast(labels[0][0].device.type, enabled=False):
        read = {name: wide(value) for name, value in features.items()}
        return _weighted((own.losses(wide(returned), read, each, recipe).total, weight) for each, weight in labels)


def _weighted(losses: Iterable[tuple[Tensor, float]]) -> Tensor:
    (first, weight), *others = losses
    return sum((loss * w for loss, w in others), first * weight if others else first)


def wide(values: Tensor) -> Tensor:
    """Return the values in float32, or in float64 where they are."""
    return values if values.dtype == torch.float64 else values.float()
