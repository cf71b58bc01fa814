"""From a trace to one time step.

A forward either computes one step, or unrolls its own loop over time. In a loop every neuron is called once per step; call t belongs to step t, and what a
step reads of the step before is written as DELAYED. The loop is accepted if all its steps are then the same expression, except that in the first one zeros
may stand where later ones read the step before.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import fx

from .refusal import refusal
from .step import ADD, CAT, CONSTANT, DELAYED, FLATTEN, INPUT, MODULE, NEURON, PART, ZERO, Step, Term
from .trace import Trace
from .trace_ops import TIME_ADVICE

LOOP_ADVICE = "make every step of the loop the same, and give every layer its own module"
ALIASES = {"same", "cast", "dropout", "reshape", "flatten", "getitem"}


def one_step(trace: Trace) -> Step:
    """The step that every iteration of the model computes.

    Raises:
        UnsupportedError: the iterations differ, a state is set between them, or a result is never used.
    """
    return _Steps(trace).reduce()


class _Steps:
    """Terms of all steps of one trace, interned, so that equal expressions have equal indices."""

    def __init__(self, trace: Trace) -> None:
        self.calls = trace.calls
        self.nodes = list(trace.graph.nodes)
        self.neurons = [n for n in self.nodes if n.meta.get("op") == "neuron"]
        self.steps = _count_steps(trace, self.neurons)
        self.terms: list[Term] = []
        self.index: dict[Term, int] = {}
        self.known: dict[tuple[fx.Node, int], int] = {}
        self.used: set[fx.Node] = set()
        self.time_major = {n.args[0] for n in self.nodes if n.meta.get("op") == "getitem"} if self.steps > 1 else set()

    def reduce(self) -> Step:
        state_inputs = self._check_states()
        for node in self.nodes:
            _refuse_shared_in_place(node)
        outputs = [self._output(value) for value in _returned(self.nodes[-1])]
        self._refuse_unused(state_inputs)
        inputs = [n.target for n in self.nodes if n.op == "placeholder" and n not in state_inputs]
        return Step(tuple(self.terms), tuple(outputs), tuple(inputs))

    # --- expressions ---------------------------------------------------------------------------------------------------------------------------------

    def term(self, node: fx.Node, step: int) -> int:
        """The index of what `node` is, seen from `step`."""
        if (node, step) not in self.known:
            self.used.add(node)
            self.known[node, step] = self._term(node, step)
        return self.known[node, step]

    def _term(self, node: fx.Node, step: int) -> int:
        op, where = node.meta["op"], node.meta["where"]
        if op in ("same", "cast", "dropout"):
            return self._same(node, step)
        if op == "input":
            if node in self.time_major:
                raise refusal(where, "it is indexed by time step, and also used as a whole", "use x[t] in every step, everywhere")
            return self._intern(INPUT, node.target, (), node)
        if op == "getitem":
            return self._input_step(node, step)
        if op == "constant":
            zero = not node.meta["value"].any()
            return self._intern(ZERO if zero else CONSTANT, None if zero else node.name, (), node)
        if op == "stack":
            raise refusal(where, "it makes a new axis inside the time step", "use torch.cat over channels or features")
        return self._computed(node, step, op)

    def _computed(self, node: fx.Node, step: int, op: str) -> int:
        if op == "part":
            return self._part(node, step)
        if op in ("module", "neuron"):
            delay = self._delay(node, step)
            if delay:
                return self._delayed(node, delay, "output")
            return self._intern(NEURON if op == "neuron" else MODULE, node.target, self._args(_inputs(node), step), node)
        if op in ("add", "iadd"):
            return self._intern(ADD, None, self._args(_addends(node), step), node)
        if op == "cat":
            _check_cat(node)
            return self._intern(CAT, None, self._args(_cat_parts(node), step), node)
        _check_flatten(node)
        return self._intern(FLATTEN, None, self._args((node.args[0],), step), node)

    def _args(self, nodes: Any, step: int) -> tuple[int, ...]:
        return tuple(self.term(node, step) for node in nodes)

    def _same(self, node: fx.Node, step: int) -> int:
        if not node.meta["value"].is_floating_point():
            raise refusal(node.meta["where"], f"it rounds to {node.meta['value'].dtype}", "keep floating-point values")
        return self.term(node.args[0], step)

    def _delay(self, node: fx.Node, step: int) -> int:
        once = self.calls[node.target] == 1 and self.steps > 1  # computed before the loop, from an input that does not change
        return 0 if once else step - node.meta["call"]

    def _part(self, node: fx.Node, step: int) -> int:
        call = node.args[0]
        delay = self._delay(call, step)
        if delay:
            return self._delayed(node, delay, node.meta["part"])
        return self._intern(PART, node.meta["part"], (self.term(call, step),), node)

    def _delayed(self, node: fx.Node, delay: int, part: str) -> int:
        call = node.args[0] if node.meta["op"] == "part" else node
        if delay != 1:
            when = f"{delay} steps before" if delay > 0 else "of a later step"
            raise refusal(
                node.meta["where"], f"a step of the loop reads its value {when}", "read this step, or the step before, only"
            )
        return self._intern(DELAYED, (call.target, part), (), node)

    def _input_step(self, node: fx.Node, step: int) -> int:
        source, index = node.args
        if self.steps == 1 or source.op != "placeholder" or not isinstance(index, int):
            raise refusal(
                node.meta["where"],
                f"indexing with {index} takes a part of a tensor",
                "give forward one argument per part, or index time, x[t]",
            )
        length = len(source.meta["value"])
        if length != self.steps:
            raise refusal(
                source.meta["where"], f"it has {length} time steps and the loop runs {self.steps}", "loop over all of x.size(0)"
            )
        if index % length != step:
            raise refusal(node.meta["where"], f"step {step} of the loop reads input step {index}", "read x[t] in step t")
        self.used.add(source)
        return self._intern(INPUT, source.target, (), node)

    def _intern(self, op: str, target: Any, args: tuple[int, ...], node: fx.Node) -> int:
        shape = tuple(node.meta["value"].shape[1:])
        term = Term(op, target, args, shape, node.meta["where"])
        if term not in self.index:
            self.index[term] = len(self.terms)
            self.terms.append(term)
        return self.index[term]

    # --- outputs and the comparison of steps ---------------------------------------------------------------------------------------------------------

    def _output(self, value: Any) -> int:
        if self.steps == 1:
            if isinstance(value, list):
                raise refusal("forward", "it returns a list", "return a tensor or a tuple of tensors")
            return self.term(_node(value), 0)
        each = self._recorded(value)
        template = self.term(each[1], 1)
        for step, node in enumerate(each):
            self._unify(self.term(node, step), template, step, set())
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
            raise refusal(
                value.meta["where"], "the loop returns one tensor for all its steps", f"{TIME_ADVICE}: torch.stack(spk_rec)"
            )
        if len(value) != self.steps:
            raise refusal("forward", f"it returns {len(value)} recorded steps of a loop over {self.steps}", "record every step")
        return [_node(v) for v in value]

    def _unify(self, a: int, b: int, step: int, seen: set[tuple[int, int]]) -> None:
        """Term a of `step` must be term b of the template; in the first step zeros may stand for what is delayed."""
        if a == b or (a, b) in seen:
            return
        seen.add((a, b))
        x, y = self.terms[a], self.terms[b]
        if step == 0 and x.op == ZERO and y.op == DELAYED:
            return
        if replace(x, args=()) != replace(y, args=()) or len(x.args) != len(y.args):
            raise refusal("forward", f"steps {step} and 1 of its loop differ: {x.where} against {y.where}", LOOP_ADVICE)
        for p, q in zip(x.args, y.args, strict=True):
            self._unify(p, q, step, seen)

    # --- what must hold around them ------------------------------------------------------------------------------------------------------------------

    def _check_states(self) -> set[fx.Node]:
        """Every neuron's state is its own, carried on from its call before; returns the inputs that only carry states."""
        inputs: set[fx.Node] = set()
        for call in self.neurons:
            for position, source in enumerate(call.meta["state"]):
                source = self._through_aliases(source)
                if call.meta["call"] > 0:
                    self._check_carried(call, position, source)
                elif isinstance(source, fx.Node) and source.op == "placeholder" and self.steps == 1:
                    self._check_state_input(source, call, inputs)
                else:
                    self._check_first(call, source)
        return inputs

    def _through_aliases(self, source: Any) -> Any:
        while isinstance(source, fx.Node) and source.meta["op"] == "same":
            self.used.add(source)
            source = source.args[0]
        return source

    def _check_carried(self, call: fx.Node, position: int, source: Any) -> None:
        carried = isinstance(source, fx.Node) and source.meta["op"] == "part" and source.args[1] == position + 1
        if not (carried and source.args[0].target == call.target and source.args[0].meta["call"] == call.meta["call"] - 1):
            step = call.meta["call"]
            raise refusal(
                call.meta["where"], f"step {step} of the loop does not continue from its state of step {step - 1}", LOOP_ADVICE
            )
        self.used.add(source)

    def _check_state_input(self, source: fx.Node, call: fx.Node, inputs: set[fx.Node]) -> None:
        if source in inputs or source.users:
            raise refusal(
                source.meta["where"],
                f"it is a state of {call.meta['where']} and something else",
                "pass every state to one neuron",
            )
        self.used.add(source)
        inputs.add(source)

    def _check_first(self, call: fx.Node, source: Any) -> None:
        if source is None:
            return
        if not isinstance(source, torch.Tensor):
            raise refusal(
                call.meta["where"],
                f"its state is set from {source.meta['where']}",
                "let a neuron start from its own state or from zeros",
            )
        if self.steps == 1:
            reason = "its state starts anew in every call, so that it has no memory from step to step"
            raise refusal(
                call.meta["where"],
                reason,
                "use init_hidden=True and reset outside forward, or loop over time inside it (2 or more steps)",
            )
        if source.any() and source.shape == call.meta["value"].shape:
            raise refusal(call.meta["where"], "its state starts from values other than zero", "start from zeros")

    def _refuse_unused(self, state_inputs: set[fx.Node]) -> None:
        for node in self.nodes[:-1]:
            kept = node in self.used or node in state_inputs or node.meta["op"] in ("part", "constant")
            if not kept:
                raise refusal(
                    node.meta["where"], "its result never reaches what forward returns", "return it, or remove it from forward"
                )


def _count_steps(trace: Trace, neurons: list[fx.Node]) -> int:
    """1, or the number of iterations of the model's own loop."""
    calls = {n.target: trace.calls[n.target] for n in neurons} or dict(trace.calls)
    counts = sorted(set(calls.values()))
    if len(counts) > 1:
        few, many = (next(p for p, c in calls.items() if c == n) for n in (counts[0], counts[-1]))
        text = f"it is called {counts[-1]} times, and {few} {counts[0]} times"
        raise refusal(f"{many} ({type(trace.model.get_submodule(many)).__name__})", text, LOOP_ADVICE)
    steps = counts[0] if counts else 1
    for path, count in trace.calls.items():
        if count not in (1, steps):
            kind = type(trace.model.get_submodule(path)).__name__
            raise refusal(
                f"{path} ({kind})",
                f"it is called {count} times in a forward of {steps} time steps",
                "give every layer its own module",
            )
    return steps


def _returned(output: fx.Node) -> list[Any]:
    value = output.args[0]
    if isinstance(value, dict) or value is None:
        raise refusal("forward", f"it returns {type(value).__name__}", "return a tensor or a tuple of tensors")
    return list(value) if isinstance(value, tuple) else [value]


def _node(value: Any) -> fx.Node:
    if not isinstance(value, fx.Node):
        raise refusal("forward", f"it returns {type(value).__name__} inside its outputs", "return a tensor or a tuple of tensors")
    return value


def _inputs(node: fx.Node) -> list[fx.Node]:
    """The one tensor that a module reads."""
    inputs = [*node.args, *node.kwargs.values()]
    if len(inputs) != 1 or not isinstance(inputs[0], fx.Node):
        raise refusal(node.meta["where"], "it is called with something else than one tensor", "call it with its input alone")
    return inputs


def _addends(node: fx.Node) -> list[fx.Node]:
    addends = [*node.args, *(v for k, v in node.kwargs.items() if k in ("other", "input"))]
    for value in addends:
        if not isinstance(value, fx.Node):
            raise refusal(node.meta["where"], f"the constant {value} is added", "add it to the bias of the layer before it")
        if value.meta["value"].shape != node.meta["value"].shape:
            shapes = " and ".join(str(tuple(v.meta["value"].shape)) for v in addends if isinstance(v, fx.Node))
            raise refusal(node.meta["where"], f"it broadcasts shapes {shapes}", "add tensors of one shape")
    return addends


def _cat_parts(node: fx.Node) -> list[fx.Node]:
    return list(node.kwargs.get("tensors", node.args[0] if node.args else ()))


def _check_cat(node: fx.Node) -> None:
    dim = node.kwargs.get("dim", node.kwargs.get("axis", node.args[1] if len(node.args) > 1 else 0))
    if dim % node.meta["value"].ndim != 1:
        raise refusal(node.meta["where"], f"it joins along axis {dim}", "join along axis 1, channels or features")


def _check_flatten(node: fx.Node) -> None:
    """A view that is anything but flatten(start_dim=1), seen on the sample, mixes samples or reorders axes."""
    before, after = node.args[0].meta["value"].shape, node.meta["value"].shape
    if after != before and after != (before[0], before[1:].numel()):
        text = f"it turns shape {tuple(before)} into {tuple(after)}"
        raise refusal(node.meta["where"], text, "only flatten(start_dim=1), all of a sample into one axis, has a NIR form")


def _refuse_shared_in_place(node: fx.Node) -> None:
    """`x += y` changes x for every other reader, which a graph of values does not show."""
    if node.meta.get("op") != "iadd":
        return
    changed, reader = node.args[0], node
    while isinstance(changed, fx.Node):
        if any(user is not reader for user in changed.users) or changed.meta["op"] == "part" and changed.meta["part"] != "spikes":
            raise refusal(
                node.meta["where"], f"it changes {changed.meta['where']} in place, which something else reads", "write z = x + y"
            )
        views = (
            changed.meta["op"] in ALIASES or changed.meta["op"] == "module"
        )  # Dropout, Identity and Flatten return their input itself
        reader, changed = changed, (changed.args[0] if views and changed.args else None)
