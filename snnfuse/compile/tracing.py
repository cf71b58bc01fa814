"""From a torch model to its float graph, for one step per call or a forward that loops over time; and what tracing changed, measured."""

import inspect
from typing import TYPE_CHECKING

from snnfuse.compile.settings import Shapes
from snnfuse.data.samples import Samples
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsupportedError

if TYPE_CHECKING:
    import nir
    from torch import Tensor, nn

MEASURED_SAMPLES = 32  # run through model and graph, to measure what tracing changed


def input_names(model: "nn.Module") -> tuple[str, ...]:
    """The names under which a model takes its inputs: its own `inputs`, or what forward requires."""
    if hasattr(model, "inputs"):
        return tuple(model.inputs)
    parameters = inspect.signature(model.forward).parameters.values()
    return tuple(p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


def trace_module(model: "nn.Module", shapes: Shapes, dt: float | None = None, steps: int | None = None) -> "nir.NIRGraph":
    """The float graph of a model.

    Args:
        model: traced as in evaluation.
        shapes: of one time step of one sample, by input name.
        dt: seconds per step; None: 1e-4.
        steps: for a model whose forward loops over time itself, how many time steps to give it; None for one step per call.
    """
    from snnfuse.export import to_nir

    lead = (1,) if steps is None else (steps, 1)
    sample = tuple(_zeros(name, (*lead, *shapes[name])) for name in input_names(model))
    given = {} if dt is None else {"dt": dt}
    try:
        graph = to_nir(model, sample, **given)
        if steps is not None:
            _check_loops(graph, shapes)
        return graph
    except SnnfuseError as error:
        if steps is None or not _is_traceable(model, tuple(x[0] for x in sample)):
            raise
        raise type(error)(f"{error}; it can be traced without --time-steps, so leave that out") from error


def _check_loops(graph: "nir.NIRGraph", shapes: Shapes) -> None:
    """A forward that does not index time takes all time steps for one sample with one more axis."""
    for name, node in graph.inputs.items():
        if name in shapes and tuple(int(n) for n in node.input_type["input"]) != tuple(shapes[name]):
            raise UnsupportedError(f"input {name!r}: forward reads all time steps as one sample; loop over x[t] inside it")


def _zeros(name: str, shape: tuple[int, ...]) -> "Tensor":
    import torch

    try:
        return torch.zeros(shape)
    except (RuntimeError, MemoryError, OverflowError) as error:
        raise InputError(f"input {name!r} of shape {shape[1:]} is too large for this machine's memory") from error


def _is_traceable(model: "nn.Module", sample: "tuple[Tensor, ...]") -> bool:
    from snnfuse.export import to_nir

    try:
        to_nir(model, sample)
    except SnnfuseError:
        return False
    return True


def with_effects(model: "nn.Module", graph: "nir.NIRGraph", samples: Samples, unrolled: bool) -> "nir.NIRGraph":
    """The graph with the measured effect of what tracing changed in its notes.

    Args:
        model: what the graph was traced from.
        graph: as of `trace_module`.
        samples: the first of them are run through both.
        unrolled: whether the model's forward loops over time itself.
    """
    from snnfuse.export.lowering.graph_metadata import read_notes
    from snnfuse.export.tracing.measured import measured_ledger

    inputs = samples.select(slice(MEASURED_SAMPLES)).inputs
    return measured_ledger(model, graph, read_notes(graph).ledger, inputs, unrolled)[0]
