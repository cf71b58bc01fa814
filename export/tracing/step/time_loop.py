"""From a trace to one time step.

A forward either computes one step, or unrolls its own loop over time. In a loop every neuron is called once per step;
call t belongs to step t, and what a step reads of the step before is written as DELAYED. The loop is accepted if all
its steps are then the same expression, except that in the first one zeros may stand where later ones read the step
before.
"""

from dataclasses import replace
from typing import Any, cast

import torch
from torch import fx

from snnfuse.export.tracing.capture.fx_types import argument_node, module_path
from snnfuse.export.tracing.capture.trace import Trace
from snnfuse.export.tracing.capture.trace_ops import BY_NAME, PRECISE, PRODUCT_ADVICE, SAME, TIME_ADVICE
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.carried_states import check_states
from snnfuse.export.tracing.step.contractions import CONTRACTIONS, contraction, data_factors, multiplies_data
from snnfuse.export.tracing.step.fx_nodes import (
    LOOP_ADVICE,
    SHARED_ADVICE,
    count_steps,
    factors,
    first_input,
    inputs,
    one_node,
    operands,
    refuse_shared_in_place,
    returned,
    step_index,
)
from snnfuse.export.tracing.step.operations import Constant, data_nodes, operation
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


def one_step(trace: Trace) -> Step:
    """The step that every iteration of the model computes.

    Raises:
        UnsupportedError: the iterations differ, a state is set between them, or a result is never used.
    """
    return _Steps(trace).reduce()


class _Steps:
    """Terms of all steps of one trace, interned, so that equal expressions have equal indices."""

    def __init__(self, trace: Trace) -> None:
        self.calls, self.model = trace.calls, trace.model
        self.nodes = list(trace.graph.nodes)
        self.neurons = [n for n in self.nodes if n.meta.get("op") == "neuron"]
        self.steps = count_steps(trace, self.neurons)
        self.terms: list[Term] = []
        self.index: dict[Term, int] = {}
        self.known: dict[tuple[fx.Node, int], int] = {}
        self.used: set[fx.Node] = set()
        self.time_major = {n.args[0] for n in self.nodes if self._is_input_step(n)}

    def reduce(self) -> Step:
        state_inputs, carriers = check_states(self.neurons, self.steps)
        self.used |= carriers
        for node in self.nodes:
            refuse_shared_in_place(node)
        values, keys = returned(self.nodes[-1])
        outputs = [self._output(value) for value in values]
        self._refuse_unused(state_inputs)
        names = [n.target for n in self.nodes if n.op == "placeholder" and n not in state_inputs]
        return Step(tuple(self.terms), tuple(outputs), tuple(names), keys)

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
                self.used.add(here)
                self.known[here, step] = self._term(here, step)
        return self.known[node, step]

    def _reads(self, node: fx.Node, step: int) -> list[fx.Node]:
        """The nodes that must be terms before this one is."""
        call = argument_node(node) if node.meta["op"] == "part" else node
        if self._is_input_step(node) or self._is_recorded_step(node) or call.op == "call_module" and self._delay(call, step):
            return []
        return node.all_input_nodes

    def _term(self, node: fx.Node, step: int) -> int:
        op, where = node.meta["op"], node.meta["where"]
        if op == "input":
            if node in self.time_major:
                raise refusal(where, "it is indexed by time step, and also used as a whole", "use x[t] in every step, everywhere")
            return self._intern(INPUT, node.target, (), node)
        if op == "constant":
            return self._constant(node.meta["value"], node)
        if self._is_recorded_step(node):
            return self.term(
                self._recorded(argument_node(node))[self._index(node)], step
            )  # what a loop recorded, read back by the next loop
        if self._is_input_step(node):
            return self._input_step(node, step)
        if op == "part":
            return self._part(node, step)
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
        if self.calls[path] > 1 and hasattr(self.model.get_submodule(path), "accumulates"):
            reason = f"it sums over time, and forward calls it {self.calls[path]} times"
            raise refusal(node.meta["where"], reason, "let forward be one time step, and give every sum its own module")

    def _operation(self, node: fx.Node, step: int) -> int:
        kept = BY_NAME[node.meta["op"]]
        if kept.family == "same":
            return self._same(node, step)
        if kept.family == "sum":
            return self._sum(node, step)
        if kept.family == "product":
            return self._product(node, step)
        data = data_nodes(node)
        if kept.family == "layer" and (len(data) != 1 or data[0] is not first_input(node)):
            raise refusal(node.meta["where"], "its weights depend on the input, and NIR has no product", PRODUCT_ADVICE)
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

    def _delay(self, node: fx.Node, step: int) -> int:
        """How many steps before `step` a module was called; one that is called k times per step has k calls of each."""
        calls = self.calls[module_path(node)]
        if calls == 1:  # computed before the loop, from an input that does not change, or without one
            return 0
        return step - node.meta["call"] // (calls // self.steps)

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

    def _is_input_step(self, node: fx.Node) -> bool:
        """Whether it is x[t], in a loop over time."""
        return self.steps > 1 and step_index(node) is not None and argument_node(node).op == "placeholder"

    def _is_recorded_step(self, node: fx.Node) -> bool:
        """Whether it is one step of what a loop recorded."""
        return self.steps > 1 and step_index(node) is not None and argument_node(node).meta["op"] == "stack"

    def _index(self, node: fx.Node) -> int:
        """Which step a node reads, where it reads one."""
        return cast(int, step_index(node))

    def _input_step(self, node: fx.Node, step: int) -> int:
        source, index = argument_node(node), self._index(node)
        length = len(source.meta["value"])
        if length != self.steps:
            raise refusal(source.meta["where"], f"it has {length} time steps and the loop runs {self.steps}", "loop over all of x.size(0)")
        if index % length != step:
            raise refusal(node.meta["where"], f"step {step} of the loop reads input step {index}", "read x[t] in step t")
        self.used.add(source)
        return self._intern(INPUT, source.target, (), node)

    def _intern(self, op: str, target: Any, args: tuple[int, ...], node: fx.Node, shape: tuple[int, ...] | None = None) -> int:
        own = tuple(node.meta["value"].shape[1:]) if shape is None else shape
        term = Term(op, target, args, own, node.meta["where"])
        if term not in self.index:
            self.index[term] = len(self.terms)
            self.terms.append(term)
        return self.index[term]

    def _output(self, value: Any) -> int:
        if self.steps == 1:
            if isinstance(value, list):
                raise refusal("forward", "it returns a list", "return a tensor or a tuple of tensors")
            return self.term(one_node(value), 0)
        each = self._recorded(value)
        template = self.term(each[1], 1)
        for step, node in enumerate(each):
            self._unify(self.term(node, step), template, step)
        return template

    def _recorded(self, value: Any) -> list[fx.Node]:
        """What a loop returns: one node per step."""
        if isinstance(value, fx.Node) and value.meta["op"] == "stack":
            dim = value.kwargs.get("dim", value.args[1] if len(value.args) > 1 else 0)
            self.used.add(value)
            if dim != 0:
                raise refusal(value.meta["where"], f"it stacks time on axis {dim}", "use torch.stack(steps), time first")
            value = value.kwargs.get("tensors", value.args[0] if value.args else None)
        if not isinstance(value, list | tuple):
            reason = f"every neuron is called {self.steps} times, as by a loop over time, and this is returned for all steps at once"
            raise refusal(value.meta["where"], reason, f"{TIME_ADVICE}: torch.stack(spk_rec); without a loop, {SHARED_ADVICE}")
        if len(value) != self.steps:
            raise refusal("forward", f"it returns {len(value)} recorded steps of a loop over {self.steps}", "record every step")
        return [one_node(v) for v in value]

    def _unify(self, first: int, second: int, step: int) -> None:
        """The first term, of `step`, must be the second, the template; in the first step zeros may stand for what is delayed."""
        waiting, seen = [(first, second)], set()
        while waiting:
            pair = waiting.pop()
            if pair[0] == pair[1] or pair in seen:
                continue
            seen.add(pair)
            x, y = (self.terms[i] for i in pair)
            if step == 0 and x.op == ZERO and y.op == DELAYED:
                continue
            if x.op == y.op == OPERATION and x.target != y.target and x.target.name == "getitem":
                reason = f"steps {step} and 1 of the loop read different parts of {self.terms[x.args[0]].where}"
                raise refusal(x.where, reason, "put time first, read x[t] of forward's own input in step t, and compute inside the loop")
            if replace(x, args=()) != replace(y, args=()) or len(x.args) != len(y.args):
                raise refusal("forward", f"steps {step} and 1 of its loop differ: {x.where} against {y.where}", LOOP_ADVICE)
            waiting.extend(zip(x.args, y.args, strict=True))

    def _refuse_unused(self, state_inputs: set[fx.Node]) -> None:
        """Nothing that forward computes is left out without a word; states that nobody reads are part of their neuron."""
        for node in self.nodes[:-1]:
            kept = node in self.used or node in state_inputs or node.meta["op"] in ("part", "constant", *SAME)
            if not kept:
                raise refusal(node.meta["where"], "it never reaches what forward returns", "return it, or remove it from forward")
