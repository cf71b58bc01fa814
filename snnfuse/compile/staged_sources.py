"""From a `Staged` network to a float graph per stage, and what the host between them computes, as data."""

import json
from collections.abc import Mapping

import nir
import torch
from torch import Tensor, nn

from snnfuse.export import trace_model
from snnfuse.export.lowering.graph import fresh_name
from snnfuse.export.lowering.graph_metadata import KEY, read_notes
from snnfuse.export.staging.staged import StagedGraph
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.host_steps import HostStep
from snnfuse.hardware.ir.pipeline import Link
from snnfuse.hardware.ledger import to_json
from snnfuse.networks.neurons import run_steps
from snnfuse.networks.stages import Stage, Staged, carried, check_stages, named_outputs

DT = 1e-4


def trace_stages(model: Staged, shapes: Mapping[str, tuple[int, ...]], dt: float = DT) -> StagedGraph:
    """Every stage traced as a network of its own; the model is left as it is.

    Args:
        model: traced as in evaluation.
        shapes: of one time step of one sample, by input of the network.
        dt: seconds per step.

    Raises:
        UnsupportedError: something in a stage, or a host module, that cannot be kept, by name.
        InputError: the shapes do not fit the network, or its stages do not fit each other.
    """
    stages, was_training = check_stages(model), model.training
    model.eval()
    try:
        values = _example(model, stages, shapes)
        paths: dict[nn.Module, str] = {module: path for path, module in model.named_modules()}
        graphs, links = [], []
        for number, stage in enumerate(stages):
            graph, returned = _traced(stage, number, values, paths.get(stage.module, ""), dt)
            graphs.append(graph)
            links += _links(stage, number, returned, paths)
    finally:
        model.train(was_training)
    return StagedGraph(tuple(graphs), tuple(links))


def _example(model: Staged, stages: tuple[Stage, ...], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A step of zeros (1, *shape) for every input and carried value."""
    values = {name: torch.zeros(1, 1, *shapes[name]) for name in model.inputs}
    with torch.no_grad():
        for stage in stages:
            outputs = named_outputs(stage, run_steps(stage.module, *[values[name] for name in stage.inputs]))
            values |= {name: carried(carry, outputs[carry.output]) for name, carry in stage.carried.items()}
    return {name: value[0] for name, value in values.items()}


def _traced(stage: Stage, number: int, values: Mapping[str, Tensor], path: str, dt: float) -> tuple[nir.NIRGraph, dict[int, str]]:
    """A stage's graph under the network's own names, and by position of what it returns its output's name."""
    try:
        graph, _ = trace_model(stage.module, tuple(values[name] for name in stage.inputs), dt)
    except (InputError, UnsupportedError) as error:
        kind = InputError if isinstance(error, InputError) else UnsupportedError
        raise kind(f"stage {number + 1}: {error}") from error
    inputs = dict(zip((name for name, node in graph.nodes.items() if isinstance(node, nir.Input)), stage.inputs, strict=True))
    outputs = {name for name, node in graph.nodes.items() if isinstance(node, nir.Output)}
    prefix = f"{path}." if path else ""
    inner = {name: fresh_name(f"{prefix}{name}", stage.inputs) for name in graph.nodes if name not in inputs and name not in outputs}
    names = {**inputs, **inner, **{name: fresh_name(name, stage.inputs, {*inner.values()}) for name in outputs}}
    returned = {position: names[name] for name, position in json.loads(graph.metadata[KEY])["outputs"].items()}
    return _renamed(graph, names, prefix, returned), returned


def _renamed(graph: nir.NIRGraph, names: Mapping[str, str], prefix: str, returned: Mapping[int, str]) -> nir.NIRGraph:
    """The graph with other node names, in its notes too."""
    notes = read_notes(graph)
    entries = [{**entry, "node": f"{prefix}{entry['node']}"} for entry in to_json(notes.ledger)]
    about = json.loads(graph.metadata[KEY]) | {"ledger": entries, "outputs": {name: position for position, name in returned.items()}}
    about.pop("host_steps", None)  # a graph of stages is cut already
    nodes = {names[name]: node for name, node in graph.nodes.items()}
    return nir.NIRGraph(nodes, [(names[s], names[t]) for s, t in graph.edges], metadata={KEY: json.dumps(about)})


def _links(stage: Stage, number: int, returned: Mapping[int, str], paths: Mapping[nn.Module, str]) -> list[Link]:
    links = []
    for name, carry in stage.carried.items():
        position = stage.outputs.index(carry.output)
        if position not in returned:
            reason = "it is a state that no output of a graph can be"
            raise UnsupportedError(f"stage {number + 1}: {name!r} is carried from {carry.output!r}, and {reason}; carry spikes")
        links.append(Link(name, number, returned[position], carry.reduction, host_steps(carry.host, paths)))
    return links


def host_steps(module: nn.Module | None, paths: Mapping[nn.Module, str]) -> tuple[HostStep, ...]:
    """A host module as data.

    Raises:
        UnsupportedError: a module that no host step says.
    """
    if module is None or isinstance(module, nn.Identity):
        return ()
    if isinstance(module, nn.Sequential):
        return tuple(step for part in module for step in host_steps(part, paths))
    step = getattr(module, "host_step", None)
    if step is not None:
        return (step(),)
    raise UnsupportedError(
        f"{paths.get(module) or 'host module'} ({type(module).__name__}): a host between two programs counts, averages and normalises "
        "(snnfuse.networks.L2Normalise), and runs no code of a model's; move the module into a stage"
    )
