"""How often forward calls each module, which is how many steps its loop has, and to which of them a call belongs."""

from collections import Counter
from collections.abc import Mapping, Sequence

from torch import fx, nn

from snnfuse.export.tracing.capture.fx_types import module_path
from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.fx_nodes import LOOP_ADVICE, SHARED_ADVICE


class Calls:
    """The calls of modules in one trace.

    Attributes:
        steps: of the model's own loop over time; 1 without one.
        count: by path, how often a module is called: once, before the loop, or the same number of times in every step.
    """

    def __init__(self, model: nn.Module, nodes: Sequence[fx.Node], neurons: Sequence[fx.Node]) -> None:
        """Of the nodes of a trace; `neurons` among them.

        Raises:
            UnsupportedError: the modules are not called equally often in every step.
        """
        self.count = Counter(module_path(n) for n in nodes if n.op == "call_module")
        self.steps = _count_steps(model, self.count, neurons)

    def step_of(self, call: fx.Node) -> int | None:
        """The step that a call belongs to; None for what is called once, from an input that does not change or without one."""
        count = self.count[module_path(call)]
        return None if count == 1 else call.meta["call"] // (count // self.steps)

    def place(self, call: fx.Node) -> int:
        """Which one it is among the calls of its module in its step."""
        return call.meta["call"] % (self.count[module_path(call)] // self.steps)

    def steps_of(self, nodes: Sequence[fx.Node]) -> dict[fx.Node, int]:
        """By node, the step to which it belongs: of a call its own, of anything else the latest of its arguments; -1 for none."""
        found: dict[fx.Node, int] = {}
        for node in nodes:
            own = self.step_of(node) if node.op == "call_module" else None
            found[node] = max((found[source] for source in node.all_input_nodes), default=-1) if own is None else own
        return found


def _count_steps(model: nn.Module, called: Mapping[str, int], neurons: Sequence[fx.Node]) -> int:
    """1, or the number of iterations of the model's own loop; called: how often each module is."""
    calls = {module_path(n): called[module_path(n)] for n in neurons} or dict(called)
    counts = sorted(set(calls.values()))
    if len(counts) > 1:
        few, many = (next(p for p, c in calls.items() if c == n) for n in (counts[0], counts[-1]))
        text = f"it is called {counts[-1]} times, and {few} {counts[0]} times"
        raise refusal(f"{many} ({type(model.get_submodule(many)).__name__})", text, LOOP_ADVICE)
    steps = counts[0] if counts else 1
    for path, count in called.items():
        if count != 1 and count % steps:
            kind = type(model.get_submodule(path)).__name__
            raise refusal(f"{path} ({kind})", f"it is called {count} times in a forward of {steps} time steps", SHARED_ADVICE)
    return steps
