"""From a torch model to its float graph, in whichever way its forward takes time; and what tracing changed, measured."""

from typing import TYPE_CHECKING

from snnfuse.compile.settings import Settings, Shapes
from snnfuse.data.samples import Samples
from snnfuse.hardware.errors import InputError

if TYPE_CHECKING:
    import nir
    from torch import nn

    from snnfuse.export.tracing.forms import Form

MEASURED_SAMPLES = 32  # run through model and graph, to measure what tracing changed


def input_names(model: "nn.Module") -> tuple[str, ...]:
    """The names under which a model takes its inputs; () for as many as there are. As `snnfuse.export.to_nir` has them."""
    from snnfuse.export.tracing.capture.arguments import input_names as names

    return names(model)


def trace_module(model: "nn.Module", shapes: Shapes, settings: Settings, steps: int | None = None) -> "tuple[nir.NIRGraph, Form]":
    """The float graph of a model, and how its forward takes a run, which is found out and noted in the graph.

    Args:
        model: traced as in evaluation.
        shapes: of one time step of one sample, by input name.
        settings: with what is known of its time: `dt`, `layout` and `time_steps`.
        steps: of the data; None where there are none.

    Raises:
        InputError, UnsupportedError: as of `find_form`; InputError for a loop over another number of steps than asked for.
    """
    from snnfuse.export.lowering.graph_metadata import with_note
    from snnfuse.export.tracing.capture.arguments import takes_steps
    from snnfuse.export.tracing.forms import find_form

    traced, form = find_form(model, shapes, settings.time_steps or steps, settings.layout, settings.dt)
    asked = settings.time_steps
    if asked is not None and form.layout == "static" and form.steps != asked and not takes_steps(model):
        raise InputError(
            f"forward loops over {form.steps} time steps of its own, and time_steps={asked} says otherwise; leave time_steps out"
        )
    return with_note(traced.graph, forward=str(form)), form


def with_effects(model: "nn.Module", graph: "nir.NIRGraph", samples: Samples, form: "Form") -> "nir.NIRGraph":
    """The graph with the measured effect of what tracing changed in its notes.

    Args:
        model: what the graph was traced from.
        graph: as of `trace_module`.
        samples: the first of them are run through both.
        form: how forward takes a run.
    """
    from snnfuse.export.lowering.graph_metadata import read_notes
    from snnfuse.export.tracing.measured import measured_ledger

    inputs = samples.select(slice(MEASURED_SAMPLES)).inputs
    return measured_ledger(model, graph, read_notes(graph).ledger, inputs, form)[0]
