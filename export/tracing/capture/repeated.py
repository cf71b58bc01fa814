"""Whether a forward computes the same whenever it is called: one trace stands for every step, and only neurons remember.

What a forward keeps in attributes or buffers of its own, and what it draws at random, is a plain number in a trace. A
second trace, which begins where the first one ended, shows it.
"""

import random
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.fx.node import map_arg

from snnfuse.export.tracing.neurons import states_of
from snnfuse.export.tracing.nodes.refusal import Refusal, refusal

STATE_ADVICE = "let neurons hold it (init_hidden=True); a model with its own loop sets everything else anew in every forward"
NOISE_ADVICE = "add noise to the inputs, outside forward"
TORCHS_OWN = frozenset(vars(nn.Module()))
READ_AT_CALLS = ("output", "init_hidden")  # of a neuron, and then only say what it returns and where its state is
Contents = dict[str, Any]


def contents(model: nn.Module) -> Contents:
    """By path, everything that forward could change beside the neurons' states: attributes as they are, of tensors a copy."""
    held: Contents = {}
    for path, module in model.named_modules():
        free = (*states, *READ_AT_CALLS) if (states := states_of(module)) else ()
        own = {k: v for k, v in vars(module).items() if k not in TORCHS_OWN and k not in free}
        own |= {k: v for k, v in (module._buffers | module._parameters).items() if k not in free}
        held |= {f"{path}.{k}".lstrip("."): _copied(v) for k, v in own.items()}
    return held


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) and not isinstance(value, fx.Proxy) else value


def random_states() -> tuple[Any, ...]:
    """Of torch, Python and NumPy; equal as long as nobody draws."""
    state: Any = np.random.get_state()  # the global one, as a forward may; a tuple, for it is not asked for in the other form
    kind, keys, position, *_ = state
    return torch.random.get_rng_state().numpy().tobytes(), random.getstate(), (kind, keys.tobytes(), position)


def changed(before: Contents, after: Contents) -> list[str]:
    """The names of the numbers and tensors that are not what they were, and of what has come or gone."""
    return [name for name in {**before, **after} if not _equal(before.get(name, ...), after.get(name, ...))]


def kept_between(held: Contents) -> list[str]:
    """The names of values that a forward has computed and kept."""
    return [name for name, value in held.items() if isinstance(value, fx.Proxy)]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, fx.Proxy) or isinstance(b, fx.Proxy):  # what forward has computed; the graphs say whether it is read
        return isinstance(a, fx.Proxy) and isinstance(b, fx.Proxy)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())
    plain = (int, float, complex, str, bool, torch.Tensor, type(None), type(...))
    return not isinstance(a, plain) and not isinstance(b, plain) or (type(a) is type(b) and (a is b or bool(a == b)))


def replaced(module: nn.Module) -> list[str]:
    """Methods that this very module has instead of its class's."""
    return [name for name in vars(module) if callable(getattr(type(module), name, None))]


def same_graph(first: fx.Graph, second: fx.Graph) -> bool:
    """Whether two traces recorded the same calls with the same constants."""
    a, b = list(first.nodes), list(second.nodes)
    return len(a) == len(b) and all(_same_node(x, y) for x, y in zip(a, b, strict=True))


def _same_node(a: fx.Node, b: fx.Node) -> bool:
    if (a.op, a.name, a.target, _named(a.args), _named(a.kwargs)) != (b.op, b.name, b.target, _named(b.args), _named(b.kwargs)):
        return False
    if a.meta.get("op") == "constant" and not _equal(a.meta["value"], b.meta["value"]):
        return False
    return all(_same_state(a, x, y) for x, y in zip(a.meta.get("state", ()), b.meta.get("state", ()), strict=True))


def _same_state(call: fx.Node, first: Any, second: Any) -> bool:
    """Whether a neuron starts from the same; or from rest at first, and then, None, from where its last call left it."""
    if isinstance(first, fx.Node) or isinstance(second, fx.Node):
        return isinstance(first, fx.Node) and isinstance(second, fx.Node) and first.name == second.name
    if second is None and first is not None and first.any():
        reason = "its state starts from values other than zero"
        raise refusal(call.meta["where"], reason, "start from zeros, or None, and set it back to that before the export")
    return second is None or _equal(first, second)


def _named(arguments: Any) -> str:
    return repr(map_arg(arguments, lambda node: node.name))


def remembers(where: str, names: list[str]) -> Refusal:
    """The error for a forward that computes something else when it is called again."""
    kept = f"it keeps {', '.join(names[:3])} from call to call" if names else "it depends on something that changes outside it"
    return refusal(where, f"{kept}, and only neurons carry anything from step to step in NIR", STATE_ADVICE)


def draws(where: str) -> Refusal:
    """The error for a forward that draws random numbers."""
    return refusal(where, "it draws random numbers, which differ from step to step", NOISE_ADVICE)
