"""What a forward that returns nothing leaves on its model: the results that it most likely should return."""

from collections.abc import Iterator
from typing import Any

from torch import fx, nn

from snnfuse.export.tracing.capture.fx_types import argument_node, module_path, neuron_at
from snnfuse.export.tracing.capture.repeated import TORCHS_OWN
from snnfuse.export.tracing.neurons import is_neuron, reset_rule

SPIKES, MEMBRANE = "spikes", "mem"
Named = Iterator[tuple[str, Any]]


def left_on(root: nn.Module) -> str:
    """Where a traced forward has left what its last neurons put out, as Python has it, `self.spk_rec['lif2']`; "" for nowhere.

    Of neurons that never reset it is the membrane. What holds all steps goes before what holds the last one.
    """
    found = [(_order(nodes), name) for name, value in _values(root) if (nodes := _nodes(value)) and _is_result(root, nodes[-1])]
    return max(found, key=lambda each: each[0], default=(0, ""))[1]


def _values(root: nn.Module) -> Named:
    for path, module in root.named_modules():
        if not is_neuron(module):
            for name, value in vars(module).items():
                if name not in TORCHS_OWN:
                    yield from _inside(".".join(part for part in ("self", path, name) if part), value)


def _inside(name: str, value: Any) -> Named:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{name}[{key!r}]", inner
    else:
        yield name, value


def _nodes(value: Any) -> list[fx.Node]:
    """Of a list, or of what was stacked, the node of every step."""
    each = value if isinstance(value, list | tuple) else [value]
    nodes = [item.node for item in each if isinstance(item, fx.Proxy)]
    if len(nodes) == 1 and nodes[0].meta.get("op") == "stack":
        given = nodes[0].args[0] if nodes[0].args else nodes[0].kwargs["tensors"]
        return [node for node in given if isinstance(node, fx.Node)]  # type: ignore[union-attr]  # a stack is of a list
    return nodes if len(nodes) == len(each) else []


def _is_result(root: nn.Module, node: fx.Node) -> bool:
    if node.meta.get("op") != "part":
        return False
    neuron = neuron_at(root, module_path(argument_node(node)))
    resets = not hasattr(neuron, "state_function") or reset_rule(neuron) != "none"
    return node.meta["part"] == (SPIKES if resets else MEMBRANE)


def _order(nodes: list[fx.Node]) -> tuple[int, int]:
    """Later neurons last, and of those what holds more steps."""
    call = argument_node(nodes[-1])
    return list(call.graph.nodes).index(call), len(nodes)
