"""What tracing changed, measured: what the model itself computes against what its graph does, at the outputs and at every neuron."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from snntorch import SpikingNeuron
from torch import nn

from snnfuse.export.lowering.float_simulator import FloatRun, simulate
from snnfuse.export.lowering.network import Network
from snnfuse.export.lowering.nir_to_network import lower
from snnfuse.export.lowering.outputs import output_values
from snnfuse.export.tracing.capture.arguments import bind, call, root_of, unwrapped
from snnfuse.export.tracing.capture.untouched import untouched
from snnfuse.export.tracing.forms import ONE_STEP, Form, values_of, whole_run
from snnfuse.export.tracing.neurons import is_neuron
from snnfuse.export.tracing.step.step import Reading
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsupportedError
from snnfuse.hardware.ledger import Ledger, to_json

ALL = "with all changes of the trace"  # a run tells the effect of all entries together only


def measured_ledger(
    model: nn.Module, graph: nir.NIRGraph, ledger: Ledger, inputs: Mapping[str, NDArray], form: Form = ONE_STEP
) -> tuple[nir.NIRGraph, Ledger]:
    """The graph and its ledger with the effect of all entries together, at the entry's own neurons and at the outputs.

    Args:
        model: what the graph was traced from; left as it is.
        graph, ledger: as `trace_model` gave them; the graph's metadata is renewed.
        inputs: float (time, batch, *shape) in the order of forward's arguments.
        form: how forward takes a run.

    Returns:
        The same where the ledger is empty, or the graph holds what the chip does not, so that there is no network to run, or where
        forward takes one input for all steps, and those of the samples change.

    Raises:
        InputError: forward fails on the inputs.
    """
    model = unwrapped(model)
    if not ledger or form.layout == "static" and any((x[1:] != x[0]).any() for x in inputs.values()):
        return graph, ledger
    try:
        network = lower(graph)
        run = simulate(network, inputs)  # feedback that the chip lacks shows here only
    except UnsupportedError:  # a NIR graph may hold more than the chip, and is exported all the same
        return graph, ledger
    about = json.loads(graph.metadata["snnfuse"])
    returned, spikes = run_recorded(model, inputs, form, {entry.node for entry in ledger})
    effect = _effect(network, run, about["outputs"], returned, form)
    ledger = tuple(replace(entry, effect=entry.effect or f"{ALL}, {_own_effect(entry.node, spikes, run)}{effect}") for entry in ledger)
    return nir.NIRGraph(graph.nodes, graph.edges, metadata={"snnfuse": json.dumps(about | {"ledger": to_json(ledger)})}), ledger


def run_model(model: nn.Module, inputs: Mapping[str, NDArray], form: Form = ONE_STEP) -> list[NDArray]:
    """Everything that a model returns, run from rest in its own precision; the model is left as it is.

    Args:
        model: run as in evaluation.
        inputs: float (time, batch, *shape) in the order of forward's arguments.
        form: how forward takes a run; of what it returns all steps the result is (time, batch, *shape), of anything else what it returns.
    """
    return run_recorded(model, inputs, form, ())[0]


def run_recorded(
    model: nn.Module, inputs: Mapping[str, NDArray], form: Form, paths: Collection[str]
) -> tuple[list[NDArray], dict[str, NDArray]]:
    """As `run_model`; returns beside it what the neurons among the modules at `paths` put out, (time, batch, *shape) each."""
    kept: dict[str, list[torch.Tensor]] = {path: [] for path, m in model.named_modules() if path in paths and is_neuron(m)}
    with _recording(model, kept):
        returned = _run(model, inputs, form)
    return returned, {path: _stacked(values) for path, values in kept.items() if values}


@contextmanager
def _recording(model: nn.Module, kept: Mapping[str, list[torch.Tensor]]) -> Iterator[None]:
    """Each call of a module at a path of `kept` adds its spikes there."""

    def keeper(values: list[torch.Tensor]) -> Any:
        return lambda module, given, out: values.append(out[0] if isinstance(out, tuple) else out)

    hooks = [model.get_submodule(path).register_forward_hook(keeper(values)) for path, values in kept.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _run(model: nn.Module, inputs: Mapping[str, NDArray], form: Form) -> list[NDArray]:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    tensors = {name: torch.as_tensor(np.asarray(x), dtype=like.dtype, device=like.device) for name, x in inputs.items()}
    root, steps = root_of(model), len(next(iter(tensors.values())))
    with untouched(model), _spikes_as(model, like.dtype):
        _rest(model)
        try:
            if form.layout != "step":
                return [_in_time(value, reading) for value, reading in zip(whole_run(model, tensors, form), form.readings, strict=True)]
            each = [values_of(call(root, bind(root, [x[t] for x in tensors.values()]))) for t in range(steps)]
        except SnnfuseError:
            raise
        except Exception as error:  # whatever a user's forward raises ends in one line
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{type(model).__name__}.forward failed on the samples: {reason}") from error
    return [_stacked(values) for values in zip(*each, strict=True)]


def _rest(model: nn.Module) -> None:
    """All states of its neurons at zero. snnTorch's own `utils.reset` visits every neuron of the process, and fails at some."""
    for module in model.modules():
        if is_neuron(module) and hasattr(module, "reset_mem"):
            module.reset_mem()


@contextmanager
def _spikes_as(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """snnTorch's surrogate gradients return float32 spikes, which the next layer of a float64 model does not take."""

    def cast(module: nn.Module, given: Any, out: Any) -> Any:
        return tuple(o.to(dtype) for o in out) if isinstance(out, tuple) else out.to(dtype)

    hooks = [m.register_forward_hook(cast) for m in model.modules() if isinstance(m, SpikingNeuron)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _in_time(value: Any, reading: Reading) -> NDArray:
    """All steps with time first; the rest as it is."""
    found = _stacked(value)
    if reading.squashed == "argmax":  # of classes the one that is chosen
        return np.eye(int(found.max(initial=0)) + 1)[found]
    return found if not reading.axis else np.moveaxis(found, reading.axis, 0)


def _stacked(value: Any) -> NDArray:
    """A tensor over time, or one tensor per step."""
    return (value if isinstance(value, torch.Tensor) else torch.stack(list(value))).detach().cpu().numpy()


def _effect(network: Network, run: FloatRun, outputs: Mapping[str, int], returned: list[NDArray], form: Form) -> str:
    """The differences at every output, in words."""
    parts, samples = [], 0
    for name, position in outputs.items():
        node = network.outputs[name]
        samples = run.v[node].shape[1]
        theirs, reading = returned[position], form.readings[position] if form.readings else Reading()
        at = f"at {name} " if len(outputs) > 1 else ""
        if reading.reduction != "steps":
            wrong = np.count_nonzero(_best(_grouped(_reduced(output_values(network, run, name), reading), reading)) != _best(theirs))
            parts.append(f"{at}the largest differs in {wrong} samples")
        elif name in network.membranes or reading.classes:
            ours = _grouped(output_values(network, run, name), reading)
            theirs = theirs.reshape(ours.shape)
            wrong, off = np.count_nonzero(_largest(ours) != _largest(theirs)), np.abs(ours - theirs).max()
            parts.append(f"{at}the largest membrane differs in {wrong} samples, a membrane by up to {off:.3g}")
        else:
            ours = run.spikes[node]
            wrong = np.count_nonzero(ours != theirs.reshape(ours.shape).astype(bool))
            parts.append(f"{at}{wrong} output spikes differ where the graph has {np.count_nonzero(ours)}")
    return f"{', '.join(parts)}, on {samples} samples"


def _reduced(values: NDArray, reading: Reading) -> NDArray:
    """What forward returns of a window."""
    return {"last": lambda: values[-1], "max": lambda: values.max(0)}.get(reading.reduction, lambda: values.sum(0))()


def _grouped(values: NDArray, reading: Reading) -> NDArray:
    """The sums of the groups of neurons that forward returns; (..., batch, *shape) to (..., batch, classes)."""
    if reading.classes is None:
        return values
    leading = values.shape[:2] if reading.reduction == "steps" else values.shape[:1]
    return values.reshape(*leading, reading.classes, -1).sum(-1)


def _best(values: NDArray) -> NDArray[np.int64]:
    return values.reshape(len(values), -1).argmax(1)


def _own_effect(path: str, spikes: Mapping[str, NDArray], run: FloatRun) -> str:
    """The differences at the neurons of one entry, in words; none where it concerns anything else."""
    ours = run.spikes.get(path if path in run.spikes else f"{path}.module")
    theirs = spikes.get(path)
    if ours is None or theirs is None or theirs.shape != ours.shape:
        return ""
    wrong = np.count_nonzero(ours != theirs.astype(bool))
    return f"{wrong} of its {ours.size} outputs differ ({wrong / ours.size:.2%}) where the graph has {np.count_nonzero(ours)} spikes, "


def _largest(v: NDArray) -> NDArray[np.int64]:
    """Of each sample, the neuron whose membrane has the largest sum over time."""
    return v.sum(0).reshape(v.shape[1], -1).argmax(1)
