"""Networks in stages: what needs all time steps of an earlier part, such as an average over time, starts when that part has ended.

Each stage is a one-step network of its own, run over the same window. Between two stages the host reduces an output of the earlier
one over the window and gives the result to the later ones:

    count   c = sum_t s_t            held, the same on every step
    mean    c = (1 / T) sum_t s_t    held, the same on every step
    steps   s_1 .. s_T               played again, step by step

Then a host module, if there is one, makes of it what is carried: L2 normalisation, say. Gradients flow through all of it. On a chip
a stage is a program and the reduction with its module is the host's work between two programs, so that the window is presented once
per stage.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.host_steps import REDUCTIONS, Reduction

Tensors = Tensor | tuple[Tensor, ...]
ThroughTime = Callable[..., Tensors]


@dataclass(frozen=True)
class Carry:
    """What the host makes of one output of a stage.

    Attributes:
        output: name of the output, (time, batch, *shape).
        reduction: "count" or "mean" over time, or "steps" for every step as it was.
        host: applied to the reduced value (batch, *shape), and with "steps" to (time * batch, *shape); None leaves it as it is.
    """

    output: str
    reduction: Reduction = "mean"
    host: nn.Module | None = None

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise InputError(f"reduction must be one of {', '.join(REDUCTIONS)}, not {self.reduction!r}")


@dataclass(frozen=True)
class Stage:
    """One part of a network, run over the whole window before the next one starts.

    Attributes:
        module: one time step: tensors (batch, *shape) in the order of `inputs` to one tensor, or a tuple of them, in that of `outputs`.
        inputs: names of network inputs and of values that earlier stages carry.
        outputs: names of what it returns.
        carried: by name, what later stages may read of it.
    """

    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    carried: Mapping[str, Carry] = field(default_factory=dict)


class Staged(nn.Module):
    """Base of networks in stages. `snnfuse.networks.run` and `run_folded` run them; `forward`, one time step, is not theirs to have.

    A subclass sets `inputs`, the names of the network's inputs, and gives its stages. Every module of them must be registered in the
    network itself, so that it is saved, moved and trained with it.
    """

    inputs: tuple[str, ...] = ()

    def stages(self) -> tuple[Stage, ...]:
        """The stages in the order in which they run; the outputs of the last one are the network's."""
        raise NotImplementedError(f"{type(self).__name__} must give its stages")

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """A single step has no value: a later stage needs all steps of the earlier one."""
        raise InputError(
            f"{type(self).__name__} runs in stages, over all time steps at once, and has no single step; "
            "call snnfuse.networks.run(model, *inputs)"
        )


def run_stages(model: Staged, inputs: Sequence[Tensor], through_time: ThroughTime) -> Tensors:
    """Run every stage over the window.

    Args:
        model: a network in stages.
        inputs: (time, batch, *shape) each, in the order of `model.inputs`.
        through_time: runs a one-step module over time, as `snnfuse.networks.run` does.

    Returns:
        What the last stage returned, (time, batch, *shape): a tensor, or a tuple where it has several outputs.

    Raises:
        InputError: as of `check_stages`; or other inputs than the network has.
    """
    stages = check_stages(model)
    if len(inputs) != len(model.inputs):
        raise InputError(f"{type(model).__name__} takes {', '.join(model.inputs)}, but {len(inputs)} inputs were given")
    values = dict(zip(model.inputs, inputs, strict=True))
    last: Tensors = ()
    for stage in stages:
        last = through_time(stage.module, *[values[name] for name in stage.inputs])
        outputs = named_outputs(stage, last)
        values |= {name: carried(carry, outputs[carry.output]) for name, carry in stage.carried.items()}
    return last


def named_outputs(stage: Stage, returned: Tensors) -> dict[str, Tensor]:
    """Return a stage's outputs by name; InputError where there are more or fewer than the stage declares."""
    tensors = (returned,) if isinstance(returned, Tensor) else tuple(returned)
    if len(tensors) != len(stage.outputs):
        raise InputError(
            f"a stage ({type(stage.module).__name__}) returns {len(tensors)} tensors, but declares the outputs {', '.join(stage.outputs)}"
        )
    return dict(zip(stage.outputs, tensors, strict=True))


def carried(carry: Carry, spikes: Tensor) -> Tensor:
    """An output (time, batch, *shape) to what later stages read on every step, (time, batch, *shape after the host module)."""
    time = spikes.shape[0]
    if carry.reduction == "steps":
        return spikes if carry.host is None else carry.host(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2])
    value = reduced(carry.reduction, spikes)
    if carry.host is not None:
        value = carry.host(value)
    return value.expand(time, *value.shape)


def reduced(reduction: Reduction, spikes: Tensor) -> Tensor:
    """The count or the mean over time, (time, batch, *shape) -> (batch, *shape)."""
    count = spikes.sum(dim=0)
    return count if reduction == "count" else count / spikes.shape[0]


def check_stages(model: Staged) -> tuple[Stage, ...]:
    """The stages of a network.

    Raises:
        InputError: there are none, one reads what is not known by then, a name is used twice, something is carried that no output is, an
            output is lost, or a module is not the network's own.
    """
    stages, where = tuple(model.stages()), type(model).__name__
    if not stages or not model.inputs:
        raise InputError(f"{where} must give at least one stage and the names of its inputs")
    known, own = set(model.inputs), set(map(id, model.modules()))
    for number, stage in enumerate(stages, 1):
        said = f"{where}, stage {number}"
        _check_stage(said, stage, known, is_last=number == len(stages))
        hosts = [carry.host for carry in stage.carried.values() if carry.host is not None]
        if any(id(module) not in own for module in (stage.module, *hosts)):
            raise InputError(f"{said}: a module of it is not registered in the network, so it would be neither saved nor trained")
        known |= set(stage.carried)
    return stages


def _check_stage(where: str, stage: Stage, known: set[str], is_last: bool) -> None:
    unknown = [name for name in stage.inputs if name not in known]
    if unknown or not stage.inputs:
        raise InputError(f"{where} reads {unknown[0] if unknown else 'nothing'!r}; by then there are {', '.join(sorted(known))}")
    again = [name for name in stage.carried if name in known]
    if again:
        raise InputError(f"{where} carries {again[0]!r}, a name that is taken; names of inputs and carried values must differ")
    read = {carry.output for carry in stage.carried.values()}
    missing = read - set(stage.outputs)
    if missing:
        raise InputError(f"{where} carries {sorted(missing)[0]!r}, which is none of its outputs: {', '.join(stage.outputs)}")
    lost = [name for name in stage.outputs if name not in read]
    if lost and not is_last:
        raise InputError(f"{where} returns {lost[0]!r}, which nothing carries; leave it out, or carry it")
    if is_last and stage.carried:
        raise InputError(f"{where} carries {', '.join(stage.carried)}, but no stage follows that could read it")
