"""From a snnTorch model to a record of what its forward computes: an fx graph with an example value at every node."""

from dataclasses import dataclass

import torch
from torch import fx, nn

from snnfuse.export.tracing.capture.arguments import Bound, bind, is_leaf, root_of, tensors_of
from snnfuse.export.tracing.capture.left import left_on
from snnfuse.export.tracing.capture.repeated import changed, contents, draws, kept_between, random_states, remembers, same_graph
from snnfuse.export.tracing.capture.tracer import HOOKED, ConcreteTracer, first_line, shapes_of
from snnfuse.export.tracing.capture.untouched import untouched
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.hardware.errors import InputError, SnnfuseError


@dataclass(frozen=True)
class Trace:
    """What a forward computed.

    Attributes:
        model: the traced module; module paths in `graph` are relative to it.
        graph: nodes with `meta`: "value", the example tensor (batch, *shape); "op", the operation's name; "where", for
            messages; on a module call also "call", its number, and on a neuron "state", where each state came from.
        left: where forward leaves a result on the model and returns nothing, in Python; empty for nowhere.
    """

    model: nn.Module
    graph: fx.Graph
    left: str = ""


def trace(model: nn.Module, sample: tuple[torch.Tensor | int, ...], steps: int | None = None) -> Trace:
    """Run forward on `sample`, bound to its arguments as `bind` does, and record it; the model is left as it was.

    It is run twice, to see that it computes the same when it is called again. The second run is the one that counts: in
    it a neuron whose states forward keeps in attributes of its own continues from them.

    Raises:
        UnsupportedError: an operation or module that cannot be expressed, by name, or a forward that keeps something
            itself from call to call.
        InputError: the sample does not fit the model.
    """
    root = root_of(model)
    _check_forward(root, type(model).__name__)
    _refuse_asking(root)
    bound = bind(root, sample, steps)
    with untouched(root):
        before = random_states()
        first = _traced(root, model, bound)
        if random_states() != before:
            raise draws(type(model).__name__)
        held = contents(root)
        try:
            second = _traced(root, model, bound)
        except SnnfuseError as error:  # the first call went well: what it left behind is the reason
            raise remembers(type(model).__name__, kept_between(held)) from error
        kept = changed(held, contents(root))
        if kept or not same_graph(first.graph, second.graph):
            raise remembers(type(model).__name__, kept or kept_between(held))
    return second


def _check_forward(root: nn.Module, where: str) -> None:
    """A trace runs the forward of the class, so that must be all that a call runs."""
    if root._forward_hooks or root._forward_pre_hooks:
        raise refusal(where, *HOOKED)
    if "forward" in vars(root) or type(root).__call__ is not nn.Module.__call__:
        name = "forward" if "forward" in vars(root) else "__call__"
        raise refusal(where, f"its {name} was replaced by another function", "write it in the forward of its class")


def _refuse_asking(root: nn.Module) -> None:
    """A traced value is no torch.Tensor, and must not pass for one: torch's own C code would read it as memory."""
    for path, module in root.named_modules():
        own = [] if is_leaf(module) else [kind for kind in type(module).__mro__ if not kind.__module__.startswith("torch.")]
        codes = [value.__code__ for kind in own for value in vars(kind).values() if hasattr(value, "__code__")]
        names = {name for code in codes for name in code.co_names if code.co_name != "__init__"}
        if "is_tensor" in names or ("Tensor" in names and names & {"isinstance", "type"}):
            reason = "forward asks whether a value is a torch.Tensor, and a traced value stands in for one"
            raise refusal(path or type(module).__name__, reason, "ask for what it is not: isinstance(x, (tuple, list))")


def _traced(root: nn.Module, model: nn.Module, bound: tuple[Bound, ...]) -> Trace:
    """One run of forward; `model` names it in messages."""
    tracer = ConcreteTracer(root, bound)
    try:
        with tracer.records:
            graph = tracer.trace(root)
    except SnnfuseError:
        raise
    except Exception as error:  # whatever a user's forward raises ends in one line
        shapes = shapes_of(tuple(tensors_of(bound)))
        raise InputError(f"{type(model).__name__}.forward failed on the sample {shapes}: {first_line(error)}") from error
    if tracer.refused:
        raise tracer.refused
    return Trace(root, graph, left_on(root))
