"""How a network of a user's own takes time: one step per call, or all of a run in one of the ways that an export finds out.

It is traced once for each shape and length of its inputs, as an export traces it, so that what cannot be exported is refused before it is
trained. Networks of this package are never traced here: their forward is one step.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.nodes import Decoder

READ: Mapping[str, Decoder] = {"last": "membrane_last", "max": "membrane_max"}
STEPPED = ("snnfuse", "snntorch", "torch")  # packages whose modules take one step per call
KEPT = "_forward_form"  # on the model, so that a copy on another device need not be traced there


@dataclass(frozen=True)
class OwnForm:
    """What tracing found.

    Attributes:
        key: shapes of one step and number of steps for which it was found.
        form: of its forward, a `snnfuse.export.tracing.forms.Form`.
        output: which of the values that forward returns is read: the first that a program of it would put out.
    """

    key: tuple[Any, ...]
    form: Any
    output: int

    @property
    def at_once(self) -> bool:
        """Whether forward takes all time steps in one call."""
        return self.form.layout != "step"


def is_own(model: nn.Module) -> bool:
    """Whether a user's code is in a network, of whose forward nothing is known; layers, and containers of them, take one step per call."""
    return any(type(module).__module__.partition(".")[0] not in STEPPED for module in model.modules())


def form_of(model: nn.Module, inputs: Mapping[str, Tensor]) -> OwnForm:
    """How a user's network takes inputs (time, batch, *shape), which are those of its forward by name.

    Raises:
        InputError, UnsupportedError: as of `snnfuse.export.to_nir`, with what to change.
    """
    shapes = {name: tuple(x.shape[2:]) for name, x in inputs.items()}
    steps = len(next(iter(inputs.values())))
    key = (*sorted(shapes.items()), steps)
    known = getattr(model, KEPT, None)
    if isinstance(known, OwnForm) and known.key == key:
        return known
    from snnfuse.export.tracing.forms import find_form

    with torch.autocast("cpu", enabled=False):  # of the network itself, whatever precision it is trained in
        traced, form = find_form(model, shapes, steps)
    positions = json.loads(traced.graph.metadata["snnfuse"])["outputs"]
    found = OwnForm(key, form, next(iter(positions.values())))
    model.__dict__[KEPT] = found
    return found


def run_at_once(model: nn.Module, inputs: Mapping[str, Tensor], own: OwnForm) -> Tensor:
    """What a forward that goes through time itself returns of its read value, (time, batch, *shape) with gradients; where it returns one
    value of the window, (1, batch, *shape): a sum over time of what a step-by-step network would have put out.

    Raises:
        InputError: it takes one input for all steps, and that of the data changes; or it returns which class is the largest.
    """
    from snnfuse.export.tracing.forms import whole_run

    form, reading = own.form, own.form.readings[own.output]
    if form.layout == "static":
        _check_still(model, inputs, form)
    value = whole_run(model, inputs, form)[own.output]
    if reading.reduction == "steps":
        stacked = value if isinstance(value, Tensor) else torch.stack(list(value))
        return stacked.movedim(reading.axis, 0) if reading.axis else stacked
    value = _unsquashed(model, value, reading.squashed.lower())
    steps = form.steps if reading.reduction == "mean" else 1
    return (value * (steps / reading.factor))[None]


def read_output(model: nn.Module, returned: Any, inputs: Mapping[str, Tensor]) -> Any:
    """Of several outputs of a user's own network the one that is read; anything else as it is. inputs: as of `form_of`."""
    return returned[form_of(model, inputs).output] if isinstance(returned, tuple) and is_own(model) else returned


def decoder_of_own(model: nn.Module) -> Decoder | None:
    """How what a user's forward returns of the window is read, once it has been run; None where it returns all steps, or a sum of them."""
    known = getattr(model, KEPT, None)
    reduction = known.form.readings[known.output].reduction if isinstance(known, OwnForm) and known.at_once else None
    return READ.get(reduction or "")


def _check_still(model: nn.Module, inputs: Mapping[str, Tensor], form: Any) -> None:
    for name, x in inputs.items():
        if len(x) > 1 and (x[1:] != x[0]).any():
            raise InputError(f"{type(model).__name__}.forward takes {form}, and input {name!r} changes over time; let forward read x[t]")


def _unsquashed(model: nn.Module, value: Tensor, squashed: str) -> Tensor:
    """Before the function that forward applied at last, but for a constant: what is trained is what is deployed, without it."""
    if squashed == "argmax":
        raise InputError(f"{type(model).__name__}.forward returns the largest class (argmax), which has no gradient; return what it is of")
    if squashed == "softmax":
        return value.clamp_min(torch.finfo(value.dtype).tiny).log()
    return torch.logit(value, torch.finfo(value.dtype).eps) if squashed == "sigmoid" else value
