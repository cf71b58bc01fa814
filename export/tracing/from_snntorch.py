"""snnTorch to NIR: the first half of the compiler.

    model --trace--> fx graph --one_step--> terms of one time step --assemble--> NIR graph

The graph holds standard primitives only, float64 copies of the parameters, and means the same network when simulated
by NIR's own equations; its metadata only inform. A module of the user's own may offer `folded_scale() -> (scale,
(change, reason))`: it then becomes a `nir.Scale` by that constant (a number, or one per feature), and (change,
reason) its entry in the ledger.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import nir
import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from snnfuse.export.lowering.shown_graph import shown
from snnfuse.export.tracing.capture.arguments import unwrapped
from snnfuse.export.tracing.capture.trace import trace
from snnfuse.export.tracing.capture.tracer import HALF, SPIKES
from snnfuse.export.tracing.emit.assemble import assemble
from snnfuse.export.tracing.step.doubtful_sample import doubtful_sample
from snnfuse.export.tracing.step.step import PART, Step
from snnfuse.export.tracing.step.time_loop import Loop
from snnfuse.hardware.errors import DataWarning, InputError, SnnfuseError
from snnfuse.hardware.ledger import Ledger, LedgerEntry, to_json

DT = 1e-4


@dataclass(frozen=True)
class Traced:
    """A traced model.

    Attributes:
        graph: its NIR graph.
        ledger: what changed on the way.
        step: the time step that its forward computes, with how it takes time and what it returns of it.
    """

    graph: nir.NIRGraph
    ledger: Ledger
    step: Step


def to_nir(model: nn.Module, sample: Any, *, dt: float = DT) -> nir.NIRGraph:
    """A snnTorch model as a NIR graph; the model is left as it is.

    Args:
        model: of snnTorch neurons and torch layers; traced as in evaluation.
        sample: what forward takes, a tensor or a tuple of tensors, with numbers of steps in their places. ONE time step,
            (batch, *shape); for a model that unrolls its own loop over x[t] or x[:, t], all steps, (time, batch, *shape) or
            (batch, time, *shape), with time >= 2; which axis is time is found out. Only shapes matter. The loop's steps are compared
            with each other as far as the sample reaches, so give it as many as will really run: of three steps, nobody can see that
            the fifth would differ.
        dt: seconds per time step, > 0.

    Returns:
        Nodes are called by module path; a neuron's spikes, or the membrane of one that never resets, are the
        output of its node. Inputs are called by forward's arguments, outputs by the keys of a dict, else "output", or
        "output_0" and so on; the membrane of neurons whose spikes are returned too "membrane", or "membrane_0" and so on. Neurons,
        and outputs, behind a map that NIR can only write out as a matrix are flat, in C order.
        `metadata["snnfuse"]` is one JSON string: "dt", "generator", "ledger", what changed on the way, "outputs", which of
        the values that forward returns each output is, from 0, "readings", of which outputs forward returns the "sum", "mean", "max"
        or "last" of all steps, "classes", of which it returns sums of so many groups of neurons, and "host_steps", by module what a host
        could compute in the place of a scale that it was folded to.

    Warns:
        DataWarning: the sample looks like a whole sequence given to a forward that takes one step.

    Raises:
        UnsupportedError: something that NIR cannot hold with its meaning, by name, with a way out.
        InputError: the sample does not fit the model, or a parameter is not finite.
    """
    return shown(traced(model, sample, dt).graph)


def trace_model(model: nn.Module, sample: Any, dt: float = DT) -> tuple[nir.NIRGraph, Ledger]:
    """As `to_nir`; returns the ledger beside the graph."""
    found = traced(model, sample, dt)
    return shown(found.graph), found.ledger


def traced(model: nn.Module, sample: Any, dt: float = DT, steps: int | None = None) -> Traced:
    """As `to_nir`; steps: what numbers of steps are that forward takes and the sample does not give."""
    if not dt > 0:
        raise InputError(f"dt={dt} must be above 0: it is the length of a time step in seconds")
    try:
        loop = capture(model, sample, steps)
        found = finish(loop, dt)
    except InputError as problem:
        raise _whole_sequence(model, sample, dt, problem) from problem
    for text in doubtful_sample(found.step, loop.model):
        warnings.warn(text, DataWarning, stacklevel=3)
    return found


def _whole_sequence(model: nn.Module, sample: Any, dt: float, problem: InputError) -> InputError:
    """The problem, or what is wrong with a sample that one step of it would not have."""
    tensors = sample if isinstance(sample, tuple | list) else (sample,)
    if not all(isinstance(x, torch.Tensor) and x.ndim > 2 for x in tensors):
        return problem
    try:
        finish(capture(model, tuple(x[0] for x in tensors)), dt)
    except SnnfuseError:
        return problem
    shapes = ", ".join(str(tuple(x.shape)) for x in tensors)
    return InputError(f"the sample {shapes} is a whole sequence, and forward takes one time step: give sample[0], (batch, *shape)")


def capture(model: nn.Module, sample: Any, steps: int | None = None) -> Loop:
    """What a model's forward does with a sample, as far as it shows how it takes time; arguments and errors as of `traced`."""
    if not isinstance(model, nn.Module):
        raise InputError(f"the model is {type(model).__name__}, not a torch.nn.Module")
    model = unwrapped(model)
    for path, module in model.named_modules():
        if isinstance(module, LazyModuleMixin):
            raise InputError(f"{path} ({type(module).__name__}) has no weights yet; load them, or run the model once on a sample")
    return Loop(trace(model, _sample(model, sample), steps))


def finish(loop: Loop, dt: float = DT) -> Traced:
    """The graph of what was captured; errors as of `to_nir`."""
    step = loop.reduce()
    made = assemble(step, loop.model, dt)
    ledger = (*_unrounded(loop.model), *made.ledger, *_every_step(step, made.outputs), *_squashed(step, made.outputs))
    about = {"dt": dt, "generator": f"snnfuse {version('snnfuse')}", "ledger": to_json(ledger), "outputs": made.outputs}
    about |= {"host_steps": made.host_steps} if made.host_steps else {}
    readings = {name: step.readings[position].reduction for name, position in made.outputs.items()}
    readings = {name: reduction for name, reduction in readings.items() if reduction != "steps"}
    about |= {"readings": readings} if readings else {}
    classes = {name: number for name, at in made.outputs.items() if (number := step.readings[at].classes) is not None}
    about |= {"classes": classes} if classes else {}
    return Traced(nir.NIRGraph(made.nodes, made.edges, metadata={"snnfuse": json.dumps(about)}), ledger, step)


def _every_step(step: Step, outputs: Mapping[str, int]) -> Ledger:
    """Spikes of which forward returns the last alone, and no membrane beside them, are put out in every step."""
    last = {name: step.terms[step.outputs[at]] for name, at in outputs.items() if step.readings[at].reduction == "last"}
    spikes = {name: step.terms[term.args[0]].target for name, term in last.items() if term.op == PART and term.target == SPIKES}
    change, reason = "its spikes are put out in every step, of which forward returns the last", "a decoder reads a window, not one step"
    return tuple(LedgerEntry(path, change, reason) for path in spikes.values()) if len(spikes) == len(last) else ()


def _squashed(step: Step, outputs: Mapping[str, int]) -> Ledger:
    """What forward applies to classes at last."""
    named = {name: step.readings[at].squashed for name, at in outputs.items()}
    reason = "it keeps which class is the largest, which is what a decoder looks for"
    return tuple(LedgerEntry(name, f"{how} of what is returned is left out", reason) for name, how in named.items() if how)


def _unrounded(model: nn.Module) -> Ledger:
    """A model in half precision rounds in every layer, and its graph does not."""
    kinds = sorted({str(p.dtype) for p in model.parameters() if p.dtype in HALF})
    reason = "half precision keeps 3 digits or fewer, and NIR's equations hold for real numbers"
    return tuple(LedgerEntry(type(model).__name__, f"its values are no longer rounded to {kind}", reason) for kind in kinds)


def _sample(model: nn.Module, sample: Any) -> tuple[torch.Tensor | int, ...]:
    """The sample as tensors of the model's type; numbers of steps as they are."""
    tensors = sample if isinstance(sample, tuple | list) else (sample,)
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    return tuple(value if type(value) is int else _tensor(value, i, like) for i, value in enumerate(tensors))


def _tensor(value: Any, position: int, like: torch.Tensor) -> torch.Tensor:
    try:
        tensor = torch.as_tensor(value).detach().to(dtype=like.dtype, device=like.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"sample {position} is {type(value).__name__}, not a tensor") from error
    if tensor.ndim < 2 or not tensor.numel():
        reason = "it needs a batch axis first, (batch, *shape), and at least one value"
        raise InputError(f"sample {position} has shape {tuple(tensor.shape)}: {reason}")
    return tensor
