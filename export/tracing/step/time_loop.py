"""From a trace to one time step.

A forward either computes one step, or unrolls its own loop over time. In a loop every neuron is called once per step;
call t belongs to step t, and what a step reads of the step before is written as DELAYED. The loop is accepted if all
its steps are then the same expression, except that in the first one zeros may stand where later ones read the step
before.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import fx

from snnfuse.export.tracing.capture.fx_types import argument_node, module_path
from snnfuse.export.tracing.capture.trace import Trace
from snnfuse.export.tracing.capture.trace_ops import BY_NAME, PRECISE, PRODUCT_ADVICE, TIME_ADVICE, not_last, over_batch
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.calls import Calls
from snnfuse.export.tracing.step.carried_states import check_states, refuse_restarts
from snnfuse.export.tracing.step.contractions import CONTRACTIONS, contraction, data_factors, multiplies_data
from snnfuse.export.tracing.step.fx_nodes import (
    factors,
    first_input,
    inputs,
    live_nodes,
    operands,
    refuse_shared_in_place,
    returned,
)
from snnfuse.export.tracing.step.operations import Constant, Operation, data_nodes, operation
from snnfuse.export.tracing.step.returns import leaves, recorded, refused_output
from snnfuse.export.tracing.step.sequences import check_step_by_step, find_sequences
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
    Reading,
    Step,
)
from snnfuse.export.tracing.step.step_reads import Read, step_read
from snnfuse.export.tracing.step.terms import Terms

REDUCING = ("sum", "mean", "cumsum")


def one_step(trace: Trace) -> Step:
    """The step that every iteration of the model computes.

    Raises:
        UnsupportedError: the iterations differ, a state is set between them, or a result is never used.
    """
    return Loop(trace).reduce()


class Loop:
    """What a trace computes in each step, as terms.

    Attributes:
        model: whose forward was traced.
        steps: of its own loop over time; 1 without one.
        fresh: the paths of neurons that every call starts from zeros.
    """

    def __init__(self, trace: Trace) -> None:
        self.model, self.left = trace.model, trace.left
        self.all, self.nodes = list(trace.graph.nodes), live_nodes(trace)
        self.neurons = [n for n in self.nodes if n.meta.get("op") == "neuron"]
        self.calls = Calls(trace.model, self.nodes, self.neurons)
        self.steps, self.step_of = self.calls.steps, self.calls.steps_of(self.nodes)
        self.over_time = find_sequences(trace.model, self.nodes, self.steps, self.step_of)
        self.state_inputs, self.fresh = check_states(self.neurons, self.steps)
        self.terms = Terms()
        self.known: dict[tuple[fx.Node, int], int] = {}

    @property
    def input_axes(self) -> tuple[int | None, ...]:
        """Of every input which axis is time; None where it is read as a whole."""
        return tuple(self._axis(n) for n in self.nodes if n.op == "placeholder")

    def _axis(self, node: fx.Node) -> int | None:
        place = self.over_time.axes.get(node)
        return place if isinstance(place, int) else None

    def reduce(self) -> Step:
        """The step that every iteration computes; errors as of `one_step`."""
        values, keys = returned(self.nodes[-1], self.left)
        for node in self.all:
            refuse_shared_in_place(node)
        found, keys = leaves(values, keys, self.over_time)
        outputs, readings = zip(*(self._output(value) for _, value in found), strict=True)
        readings = tuple(replace(r, path=path) if len(path) > 1 else r for (path, _), r in zip(found, readings, strict=True))
        self._unify_calls()
        kinds = {path: type(self.model.get_submodule(path)) for path in self.fresh}
        reads_steps = any(read is not None and read.source.op == "placeholder" and read.axis == 0 for read in map(step_read, self.nodes))
        refuse_restarts(self.fresh, self.neurons, [self.terms[i] for i in outputs], kinds, reads_steps)
        inputs = [n for n in self.nodes if n.op == "placeholder" and n not in self.state_inputs]
        _refuse_unread(inputs, self.terms)
        names = tuple(module_path(n) for n in inputs)
        axes = tuple(map(self._axis, inputs))
        return Step(tuple(self.terms), outputs, names, keys, self.steps, axes, readings, self.fresh)

    def term(self, node: fx.Node, step: int) -> int:
        """The index of what `node` is, seen from `step`."""
        waiting = [node]  # an explicit stack: a network may be deeper than Python's recursion allows
        while waiting:
            missing = [read for read in self._reads(waiting[-1], step) if (read, step) not in self.known]
            if missing:
                waiting.extend(missing)
                continue
            here = waiting.pop()
            if (here, step) not in self.known:
                self.known[here, step] = self._term(here, step)
        return self.known[node, step]

    def _reads(self, node: fx.Node, step: int) -> list[fx.Node]:
        """The nodes that must be terms before this one is."""
        call = argument_node(node) if node.meta["op"] == "part" else node
        if node.op == "placeholder" or call.op == "call_module" and self._delay(call, step):
            return []
        if node in self.over_time.recorded:
            return [self._of_step(node, step)]
        read = self.over_time.read(node)
        if read is not None:
            return [self._read(read, node, step)]
        return node.all_input_nodes

    def _term(self, node: fx.Node, step: int) -> int:
        op = node.meta["op"]
        if op == "input":
            return self._intern(INPUT, node.target, (), node)
        if op == "constant":
            return self._constant(node.meta["value"], node)
        if node in self.over_time.recorded:
            return self.term(self._of_step(node, step), step)
        read = self.over_time.read(node)
        if read is not None:
            return self._step_read(read, node, step)
        if op == "part":
            return self._part(node, step)
        check_step_by_step(node, self.over_time)
        if op in ("module", "neuron"):
            self._check_sum(node)
            delay = self._delay(node, step)
            if delay:
                return self._delayed(node, delay, "output")
            return self._intern(NEURON if op == "neuron" else MODULE, node.target, self._args(inputs(node), step), node)
        return self._operation(node, step)

    def _check_sum(self, node: fx.Node) -> None:
        """A sum over time is one, fed once per step, of a model whose forward is one step."""
        path = module_path(node)
        if self.calls.count[path] > 1 and hasattr(self.model.get_submodule(path), "accumulates"):
            reason = f"it sums over time, and forward calls it {self.calls.count[path]} times"
            raise refusal(node.meta["where"], reason, "let forward be one time step, and give every sum its own module")

    def _operation(self, node: fx.Node, step: int) -> int:
        kept = BY_NAME[node.meta["op"]]
        if kept.family == "same":
            return self._same(node, step)
        if kept.family == "sum":
            return self._sum(node, step)
        if kept.family == "product":
            return self._product(node, step)
        if kept.family == "last":
            raise not_last(node)
        data = data_nodes(node)
        if self.over_time.functions.get(node) is not None:
            return self._intern(OPERATION, self._over_time(node), self._args(data, step), node)
        if node.meta["op"] in REDUCING and over_batch(node.args, node.kwargs):
            reason = f"{node.meta['op']}() is a reduction over the first axis, batch or time, which one time step of NIR cannot hold"
            raise refusal(node.meta["where"], reason, TIME_ADVICE)
        if kept.family == "layer" and (len(data) != 1 or data[0] is not first_input(node)):
            raise refusal(node.meta["where"], "its weights depend on the input, and NIR has no product", PRODUCT_ADVICE)
        if node in self.over_time.axes:
            return self._intern(OPERATION, replace(operation(node), batch=len(self.over_time.in_step(node))), self._args(data, step), node)
        if node.meta["op"] in CONTRACTIONS and multiplies_data(node):
            factors = data_factors(node)
            return self._intern(CONTRACT, contraction(node, *factors), self._args(factors, step), node)
        return self._intern(OPERATION, operation(node), self._args(data, step), node)

    def _sum(self, node: fx.Node, step: int) -> int:
        terms = []
        for value, factor in zip(*operands(node), strict=True):
            if not isinstance(value, fx.Node) or value.meta["op"] == "constant":
                held = value.meta["value"] if isinstance(value, fx.Node) else torch.as_tensor(value, dtype=torch.float64)
                terms.append(self._constant(held.to(torch.float64) * factor, node))
                continue
            term = self.term(value, step)
            if factor != 1:
                minus = self._constant(torch.tensor(factor, dtype=torch.float64), node)
                term = self._intern(MUL, None, (term, minus), node, self.terms[term].shape)
            terms.append(term)
        return self._intern(ADD, None, tuple(terms), node)

    def _product(self, node: fx.Node, step: int) -> int:
        return self._intern(MUL, None, tuple(self._value(value, node, step) for value in factors(node)), node)

    def _value(self, value: Any, node: fx.Node, step: int) -> int:
        """A tensor of the trace, or a constant."""
        if isinstance(value, fx.Node):
            return self.term(value, step)
        return self._constant(torch.as_tensor(value, dtype=torch.float64), node)

    def _constant(self, value: torch.Tensor, node: fx.Node) -> int:
        shape = tuple(value.shape[1:])
        if value.ndim and not value.any():
            return self._intern(ZERO, None, (), node, shape)
        return self._intern(CONSTANT, Constant.of(value), (), node, shape)

    def _args(self, nodes: Any, step: int) -> tuple[int, ...]:
        return tuple(self.term(node, step) for node in nodes)

    def _same(self, node: fx.Node, step: int) -> int:
        if node.meta["value"].dtype not in PRECISE:
            raise refusal(node.meta["where"], f"it rounds to {node.meta['value'].dtype}", "keep float32 or float64")
        return self.term(first_input(node), step)

    def _delay(self, call: fx.Node, step: int) -> int:
        """How many steps before `step` a module was called; 0 for what is the same in all."""
        own = self.calls.step_of(call)
        return 0 if own is None else step - own

    def _part(self, node: fx.Node, step: int) -> int:
        call = argument_node(node)
        delay = self._delay(call, step)
        if delay:
            return self._delayed(node, delay, node.meta["part"])
        return self._intern(PART, node.meta["part"], (self.term(call, step),), node)

    def _delayed(self, node: fx.Node, delay: int, part: str) -> int:
        call = argument_node(node) if node.meta["op"] == "part" else node
        if delay != 1:
            when = f"{delay} steps before" if delay > 0 else "of a later step"
            raise refusal(node.meta["where"], f"a step of the loop reads its value {when}", "read this step, or the step before, only")
        return self._intern(DELAYED, (call.target, part), (), node)

    def _of_step(self, node: fx.Node, step: int) -> fx.Node:
        """What a loop recorded in a step."""
        return self.over_time.recorded[node][step]

    def _read(self, read: Read, node: fx.Node, step: int) -> fx.Node:
        """The node whose value a step reads of a value over time: of what a loop recorded the recorded one, else the whole."""
        if read.source in self.over_time.recorded:
            return self._of_step(read.source, read.index)
        length = read.source.meta["value"].shape[read.axis]
        if length != self.steps:
            reason = f"it has {length} time steps and the loop runs {self.steps}"
            raise refusal(read.source.meta["where"], reason, f"give it {self.steps} time steps, or loop over all that it has")
        if read.index != step:
            raise refusal(node.meta["where"], f"step {step} of the loop reads input step {read.index}", "read x[t] in step t")
        return read.source

    def _step_read(self, read: Read, node: fx.Node, step: int) -> int:
        whole = self.term(self._read(read, node, step), step)
        if read.rest is None:
            return whole
        rest, shape = read.rest, self.terms[whole].shape
        batch = len(node.meta["value"])
        part = Operation("getitem", ("of a step", repr(rest)), batch, lambda x: x[rest])
        return self._intern(OPERATION, part, (whole,), node, tuple(torch.zeros(1, *shape)[rest].shape[1:]))

    def _over_time(self, node: fx.Node) -> Operation:
        """What a function of all steps does to one."""
        made, function = operation(node), self.over_time.functions[node]
        assert function is not None, node
        batch = len(self.over_time.in_step(node))
        return replace(made, given=("over time", made.given), batch=batch, call=function, layer=None)

    def _intern(self, op: str, target: Any, args: tuple[int, ...], node: fx.Node, shape: tuple[int, ...] | None = None) -> int:
        return self.terms.intern(op, target, args, self.over_time.shape(node) if shape is None else shape, node.meta["where"])

    def _output(self, value: Any) -> tuple[int, Reading]:
        """The term of a returned value in one step, and what it is of the window."""
        given = fx.Node if self.steps == 1 else fx.Node | list | tuple
        found = recorded(value, self.model, self.over_time, self.step_of) if isinstance(value, given) else None
        if found is None and self.steps == 1 and isinstance(value, fx.Node):
            return self.term(value, 0), Reading()
        if found is None:
            raise refused_output(value, self.steps)
        if found.each and len(found.each) != self.steps:
            raise refusal("forward", f"it returns {len(found.each)} recorded steps of a loop over {self.steps}", "record every step")
        if found.last is not None:
            return self._read_as(self.term(found.last, self.steps - 1), found.reading, value)
        each = [self.term(n, t) for t, n in enumerate(found.each or [found.whole] * self.steps) if n is not None]
        template = each[min(1, len(each) - 1)]
        for step, first in enumerate(each):
            self.terms.check_same(first, template, step)
        return self._read_as(template, found.reading, value)

    def _read_as(self, index: int, reading: Reading, value: Any) -> tuple[int, Reading]:
        term = self.terms[index]
        if reading.reduction == "max" and term.op == PART and term.target == "spikes":
            reason = "it is the largest of a neuron's spikes over time, which no decoder reads"
            raise refusal(value.meta["where"], reason, "return the stacked spikes, or the largest of the membrane")
        return index, reading

    def _unify_calls(self) -> None:
        """Every neuron computes the same in every step, also where only the last is returned."""
        if self.steps == 1:
            return
        reached = {term.target for term in self.terms if term.op == NEURON}
        calls: dict[tuple[str, int], list[fx.Node]] = {}
        for node in self.neurons:
            place = self.calls.place(node)
            calls.setdefault((module_path(node), place), []).append(node)
        for (path, _), each in calls.items():
            if path in reached:
                template = self.term(each[1], 1)
                for step, node in enumerate(each):
                    self.terms.check_same(self.term(node, step), template, step)


def _refuse_unread(inputs: list[fx.Node], terms: Terms) -> None:
    """What forward computes and does not return is left out, but an input that nothing reads may be a mistake."""
    read = {term.target for term in terms if term.op == INPUT}
    for node in inputs:
        if node.target not in read:
            raise refusal(node.meta["where"], "it never reaches what forward returns", "remove it from forward")
