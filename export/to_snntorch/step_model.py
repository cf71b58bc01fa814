"""A snnTorch model made of a graph: its layers and neurons, stepped in order, with the loops' last spikes kept in between."""

from collections.abc import Mapping
from typing import cast

import snntorch as snn
import torch
from torch import nn

from snnfuse.export.lowering.graph import fresh_name
from snnfuse.export.lowering.shapes import Shape
from snnfuse.hardware.ir.graph_order import topological_order


class StepLayer(nn.Module):
    """What stands at a node: it takes values (batch, *shape), and may keep a state between steps."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def reset(self) -> None:
        """Clear the state, if there is one."""


class StepModel(nn.Module):
    """A graph of layers and snnTorch neurons, one time step per call.

    Attributes:
        inputs: shapes of the inputs by name, in the order in which forward takes them.
        outputs: names of the outputs, in the order in which it returns them.
        layers: by node name, "." written as "__".
    """

    def __init__(
        self,
        inputs: Mapping[str, Shape],
        layers: Mapping[str, StepLayer],
        edges: list[tuple[str, str]],
        late: set[tuple[str, str]],
        outputs: list[str],
    ) -> None:
        super().__init__()
        self.inputs, self.outputs = dict(inputs), tuple(outputs)
        self.keys = _keys([*layers])
        self.layers = nn.ModuleDict({self.keys[name]: layer for name, layer in layers.items()})
        self.terms: dict[str, list[tuple[str, bool]]] = {name: [] for name in (*layers, *outputs)}
        for source, target in edges:
            self.terms[target].append((source, (source, target) in late))
        at_once = [edge for edge in edges if edge not in late and edge[0] in self.terms]
        self.order = topological_order(self.terms, at_once)
        self.remembered = tuple(dict.fromkeys(s for s, _ in sorted(late)))
        self.last: dict[str, torch.Tensor] = {}

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """One time step: a tensor (batch, *shape) per input to one per output."""
        if len(inputs) != len(self.inputs):
            raise ValueError(f"this model takes {len(self.inputs)} inputs ({', '.join(self.inputs)}), not {len(inputs)}")
        values = dict(zip(self.inputs, inputs, strict=True))
        for name in self.order:
            arriving = self._sum(name, values)
            values[name] = self._layer(name)(arriving) if name in self.keys else arriving
        self.last = {name: values[name] for name in self.remembered}
        found = tuple(values[name] for name in self.outputs)
        return found[0] if len(found) == 1 else found

    def _sum(self, name: str, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What arrives at a node; of the step before where the edge is late, nothing in the first step."""
        found = [self.last.get(s) if is_late else values[s] for s, is_late in self.terms[name]]
        known = [value for value in found if value is not None]
        if not known:
            first = next(iter(values.values()))
            return torch.zeros(len(first), *self.late_shape(name), dtype=first.dtype, device=first.device)
        return sum((value.reshape(known[0].shape) for value in known[1:]), known[0])

    def late_shape(self, name: str) -> Shape:
        """What a node takes that only a loop feeds."""
        return self._layer(name).shape

    def _layer(self, name: str) -> StepLayer:
        return cast(StepLayer, self.layers[self.keys[name]])

    def reset(self) -> None:
        """Clear every state, before another sample."""
        self.last = {}
        for name in self.keys:
            self._layer(name).reset()


def _keys(names: list[str]) -> dict[str, str]:
    """Attribute names for nodes: torch takes no dots, and none that its modules have already."""
    keys: dict[str, str] = {}
    taken = {*dir(nn.ModuleDict)}
    for name in names:
        keys[name] = fresh_name(name.replace(".", "__"), taken)
        taken.add(keys[name])
    return keys


class Neuron(StepLayer):
    """A snnTorch neuron, fed with `scale` times its input plus `bias` less `loss` per own spike, one step later.

    It gives its spikes, or its membrane where it never fires.
    """

    scale: torch.Tensor | None
    bias: torch.Tensor | None
    loss: torch.Tensor | None

    def __init__(self, neuron: snn.SpikingNeuron, shape: Shape, is_readout: bool, **tensors: torch.Tensor | None) -> None:
        super().__init__(shape)
        self.neuron, self.is_readout = neuron, is_readout
        for name in ("scale", "bias", "loss"):
            self.register_buffer(name, tensors.get(name))
        self.fired: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, *shape) to the same."""
        x = x.reshape(len(x), *self.shape)
        x = x if self.scale is None else x * self.scale
        x = x if self.bias is None else x + self.bias
        less = x if self.loss is None else self._less(x, self.loss)
        spikes = self.neuron(less).to(x.dtype)  # snnTorch's surrogates return float32
        self.fired = [] if self.loss is None else [spikes, *self.fired[:1]]
        return cast("torch.Tensor", self.neuron.mem) if self.is_readout else spikes

    def _less(self, x: torch.Tensor, loss: torch.Tensor) -> torch.Tensor:
        """Without what the spike before takes. A synaptic current would keep it, and gets it back, decayed, one step later."""
        if self.fired:
            x = x - loss * self.fired[0]
        if isinstance(self.neuron, snn.Synaptic) and len(self.fired) == 2:
            x = x + self.neuron.alpha.clamp(0, 1) * loss * self.fired[1]
        return x

    def reset(self) -> None:
        """Clear the state."""
        self.fired = []
        self.neuron.reset_mem()  # type: ignore[operator]  # torch takes every attribute for a tensor or a module


class RunningSum(StepLayer):
    """The sum of all inputs so far."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.total: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, *shape) to the same."""
        x = x.reshape(len(x), *self.shape)
        self.total = [x + self.total[0]] if self.total else [x]
        return self.total[0]

    def accumulates(self) -> None:
        """For a tracer: that it sums over time; how high is not known."""

    def reset(self) -> None:
        """Clear the state."""
        self.total = []


class Layer(StepLayer):
    """A torch layer that is fed with values of one shape."""

    def __init__(self, layer: nn.Module, shape: Shape) -> None:
        super().__init__(shape)
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, *shape) to whatever the layer makes of it."""
        return self.layer(x.reshape(len(x), *self.shape))

    def reset(self) -> None:
        """There is a state in delays only."""
        if isinstance(self.layer, DelayLine):
            self.layer.past = []


class Factor(nn.Module):
    """Elementwise multiplication."""

    def __init__(self, factor: torch.Tensor) -> None:
        super().__init__()
        self.factor = nn.Parameter(factor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, *shape) to the same."""
        return x * self.factor


class WindowMaximum(nn.Module):
    """The largest number of each window.

    Args:
        reads: (places, numbers), which of what it reads lies at each place of each window.
        shape: of what it puts out.
    """

    reads: torch.Tensor

    def __init__(self, reads: torch.Tensor, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("reads", reads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, *what it reads) to (batch, *shape)."""
        return x.flatten(1)[:, self.reads].amax(1).reshape(len(x), *self.shape)


class DelayLine(nn.Module):
    """Each neuron's value of its own number of steps before, and 0 before the first."""

    steps: torch.Tensor

    def __init__(self, steps: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("steps", steps)
        self.past: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, *shape) to the same."""
        length = int(self.steps.max()) + 1
        self.past = [x, *self.past][:length]
        zeros = [torch.zeros_like(x)] * (length - len(self.past))
        return torch.stack([*self.past, *zeros]).gather(0, self.steps.expand(1, *x.shape))[0]
