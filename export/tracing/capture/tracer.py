"""A tracer that is torch.fx's with four differences.

Every proxy carries the value that the sample gives it, so that shapes, lengths and loops over time are ordinary Python. A
spiking neuron is a leaf that is not run: its outputs are zeros of the right shape, and its state attributes hold proxies, so
that `lif.mem`, `lif.reset_mem()` and `utils.reset(net)` mean in a trace what they mean in a run. Nothing is stored on the
model. And what it refuses stays refused, whatever a forward catches.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_aggregate, map_arg

from snnfuse.export.tracing.capture.arguments import Bound, call, is_leaf, tensors_of
from snnfuse.export.tracing.capture.concrete_proxy import ConcreteProxy
from snnfuse.export.tracing.capture.encoders import named_by_encoder
from snnfuse.export.tracing.capture.fx_types import argument_node, module_path
from snnfuse.export.tracing.capture.layer_kinds import MAX_POOLS
from snnfuse.export.tracing.capture.repeated import changed, contents, replaced
from snnfuse.export.tracing.capture.torch_advice import decided
from snnfuse.export.tracing.capture.trace_ops import BY_NAME, LIKE, PIECES, PRECISE, SAME, accepted, in_place, op_name
from snnfuse.export.tracing.capture.written import Records
from snnfuse.export.tracing.neurons import is_neuron, kind_of, states_of
from snnfuse.export.tracing.nodes.refusal import Refusal, refusal
from snnfuse.hardware.errors import InputError, SnnfuseError

SPIKES, SPIKE_STATE = "spikes", "spk"  # what a neuron puts out, and that as the state of a recurrent one
HALF = (torch.float16, torch.bfloat16)
HOOKED = ("a forward hook may change what it computes", "remove the hook (for weight_norm: remove_weight_norm) first")


class ConcreteTracer(fx.Tracer):
    """Records one forward of `root` with its arguments bound."""

    def __init__(self, root: nn.Module, bound: tuple[Bound, ...]) -> None:
        super().__init__()
        self.bound, self.sample = bound, tensors_of(bound)
        self.calls: Counter[str] = Counter()
        self.running = False  # inside a leaf, attributes and calls are the real ones
        self.refused: SnnfuseError | None = None
        self.records = Records(lambda: accepted(torch.Tensor.__setitem__, self.here(), (), {}))
        stateful = [(m, state) for m in root.modules() for state in states_of(m)]
        for module, state in stateful:
            module._buffers[state] = torch.zeros(0)
        self.given = {module: contents(module) for module in root.modules() if is_leaf(module)}
        self.held = [module._buffers[state] for module, state in stateful]

    def refuse(self, reason: str, way_out: str = "make forward the same computation for every input") -> Any:
        with self._held_against_forward():
            raise refusal(self.here(), reason, way_out)

    def here(self) -> str:
        return self.scope.module_path or type(self.root).__name__

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        """One placeholder per tensor, named after forward's arguments; all others are what they are."""
        given = [replace(b, value=self._placeholder(b.name, b.value)) if isinstance(b.value, torch.Tensor) else b for b in self.bound]

        def forward() -> Any:
            return call(partial(root_fn, self.root), given)

        return forward, []

    def _placeholder(self, name: str, value: torch.Tensor) -> fx.Proxy:
        return self._record(self.create_node("placeholder", name, (), {}), value, "input", f"input '{name}'")

    def _record(self, node: fx.Node, value: Any, op: str, where: str) -> fx.Proxy:
        if value.dtype in HALF and self.sample[0].dtype not in HALF:
            raise refusal(where, f"it rounds to {value.dtype}", "keep float32 or float64, and autocast outside forward")
        node.meta.update(value=value, op=op, where=where)
        return self.proxy(node)

    def proxy(self, node: fx.Node) -> ConcreteProxy:
        return ConcreteProxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_leaf(m)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val  # a parameter used outside its layer becomes a constant in create_arg

    def create_arg(self, a: Any) -> Any:
        a = self.records.read(a)
        if isinstance(a, torch.Tensor):
            node = self.create_node("get_attr", f"constant_{len(self.graph.nodes)}", (), {})
            self._record(node, a, "constant", f"{self.here()}: a constant tensor of shape {tuple(a.shape)}")
            return node
        if isinstance(a, tuple) and (names := getattr(a, "_fields", ())):  # of a named tuple fx would record its making
            return super().create_arg(dict(zip(names, a, strict=True)))
        return super().create_arg(a)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> Any:
        """Record a function or method between modules."""
        with self._held_against_forward():
            return self._function(kind, target, args, kwargs)

    @contextmanager
    def _held_against_forward(self) -> Iterator[None]:
        """A refusal is remembered: a forward may catch it and go on another way."""
        try:
            yield
        except SnnfuseError as error:
            named = named_by_encoder(error) if isinstance(error, Refusal) else error
            self.refused = self.refused or named
            raise named from error.__cause__

    def _function(self, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        if op_name(target) in LIKE:
            given, options = map_aggregate((tuple(args), kwargs), lambda a: a.value if isinstance(a, ConcreteProxy) else a)
            return LIKE[op_name(target)](*given, **options)
        if op_name(target) == "__setitem__" and not isinstance(args[0], ConcreteProxy):
            return self.records.write(*args)
        if op_name(target) == "max" and ("dim" in kwargs or len(args) > 1 and isinstance(args[1], int)):
            given = dict(zip(("dim", "keepdim"), args[1:], strict=False)) | kwargs
            both = (self.create_proxy("call_function", each, (args[0],), given) for each in (torch.amax, torch.argmax))
            return torch.return_types.max(tuple(both))  # type: ignore[call-arg]  # torch types it without arguments
        name = accepted(target, self.here(), args, kwargs)
        if name == "unbind" and (args[1:] or [kwargs.get("dim", 0)])[0] == 0:
            return tuple(args[0])  # x[0], x[1] and so on
        if name in PIECES:
            values, options = map_aggregate((tuple(args), kwargs), lambda a: a.value if isinstance(a, ConcreteProxy) else a)
            count = len(self._evaluate(PIECES[name], f"{self.here()}: {name}", values, options))
            return tuple(self._operation("call_function", PIECES[name], "piece", (name, i, *args), kwargs) for i in range(count))
        return self._operation(kind, target, name, args, kwargs)

    def _operation(self, kind: str, target: Any, name: str, args: Any, kwargs: Any) -> fx.Proxy:
        node = self.create_node(kind, target, self.create_arg(args), self.create_arg(kwargs))
        changes = in_place(target)
        where = f"{self.here()}: {'i' if changes else ''}{name} ({node.name})"
        values, options = map_arg((node.args, node.kwargs), lambda n: n.meta["value"])
        node.meta["in_place"] = changes
        value = self._evaluate(BY_NAME[name].run, where, values, options)
        if not isinstance(value, torch.Tensor):
            raise refusal(where, f"it returns {type(value).__name__}, not one tensor", "leave return_indices and the like at their default")
        return self._record(node, value, name, where)

    def _evaluate(self, run: Any, where: str, values: Any, options: Any) -> Any:
        try:
            return run(*values, **options)
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            shapes = [tuple(v.shape) for v in values if isinstance(v, torch.Tensor)]
            raise InputError(f"{where} failed on shapes {shapes}: {first_line(error)}") from error

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if self.running:
            return forward(*args, **kwargs)
        with self._held_against_forward():
            return self._module(m, forward, args, kwargs)

    def _module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if hasattr(m, "_orig_mod"):
            raise refusal(self.path_of_module(m), "torch.compile wraps it", "put its _orig_mod in its place, or compile after the export")
        if not is_leaf(m):
            return super().call_module(m, forward, args, kwargs)
        path = self.path_of_module(m)
        where = f"{path} ({type(m).__name__})"
        self._check_as_given(m, where)
        if is_neuron(m):
            return self._call_neuron(m, path, where, args, kwargs)
        node = self._call_node(path, args, kwargs)
        if hasattr(m, "accumulates"):  # not run: its state must not move
            return self._record(node, torch.zeros_like(_one_value(node, where)), "module", where)
        return self._record(node, self._run(where, forward, node), "module", where)

    def path_of_module(self, mod: nn.Module) -> str:
        try:
            return super().path_of_module(mod)
        except NameError:  # fx's word for it
            reason = f"it calls a {type(mod).__name__} that is none of its submodules"
            return self.refuse(reason, "hold modules in attributes, a ModuleList or a ModuleDict")

    def _check_as_given(self, m: nn.Module, where: str) -> None:
        """A leaf's node is made of its class and its parameters, so both must be what runs."""
        if m._forward_hooks or m._forward_pre_hooks:
            raise refusal(where, *HOOKED)
        if replaced(m):
            raise refusal(where, f"its {replaced(m)[0]} was replaced by another function", "write it in a module of your own")
        names = changed(self.given[m], contents(m))
        if names:
            raise refusal(where, f"forward changes its {', '.join(names[:3])}", "set it once, outside forward, before the export")

    def _call_node(self, path: str, args: Any, kwargs: Any) -> fx.Node:
        node = self.create_node("call_module", path, self.create_arg(args), self.create_arg(kwargs))
        node.meta["call"] = self.calls[path]
        self.calls[path] += 1
        return node

    def _run(self, where: str, forward: Any, node: fx.Node) -> torch.Tensor:
        values, options = map_arg((node.args, node.kwargs), lambda n: n.meta["value"])
        self.running = True
        try:
            value = forward(*values, **options)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise InputError(f"{where} failed on an input of shape {shapes_of(values)}: {first_line(error)}") from error
        finally:
            self.running = False
        if not isinstance(value, torch.Tensor):
            layer = self.root.get_submodule(module_path(node))
            pools = isinstance(layer, MAX_POOLS)
            reason = (f"it returns {type(value).__name__}, not one tensor", "leave return_indices at its default")
            raise refusal(where, *(reason if pools else decided(layer)))
        return value

    def _call_neuron(self, m: nn.Module, path: str, where: str, args: Any, kwargs: Any) -> Any:
        """The spikes and the new states; what the neuron returns depends on init_hidden and output, as in snnTorch."""
        names = kind_of(m, where).states
        given = dict(zip(("input_", *names), args, strict=False)) | kwargs
        holds_state = getattr(m, "init_hidden", False)
        if holds_state and any(given.get(name) is not None for name in names):
            raise InputError(f"{where} holds its own state (init_hidden=True), and forward passes it one")
        if any(name in vars(m) for name in names):  # they would hide what the trace keeps among the buffers
            raise refusal(where, f"its states {', '.join(names)} are plain attributes", 'declare each: self.register_buffer("NAME", None)')
        node = self._call_node(path, (given["input_"],), {})
        value = given["input_"].value if isinstance(given["input_"], ConcreteProxy) else given["input_"]
        self._record(node, value, "neuron", where)
        node.meta["states"] = names
        node.meta["state"] = tuple(self._state(m, name, given.get(name)) for name in names)
        spikes = self._part(node, 0, SPIKES, value)
        states = [spikes if name == SPIKE_STATE else self._part(node, i, name, value) for i, name in enumerate(names, 1)]
        buffers: dict[str, Any] = m._buffers  # proxies stand in for tensors while it is traced
        buffers.update(zip(names, states, strict=True))
        if holds_state and not getattr(m, "output", False):
            return spikes
        return spikes, *(state for state in states if state is not spikes)

    def _state(self, m: nn.Module, name: str, passed: Any) -> Any:
        """None where the state is held over from the call before the trace; else the node or the tensor it starts from."""
        state = m._buffers[name] if passed is None else passed
        if isinstance(state, ConcreteProxy):
            return None if self._left_by_last_call(state, m, name) else state.node
        return None if any(state is held for held in self.held) else state

    def _left_by_last_call(self, state: ConcreteProxy, m: nn.Module, name: str) -> bool:
        """Whether it is the neuron's own state, which forward kept in an attribute since the trace before this one."""
        node, before = state.node, state.tracer
        while node.meta["op"] in SAME and node.meta["value"].dtype in PRECISE:
            node = argument_node(node)
        if before is self or node.meta["op"] != "part" or node.meta["part"] != (SPIKES if name == SPIKE_STATE else name):
            return False
        path, call = self.path_of_module(m), argument_node(node)
        return call.target == path and call.meta["call"] == before.calls[path] - 1

    def _part(self, call: fx.Node, index: int, part: str, value: torch.Tensor) -> fx.Proxy:
        node = self.create_node("call_function", _part_of, (call, index), {}, name=f"{call.name}_{part}")
        node.meta["part"] = part
        return self._record(node, torch.zeros_like(value), "part", f"{call.meta['where']}: its {part}")


def _part_of(outputs: tuple[torch.Tensor, ...], index: int) -> torch.Tensor:
    return outputs[index]


def _one_value(node: fx.Node, where: str) -> torch.Tensor:
    """What a call is given that takes one tensor."""
    given = [*node.args, *node.kwargs.values()]
    if len(given) != 1 or not isinstance(given[0], fx.Node):
        raise refusal(where, "it is called with something else than one tensor", "call it with its input alone")
    return given[0].meta["value"]


def shapes_of(values: tuple[Any, ...]) -> str:
    return ", ".join(str(tuple(v.shape)) for v in values if isinstance(v, torch.Tensor))


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
