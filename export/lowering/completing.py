"""What a NIR graph leaves out although NIR's writer needs it: shapes that follow from its inputs, and arrays of no axis."""

import copy
from collections.abc import Iterator

import nir
import numpy as np

from snnfuse.export.lowering.nir_to_network import LOWERING, SUBGRAPHS, time_step
from snnfuse.export.lowering.passes import run_passes
from snnfuse.export.lowering.registry import find_neuron
from snnfuse.export.lowering.shapes import spread
from snnfuse.export.lowering.state import Lowering

CONVOLUTIONS = (nir.Conv1d, nir.Conv2d)
SHAPES = LOWERING[: [each.name for each in LOWERING].index("shapes") + 1]


def writable(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The same graph as nir.write takes it; the given one is left as it is.

    A Flatten without `input_type` and a convolution without `input_shape`, which older files and other exporters have, get them from what
    feeds them; neurons whose parameters are single numbers get one for each.

    Raises:
        UnsupportedError, InputError: shapes are missing, and the graph cannot be lowered to tell them.
    """
    found = _copied(graph)
    if any(_lacks_shape(node) or _single(node) for _, node in _nodes(found)):
        flat = SUBGRAPHS(found)
        shapes = run_passes(SHAPES, Lowering(flat, time_step(graph, None))).shapes
        for name, node in flat.nodes.items():
            if _lacks_shape(node) and flat.sources(name):
                _set_shape(node, shapes[flat.sources(name)[0]])
            for key in _single(node) if name in shapes else ():
                setattr(node, key, spread(name, key, getattr(node, key), shapes[name]))
                node.input_type, node.output_type = {"input": np.array(shapes[name])}, {"output": np.array(shapes[name])}
    for _, node in _nodes(found):
        for key, value in vars(node).items():
            if isinstance(value, np.ndarray) and not value.ndim:
                setattr(node, key, value.reshape(1))
    return found


def _single(node: nir.NIRNode) -> list[str]:
    """The parameters of a neuron, where one of them has no axis, and so says no shape to other readers."""
    lowering = find_neuron(node)
    keys = [key for key in lowering.numbers if getattr(node, key, None) is not None] if lowering else []
    return keys if any(np.ndim(getattr(node, key)) == 0 for key in keys) else []


def _copied(graph: nir.NIRGraph) -> nir.NIRGraph:
    nodes = {name: _copied(node) if isinstance(node, nir.NIRGraph) else copy.copy(node) for name, node in graph.nodes.items()}
    return nir.NIRGraph(nodes, list(graph.edges), metadata=dict(graph.metadata or {}), type_check=False)


def _nodes(graph: nir.NIRGraph) -> Iterator[tuple[str, nir.NIRNode]]:
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            yield from _nodes(node)
        else:
            yield name, node


def _lacks_shape(node: nir.NIRNode) -> bool:
    if isinstance(node, nir.Flatten):
        return _input(node) is None
    return isinstance(node, CONVOLUTIONS) and node.input_shape is None


def _input(node: nir.NIRNode) -> object:
    types = getattr(node, "input_type", None)
    return types.get("input") if isinstance(types, dict) else None


def _set_shape(node: nir.NIRNode, shape: tuple[int, ...]) -> None:
    if isinstance(node, nir.Flatten):
        whole = nir.Flatten({"input": np.array(shape)}, int(node.start_dim), int(node.end_dim))
        node.input_type, node.output_type = whole.input_type, whole.output_type
    elif isinstance(node, CONVOLUTIONS):
        size = int(shape[1]) if isinstance(node, nir.Conv1d) else (int(shape[1]), int(shape[2]))
        node.input_shape = size  # type: ignore[attr-defined,assignment]  # what nir.Conv1d and nir.Conv2d each declare
