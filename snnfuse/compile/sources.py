"""From a file to a float graph: open a model, trace it, and measure what tracing changed."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snnfuse.data.samples import Samples
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsupportedError
from snnfuse.hardware.ledger import Ledger

if TYPE_CHECKING:
    import nir
    from torch import Tensor, nn

CHECKPOINTS = (".pt", ".pth", ".ckpt")
MEASURED_SAMPLES = 32  # run through model and graph, to measure what tracing changed


@dataclass(frozen=True, eq=False)
class Graph:
    """A float graph and what changed on the way to it."""

    nir: "nir.NIRGraph"
    ledger: Ledger


def open_model(
    path: str | Path, *, model: str | Callable[[], "nn.Module"] | None = None, allow_pickle: bool = False
) -> "nn.Module | nir.NIRGraph":
    """A torch module from a checkpoint, or a graph from a .nir file.

    Args and errors: as `snnfuse.load_checkpoint` and `snnfuse.export.lowering.nir_file.read_graph`.
    """
    path = Path(path)
    if path.suffix == ".nir":
        from snnfuse.export.lowering.nir_file import read_graph

        return read_graph(path)
    if path.suffix not in CHECKPOINTS:
        raise InputError(f"{path}: a model is a checkpoint ({', '.join(CHECKPOINTS)}), a NIR graph (.nir) or a netx file (.net)")
    from snnfuse.checkpoints.checkpoint import load_checkpoint

    return load_checkpoint(path, model=model, allow_pickle=allow_pickle)


def is_fixed_point(source: "nn.Module | nir.NIRGraph") -> bool:
    """Whether it is a network in the chip's arithmetic, whose integers are chosen."""
    if is_graph(source):
        return False
    from snnfuse.nn import FixedPointNetwork

    return isinstance(source, FixedPointNetwork)


def is_staged(source: "nn.Module | nir.NIRGraph") -> bool:
    """Whether it is a network in stages, which becomes a program per stage."""
    if is_graph(source):
        return False
    from snnfuse.networks import Staged

    return isinstance(source, Staged)


def is_graph(source: "nn.Module | nir.NIRGraph") -> bool:
    """Whether it is a float graph already, not a torch module."""
    import nir

    return isinstance(source, nir.NIRGraph)


def input_names(source: "nn.Module | nir.NIRGraph") -> tuple[str, ...]:
    """The names under which a model or graph takes its inputs: what forward requires, but for the model's own `inputs`."""
    import nir

    if is_graph(source):
        return tuple(name for name, node in source.nodes.items() if isinstance(node, nir.Input))
    if hasattr(source, "inputs"):
        return tuple(source.inputs)
    parameters = inspect.signature(source.forward).parameters.values()
    return tuple(p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


def make_graph(
    source: "nn.Module | nir.NIRGraph",
    shapes: Mapping[str, tuple[int, ...]],
    *,
    dt: float | None = None,
    steps: int | None = None,
) -> Graph:
    """The float graph of a model; a graph stays as it is.

    Args:
        source: what `open_model` gave.
        shapes: of one time step of one sample, by input name.
        dt: seconds per step; None: 1e-4.
        steps: for a model whose forward loops over time itself, how many time steps to give it; None for one step per call.
    """
    if is_graph(source):
        return Graph(source, ())
    if is_fixed_point(source):
        return Graph(source.graph, ())
    from snnfuse.export import trace_model

    lead = (1,) if steps is None else (steps, 1)
    sample = tuple(_zeros(name, (*lead, *shapes[name])) for name in input_names(source))
    given = {} if dt is None else {"dt": dt}
    try:
        traced = Graph(*trace_model(source, sample, **given))
        if steps is not None:
            _check_loops(traced.nir, shapes)
        return traced
    except SnnfuseError as error:
        if steps is None or not _is_traceable(source, tuple(x[0] for x in sample)):
            raise
        raise type(error)(f"{error}; it can be traced without --time-steps, so leave that out") from error


def _check_loops(graph: "nir.NIRGraph", shapes: Mapping[str, tuple[int, ...]]) -> None:
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
    from snnfuse.export import trace_model

    try:
        trace_model(model, sample)
    except SnnfuseError:
        return False
    return True


def check_shapes(source: "nn.Module | nir.NIRGraph", shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse inputs of another shape than a network of ours was made for: its convolutions would take them all the same.

    Raises:
        InputError: names the input and both shapes.
    """
    config = getattr(source, "config", None)
    for name, shape in shapes.items():
        declared = getattr(config, name, None)
        sizes = (declared,) if isinstance(declared, int) else declared
        if isinstance(sizes, (tuple, list)) and all(isinstance(size, int) for size in sizes) and tuple(sizes) != tuple(shape):
            raise InputError(f"input {name!r} has shape {tuple(shape)} in one step, but the network was made for {tuple(sizes)}")


def measure_graph(source: "nn.Module | nir.NIRGraph", graph: Graph, samples: Samples, *, unrolled: bool = False) -> Graph:
    """The graph with the measured effect of what tracing changed in its ledger; a foreign graph stays as it is.

    Args:
        source: the model.
        graph: what `make_graph` made of it.
        samples: the first of them are run through both.
        unrolled: whether the model's forward loops over time itself.
    """
    if is_graph(source) or not graph.ledger:
        return graph
    from snnfuse.export.tracing.measured import measured_ledger

    return Graph(*measured_ledger(source, graph.nir, graph.ledger, samples.select(slice(MEASURED_SAMPLES)).inputs, unrolled))
