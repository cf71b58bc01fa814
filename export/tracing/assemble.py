"""From one step's terms to a NIR graph: one function per kind of term, each placing nodes and returning the value."""

from collections.abc import Callable
from dataclasses import dataclass

import nir
import numpy as np
import torch
from torch import nn

from snnfuse.export.tracing.assembly import Assembly, Shape, Signal
from snnfuse.export.tracing.kept import Kept
from snnfuse.export.tracing.neurons import is_graded, lower_neuron, spikes_node, ungraded_output
from snnfuse.export.tracing.pieces import Piece, array, expanded, single
from snnfuse.export.tracing.refusal import refusal
from snnfuse.export.tracing.step import ADD, CAT, DELAYED, FLATTEN, INPUT, MODULE, NEURON, PART, Step, Term
from snnfuse.export.tracing.torch_advice import advice
from snnfuse.export.tracing.torch_layers import (
    IDENTITIES,
    NORMS,
    WEIGHTED,
    Weighted,
    lower_avg_pool,
    lower_conv,
    lower_linear,
    lower_max_pool,
    normalised,
    weighted,
)
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ledger import Ledger, LedgerEntry


@dataclass(frozen=True)
class Assembled:
    """A graph's parts, and what became of what forward returns.

    Attributes:
        nodes, edges: of the graph.
        ledger: what changed.
        outputs: for each NIR output, by name, which of the values that forward returns it is.
    """

    nodes: dict[str, nir.NIRNode]
    edges: list[tuple[str, str]]
    ledger: Ledger
    outputs: dict[str, int]


def assemble(step: Step, model: nn.Module, dt: float) -> Assembled:
    """The NIR graph of a step.

    Args:
        step: what one time step computes.
        model: holds the modules that its terms name.
        dt: seconds per step.

    Raises:
        UnsupportedError, InputError: see the functions for each kind of term.
    """
    kept = Kept.of(step, model)
    graph = Assembly(kept, model, dt, ledger=list(kept.ledger))
    for index in _inputs_first(step, kept.order):
        graph.signals[index] = LOWER.get(step.terms[index].op, _constant)(graph, index, step.terms[index])
    names = graph.output_names()
    for name, index in zip(names, kept.outputs, strict=True):
        _output(graph, name, index)
    _remove_unread(graph)
    return Assembled(graph.nodes, graph.edges, tuple(graph.ledger), dict(zip(names, kept.returned, strict=True)))


def _inputs_first(step: Step, order: tuple[int, ...]) -> list[int]:
    """In the order of forward's arguments, which is then that of the graph's inputs."""
    inputs = {step.terms[i].target: i for i in order if step.terms[i].op == INPUT}
    first = [inputs[name] for name in step.inputs]
    return first + [i for i in order if i not in first]


def _output(graph: Assembly, name: str, index: int) -> None:
    term, signal = graph.term(index), graph.signals[index]
    graph.nodes[name] = nir.Output(np.array(term.shape))
    graph.connect(_ungraded(graph, index) or _joined(signal, term.where, "it is returned"), name, "forward")


def _remove_unread(graph: Assembly) -> None:
    """A factor behind spikes that outputs alone read, without it, leads nowhere."""
    read = {source for source, _ in graph.edges}
    for name in [n for n, node in graph.nodes.items() if isinstance(node, nir.Scale) and n not in read]:
        del graph.nodes[name]
        graph.edges = [edge for edge in graph.edges if name not in edge]


def _ungraded(graph: Assembly, index: int) -> tuple[str, ...]:
    """The binary spikes of a graded neuron that is returned: a host counts spikes, and one factor for all changes no comparison."""
    neuron = graph.kept.spiking(index)
    module = graph.module(neuron) if neuron else None
    if neuron is None or not is_graded(module):
        return ()
    graph.ledger.append(ungraded_output(neuron.target, module, neuron.where))
    return (graph.name(neuron.target),)


def _joined(signal: Signal, where: str, use: str) -> tuple[str, ...]:
    """The nodes of a signal that must be whole."""
    if len(signal.parts) > 1:
        raise refusal(
            where, f"{use} as a concatenation, which NIR lacks", "give it to a Linear or Conv2d, or keep its parts apart"
        )
    return signal.parts[0]


def _input(graph: Assembly, index: int, term: Term) -> Signal:
    name = f"input_{term.target}" if term.target in graph.output_names() else term.target
    graph.nodes[name] = nir.Input(np.array(term.shape))
    return Signal(((name,),), (term.shape,))


def _constant(graph: Assembly, index: int, term: Term) -> Signal:
    raise refusal(term.where, "a constant enters the computation", "put it into a layer's bias")


def _add(graph: Assembly, index: int, term: Term) -> Signal:
    addends = [graph.signals[a] for a in term.args]
    if len({a.shapes for a in addends}) > 1:
        raise refusal(term.where, "a concatenation is added to something that has other parts", "concatenate after adding")
    return Signal(tuple(sum(parts, ()) for parts in zip(*(a.parts for a in addends), strict=True)), addends[0].shapes)


def _cat(graph: Assembly, index: int, term: Term) -> Signal:
    joined = [graph.signals[a] for a in term.args]
    return Signal(sum((s.parts for s in joined), ()), sum((s.shapes for s in joined), ()))


def _part(graph: Assembly, index: int, term: Term) -> Signal:
    return graph.signals[term.args[0]]


def _delayed(graph: Assembly, index: int, term: Term) -> Signal:
    graph.kept.check_loop(index)
    path = term.target[0]
    return Signal(((spikes_node(graph.name(path), graph.model.get_submodule(path)),),), (term.shape,))


def _neuron(graph: Assembly, index: int, term: Term) -> Signal:
    source = _joined(graph.signals[term.args[0]], term.where, "it reads its input")
    readout = graph.kept.is_readout(index)
    piece = lower_neuron(graph.name(term.target), term.target, graph.module(term), term.shape, graph.dt, readout)
    return Signal((graph.place(piece, source, term.where),), (term.shape,))


def _flatten(graph: Assembly, index: int, term: Term, path: str | None = None) -> Signal:
    source = graph.signals[term.args[0]]
    if term.shape == graph.term(term.args[0]).shape:
        return source
    path = path or graph.free_name("flatten")
    parts = graph.each_part(
        source, path, term.where, lambda name, shape, start: single(name, nir.Flatten(np.array(shape), 0, -1))
    )
    return Signal(parts, tuple((int(np.prod(shape)),) for shape in source.shapes))


def _module(graph: Assembly, index: int, term: Term) -> Signal:
    module, source = graph.module(term), graph.signals[term.args[0]]
    if hasattr(module, "folded_scale"):
        return _scale(graph, term, module, source)
    if type(module) in IDENTITIES:
        return source
    if type(module) is nn.Flatten:
        return _flatten_module(graph, index, term)
    if type(module) in WEIGHTED:
        return _weighted(graph, index, term, module, source)
    if type(module) in NORMS:
        return graph.signals[graph.kept.normalised(index)]
    if type(module) in (nn.AvgPool2d, nn.MaxPool2d):
        return _pool(graph, index, term, module, source)
    raise refusal(term.where, f"{type(module).__name__} has no NIR form here", advice(module))


def _flatten_module(graph: Assembly, index: int, term: Term) -> Signal:
    before = graph.term(term.args[0]).shape
    if term.shape not in (before, (int(np.prod(before)),)):
        raise refusal(
            term.where,
            f"it turns a sample of shape {before} into {term.shape}",
            "use Flatten(start_dim=1), all of a sample into one axis",
        )
    return _flatten(graph, index, term, term.target)


def _scale(graph: Assembly, term: Term, module: nn.Module, source: Signal) -> Signal:
    """A module that says what factor it folds to: `folded_scale() -> (scale, (change, reason))`."""
    before = graph.term(term.args[0]).shape
    if term.shape != before:
        raise refusal(
            term.where, f"it changes shape {before} into {term.shape}, and a scale cannot", "fold it to one factor per feature"
        )
    scale, (change, reason) = module.folded_scale()
    factors = expanded(array(torch.as_tensor(scale), f"{term.target}.folded_scale()"), before, f"{term.target}.folded_scale()")
    graph.ledger.append(LedgerEntry(term.target, change, reason))
    parts = graph.each_part(
        source,
        term.target,
        term.where,
        lambda name, shape, start: single(name, nir.Scale(factors[start : start + shape[0]].copy())),
    )
    return Signal(parts, source.shapes)


def _weighted(graph: Assembly, index: int, term: Term, module: nn.Module, source: Signal) -> Signal:
    """A Linear or Conv2d, with the batch norm behind it; of a concatenation, one map per part, the bias in the first."""
    layer = weighted(term.target, module)
    norm = graph.kept.norm_behind(index)
    if norm is not None:
        layer = normalised(layer, norm.target, graph.module(norm), norm.where)
    axes = 1 if isinstance(module, nn.Linear) else 3
    _check_axes(graph, term, axes)

    def lower(name: str, shape: Shape, start: int) -> Piece:
        columns = layer.weight[:, start : start + shape[0]].copy()
        slice_ = Weighted(columns, layer.bias if start == 0 else None)
        return single(name, lower_linear(slice_) if axes == 1 else lower_conv(module, slice_, shape, term.where))

    return Signal((sum(graph.each_part(source, term.target, term.where, lower), ()),), (term.shape,))


def _pool(graph: Assembly, index: int, term: Term, module: nn.Module, source: Signal) -> Signal:
    _check_axes(graph, term, 3)
    out = tuple((shape[0], *term.shape[1:]) for shape in source.shapes)
    if isinstance(module, nn.AvgPool2d):
        node = lower_avg_pool
        return Signal(
            graph.each_part(source, term.target, term.where, lambda name, *_: single(name, node(module, term.where))), out
        )
    graph.kept.check_binary(index)
    parts = graph.each_part(
        source,
        term.target,
        term.where,
        lambda name, shape, _: lower_max_pool(name, module, (shape[0], *term.shape[1:]), term.where),
    )
    return Signal(parts, out)


def _check_axes(graph: Assembly, term: Term, axes: int) -> None:
    shape = graph.term(term.args[0]).shape
    if len(shape) == axes:
        return
    if axes == 1 and len(shape) > 1:
        raise refusal(term.where, f"it reads samples of shape {shape}, and NIR's linear map reads a vector", "flatten before it")
    reason = f"it reads samples of shape {shape} behind the batch axis, and needs {axes} axes"
    raise InputError(f"{term.where}: {reason}; give the sample a batch axis first")


LOWER: dict[str, Callable[[Assembly, int, Term], Signal]] = {
    INPUT: _input, ADD: _add, CAT: _cat, PART: _part, DELAYED: _delayed, NEURON: _neuron, FLATTEN: _flatten, MODULE: _module,
}  # fmt: skip
