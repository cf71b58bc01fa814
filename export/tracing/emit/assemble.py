"""From one step's terms to a NIR graph: one function per kind of term, each giving the value's signal."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
import torch
from scipy import sparse
from torch import nn

from snnfuse.export.lowering.outputs import membrane_output
from snnfuse.export.tracing.capture.trace_ops import BY_NAME, TIME_ADVICE
from snnfuse.export.tracing.emit import maps
from snnfuse.export.tracing.emit.assembly import SMALLER, Assembly
from snnfuse.export.tracing.emit.layer_use import Use
from snnfuse.export.tracing.emit.layers import flat, lower_layer
from snnfuse.export.tracing.emit.products import contract, multiply
from snnfuse.export.tracing.emit.signals import Part, Signal, added, node_signal
from snnfuse.export.tracing.emit.sums import accumulated
from snnfuse.export.tracing.neurons import is_graded, lower_neuron, restarted, spikes_node, ungraded_output
from snnfuse.export.tracing.nodes.pieces import Array, Piece, array, expanded
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.kept import Kept
from snnfuse.export.tracing.step.step import (
    ADD,
    CONSTANT,
    CONTRACT,
    DELAYED,
    INPUT,
    MODULE,
    MUL,
    NEURON,
    OPERATION,
    PART,
    ZERO,
    Step,
    Term,
)
from snnfuse.hardware.ledger import Ledger, LedgerEntry


@dataclass(frozen=True)
class Assembled:
    """A graph's parts, and what became of what forward returns.

    Attributes:
        nodes, edges: of the graph.
        ledger: what changed.
        outputs: for each NIR output, by name, which of the values that forward returns it is.
        host_steps: as of `Assembly`.
    """

    nodes: dict[str, nir.NIRNode]
    edges: list[tuple[str, str]]
    ledger: Ledger
    outputs: dict[str, int]
    host_steps: dict[str, dict]


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
    graph = Assembly(kept, model, dt)
    for index in _inputs_first(step, kept.order):
        signal = graph.folded(LOWER[step.terms[index].op](graph, index, step.terms[index]))
        graph.signals[index] = signal if kept.is_read_once(index) else replace(signal, own=frozenset())
    names = graph.output_names()
    for name, index in zip(names, kept.outputs, strict=True):
        _output(graph, name, index)
    _remove_unread(graph)
    outputs = dict(zip(names, kept.returned, strict=True))
    return Assembled(graph.nodes, list(graph.edges), tuple(graph.ledger), outputs, graph.host_steps)


def _inputs_first(step: Step, order: tuple[int, ...]) -> list[int]:
    """In the order of forward's arguments, which is then that of the graph's inputs."""
    inputs = {step.terms[i].target: i for i in order if step.terms[i].op == INPUT}
    first = [inputs[name] for name in step.inputs]
    return first + [i for i in order if i not in first]


def _output(graph: Assembly, name: str, index: int) -> None:
    """An output has the shape of the neurons that it reads."""
    neuron = graph.kept.membrane_of(index)
    nodes = _ungraded(graph, index) or _returned(graph, index) if neuron is None else _membrane(graph, neuron)
    node = nir.Output(np.array(_shape_of(graph.nodes[nodes[0]])))
    if neuron is not None and graph.membranes[neuron] is None:
        node = membrane_output(node)
    graph.nodes[name] = node
    graph.feed(nodes, name)


def _membrane(graph: Assembly, neuron: int) -> tuple[str, ...]:
    """The node whose output is a membrane, or the neuron itself where a note of the Output must say that its membrane is read."""
    return (graph.membranes[neuron] or graph.name(graph.term(neuron).target),)


def _returned(graph: Assembly, index: int) -> tuple[str, ...]:
    signal = graph.signals[index]
    if not signal.is_whole:
        reason = "it is returned, and is not what a layer or neuron puts out but computed from it"
        raise refusal(graph.term(index).where, reason, "return each neuron's spikes as they are, and do the rest outside forward")
    return tuple(name for part in signal.parts for name in part.nodes)


def _shape_of(node: nir.NIRNode) -> tuple[int, ...]:
    return tuple(int(n) for n in np.ravel(node.output_type["output"]))


def _remove_unread(graph: Assembly) -> None:
    """A factor behind spikes that outputs alone read, without it, leads nowhere."""
    for name in [name for name in graph.of_type(nir.Scale) if not graph.targets(name)]:
        graph.remove(name)


def _ungraded(graph: Assembly, index: int) -> tuple[str, ...]:
    """The binary spikes of a graded neuron that is returned: a host counts spikes, and one factor for all changes no comparison."""
    neuron = graph.kept.spiking(index)
    if neuron is None or not is_graded(module := graph.module(neuron)):
        return ()
    graph.ledger.append(ungraded_output(neuron.target, module, neuron.where))
    return (graph.name(neuron.target),)


def _input(graph: Assembly, index: int, term: Term) -> Signal:
    name = f"input_{term.target}" if term.target in graph.output_names() else term.target
    graph.nodes[name] = nir.Input(np.array(term.shape))
    return node_signal((name,), term.shape)


def _zero(graph: Assembly, index: int, term: Term) -> Signal:
    return Signal((), term.shape)


def _constant(graph: Assembly, index: int, term: Term) -> Signal:
    """A place for it: what a constant is depends on its reader, see `_argument` and `_reading`."""
    return Signal((), term.shape)


def _argument(graph: Assembly, index: int) -> Signal:
    """What a layer, a neuron or a function reads."""
    term = graph.term(index)
    if term.op != CONSTANT:
        return graph.signals[index]
    return Signal((), term.shape, _spread(term.target.value, term.shape, term.where))


def _spread(value: torch.Tensor, shape: tuple[int, ...], where: str) -> Array:
    """A constant tensor written out for every number of a sample of `shape`."""
    whole = value if value.ndim <= len(shape) else value[0]
    if value.ndim > len(shape) and not bool((value == whole).all()):
        raise refusal(where, "a constant differs between the samples of a batch", "use one value for all samples")
    return np.broadcast_to(array(whole, where), shape).reshape(-1).copy()


def _reading(graph: Assembly, index: int, term: Term) -> Signal:
    """An argument of a sum or product, spread over its shape."""
    argument = graph.term(index)
    if argument.op == CONSTANT:
        return Signal((), term.shape, _spread(argument.target.value, term.shape, term.where))
    signal = graph.signals[index]
    if signal.shape == term.shape:
        return signal
    placed = maps.moved(lambda x: x.expand(1, *term.shape), [signal.shape], 1) if len(signal.shape) == len(term.shape) else None
    if placed is None:
        reason = f"it broadcasts a sample of shape {signal.shape} to {term.shape}"
        raise refusal(term.where, reason, "give both the same number of axes")
    return signal.mapped(placed[0][0], term.shape)


def _add(graph: Assembly, index: int, term: Term) -> Signal:
    return added([_reading(graph, i, term) for i in term.args], term.shape)


def _multiply(graph: Assembly, index: int, term: Term) -> Signal:
    first, second = (_reading(graph, i, term) for i in term.args)
    if first.parts and second.parts:
        return multiply(graph, term, first, second, term.shape)
    signal, factor = (second, first) if second.parts else (first, second)
    values = np.zeros(maps.size(term.shape)) if factor.constant is None else factor.constant
    return signal.scaled(values)


def _contract(graph: Assembly, index: int, term: Term) -> Signal:
    return contract(graph, term, *(_argument(graph, i) for i in term.args))


def _operation(graph: Assembly, index: int, term: Term) -> Signal:
    """A function of tensors: a torch layer, a placement of numbers, or a linear map."""
    made, family = term.target, BY_NAME[term.target.name].family
    sources = [_argument(graph, i) for i in term.args]
    if family == "layer":
        return lower_layer(Use(graph, index, made.layer, sources[0], None))
    shapes = [s.shape for s in sources]
    per_sample = BY_NAME[made.name].sized or maps.is_per_sample(made.call, shapes)
    placed = maps.moved(made.call, shapes, made.batch) if per_sample and family == "move" else None
    if placed is None and (family == "move" or not per_sample):
        turned = f"it turns samples of shape {', '.join(map(str, shapes))} into {term.shape} across the batch"
        raise refusal(term.where, turned, f"leave the first axis to the batch; over time, {TIME_ADVICE}")
    reduced = maps.summed_over(made.call, shapes[0]) if made.name in ("sum", "mean") and per_sample else None
    if reduced is not None:
        return sources[0].mapped(reduced, term.shape)
    matrices, filled = placed if placed is not None else maps.written_out(made.call, shapes, term.where, SMALLER)
    mapped = [s.mapped(matrix, term.shape) for s, matrix in zip(sources, matrices, strict=True)]
    total = added([*mapped, Signal((), term.shape, filled if filled.any() else None)], term.shape)
    return flat(Use(graph, index, nn.Identity(), total, None), total) if family == "move" else total


def _part(graph: Assembly, index: int, term: Term) -> Signal:
    return graph.signals[term.args[0]]


def _delayed(graph: Assembly, index: int, term: Term) -> Signal:
    graph.kept.check_loop(index)
    path = term.target[0]
    return node_signal((spikes_node(graph.name(path), graph.model.get_submodule(path)),), term.shape)


def _neuron(graph: Assembly, index: int, term: Term) -> Signal:
    nodes, shape = graph.spelled(_argument(graph, term.args[0]), term.where)
    readout = graph.kept.is_readout(index)
    neuron = restarted(graph.module(term)) if term.target in graph.kept.step.fresh else graph.module(term)
    is_read = index in graph.kept.read_membranes
    piece = lower_neuron(graph.name(term.target), term.target, neuron, term.shape, graph.dt, readout, is_read)
    if shape != term.shape:
        piece = _flattened(graph, piece, term)
    if not readout:
        graph.membranes[index] = piece.membrane
    if not readout and not is_graded(graph.module(term)):
        graph.known[piece.exit] = np.ones(maps.size(shape))
    return Signal((Part(graph.place(piece, nodes), shape),), term.shape)


def _flattened(graph: Assembly, piece: Piece, term: Term) -> Piece:
    """The same neurons in a row, because what feeds them is."""
    fed_back = any(graph.term(i).op == DELAYED and graph.term(i).target[0] == term.target for i in graph.kept.order)
    if fed_back or any(isinstance(node, nir.Conv2d) for node in piece.nodes.values()):
        reason = "what feeds it must be written out as a vector, which its recurrence over images cannot read"
        raise refusal(term.where, reason, "flatten before it, or feed it by layers that NIR has")
    return replace(piece, nodes={name: _row(node) for name, node in piece.nodes.items()})


def _row(node: nir.NIRNode) -> nir.NIRNode:
    arrays = {k: v.reshape(-1) for k, v in vars(node).items() if isinstance(v, np.ndarray) and k not in ("input_type", "output_type")}
    return replace(node, **arrays)


def _module(graph: Assembly, index: int, term: Term) -> Signal:
    module, source = graph.module(term), _argument(graph, term.args[0])
    if hasattr(module, "folded_scale"):
        return _scale(graph, term, module, source)
    if hasattr(module, "accumulates"):
        return accumulated(graph, term, module, source)
    return lower_layer(Use(graph, index, module, source, term.target))


def _scale(graph: Assembly, term: Term, module: Any, source: Signal) -> Signal:
    """A module that says what factor it folds to: `folded_scale() -> (scale, (change, reason))`."""
    if term.shape != source.shape:
        raise refusal(
            term.where, f"it changes shape {source.shape} into {term.shape}, and a scale cannot", "fold it to one factor per feature"
        )
    scale, (change, reason) = module.folded_scale()
    name = f"{term.target}.folded_scale()"
    factors = expanded(array(torch.as_tensor(scale), name), source.shape, name)
    graph.ledger.append(LedgerEntry(term.target, change, reason))
    flat_factors, stem = factors.reshape(-1), graph.stem(term, term.target)

    def lower(name: str, part: Part, first: bool) -> Part:
        own = flat_factors if part.view is None else _of_part(part, flat_factors)
        if own is None:
            return part.seen(sparse.diags(flat_factors, format="csr"))
        return replace(graph.placed(name, nir.Scale(own.reshape(part.shape)), part, part.shape), view=part.view)

    parts = graph.each_part(source, stem, lower)
    graph.note_host_step(term.target, module, parts)
    constant = None if source.constant is None else source.constant * flat_factors
    return Signal(parts, source.shape, constant)


def _of_part(part: Part, factors: Array) -> Array | None:
    """The factors of a part's own numbers, where each of them appears once and as it is."""
    columns = part.matrix.tocsc()
    once = (np.diff(columns.indptr) == 1).all() and (columns.data == 1).all()
    return columns.T @ factors if once else None


LOWER: dict[str, Callable[[Assembly, int, Term], Signal]] = {
    INPUT: _input, ZERO: _zero, CONSTANT: _constant, ADD: _add, MUL: _multiply, CONTRACT: _contract, OPERATION: _operation, PART: _part,
    DELAYED: _delayed, NEURON: _neuron, MODULE: _module,
}  # fmt: skip
