"""How large a network is, layer by layer: what it puts out, its neurons and its parameters."""

from collections.abc import Iterable
from dataclasses import dataclass

import snntorch
import torch
from torch import Tensor, nn

from snnfuse.networks.neurons import run


@dataclass(frozen=True)
class LayerSize:
    """One module with neurons or parameters of its own.

    Attributes:
        path: its name in the network.
        kind: its class.
        shape: of what it puts out in one time step, without batch.
        neurons: spiking or integrating ones; 0 of any other layer.
        parameters: its own numbers that training changes.
    """

    path: str
    kind: str
    shape: tuple[int, ...]
    neurons: int
    parameters: int


def layer_sizes(model: nn.Module, *sample: Tensor) -> tuple[LayerSize, ...]:
    """Every layer with neurons or parameters, in the order in which one time step reaches them, in evaluation; what that does not reach,
    such as heads for training only, is not among them.

    sample: one time step, (batch, *shape) for each input of the network, in its order. The model is left as it was.
    """
    found: dict[str, LayerSize] = {}

    def reached(path: str, module: nn.Module, output: Tensor | tuple[Tensor, ...]) -> None:
        first = output if isinstance(output, Tensor) else output[0]
        neurons = first[0].numel() if isinstance(module, snntorch.SpikingNeuron) else 0
        parameters = sum(p.numel() for p in module.parameters(recurse=False))
        if path not in found and (neurons or parameters):
            found[path] = LayerSize(path, type(module).__name__, tuple(first.shape[1:]), neurons, parameters)

    hooks = [
        module.register_forward_hook(lambda m, _, output, path=path: reached(path, m, output))
        for path, module in model.named_modules()
        if isinstance(module, snntorch.SpikingNeuron) or list(module.parameters(recurse=False))
    ]
    training = model.training
    try:
        with torch.no_grad():
            run(model.eval(), *(x[None] for x in sample))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)
    return tuple(found.values())


def totals(sizes: Iterable[LayerSize], prefix: str = "") -> tuple[int, int]:
    """Return (neurons, parameters) of all layers, or of those whose path begins with `prefix`."""
    chosen = [size for size in sizes if size.path.startswith(prefix)]
    return sum(size.neurons for size in chosen), sum(size.parameters for size in chosen)


def size_table(sizes: Iterable[LayerSize]) -> str:
    """A Markdown table of the layers, with the sums in its last row."""
    sizes = list(sizes)
    rows = [(f"`{s.path}`", s.kind, " x ".join(map(str, s.shape)), s.neurons, s.parameters) for s in sizes]
    rows.append(("all", "", "", *totals(sizes)))
    lines = [f"| {path} | {kind} | {shape} | {neurons:,} | {parameters:,} |" for path, kind, shape, neurons, parameters in rows]
    return "\n".join(("| layer | kind | shape | neurons | parameters |", "|---|---|---|---:|---:|", *lines)) + "\n"
