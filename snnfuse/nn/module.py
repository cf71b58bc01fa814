"""`FixedPointNetwork`: a Program as a torch module, every step of which is the chip's, and which one can train."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import nir
import torch
from torch import Tensor, nn

from snnfuse.export.lowering.network import Network
from snnfuse.export.quantization.assembly import assemble
from snnfuse.export.quantization.fitting import Input
from snnfuse.export.quantization.reading import EACH_OWN, Reading, decision, declared
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.nodes import Output
from snnfuse.hardware.ir.program import Program
from snnfuse.nn.gradients import round_through
from snnfuse.nn.layer import FixedPointLayer


@dataclass(frozen=True, eq=False)
class Run:
    """What one forward did, by population name.

    Attributes:
        spikes: 0.0 and 1.0, float32 (time, batch, *shape), or the integers that a maximum sends, float64; differentiable, for a loss on
            how much a layer spikes.
        states: the integers of each state by its name, as of a `Recording`, float64 (time, batch, *shape); of readouts always, of others
            where asked for.
    """

    spikes: dict[str, Tensor]
    states: dict[str, dict[str, Tensor]]

    @property
    def u(self) -> dict[str, Tensor]:
        """Currents of the populations that have one state of it."""
        return {name: states["u"] for name, states in self.states.items() if "u" in states}

    @property
    def v(self) -> dict[str, Tensor]:
        """Voltages."""
        return {name: states["v"] for name, states in self.states.items() if "v" in states}


class Layers(nn.ModuleList):
    """Layers, in the order in which they run."""

    def __iter__(self) -> Iterator[FixedPointLayer]:
        return cast(Iterator[FixedPointLayer], super().__iter__())


class FixedPointNetwork(nn.Module):
    """A network in the chip's arithmetic: forward is what `program()` computes, spike for spike and state for state.

    Made by `snnfuse.nn.quantization_aware`. `layers` holds a `FixedPointLayer` per population. BatchNorm is folded, dropout is gone:
    train and eval mode are the same network.

    Args:
        network: float network in chip form.
        declared: inputs as events.
        layers: by population.
        graph: the float graph that it started from.
        reset: what every population was made to reset by; None where each kept its own rule.
        asked: how outputs are read.
    """

    def __init__(
        self,
        network: Network,
        declared: Mapping[str, Input],
        layers: Mapping[str, FixedPointLayer],
        graph: nir.NIRGraph,
        reset: Reset | None = None,
        asked: Reading = EACH_OWN,
    ) -> None:
        super().__init__()
        self.network, self.declared, self.graph = network, dict(declared), graph
        self.reset, self.asked = reset, asked
        self.layers = Layers(layers[name] for name in network.order)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return tuple(self.declared)

    def forward(self, x: Tensor | Mapping[str, Tensor]) -> Tensor | dict[str, Tensor]:
        """Run all time steps from rest.

        Args:
            x: float (time, batch, *shape), or {input name: such a tensor}; 0 and 1 for a binary input.

        Returns:
            The only output, or {output name: output}: spikes of 0.0 and 1.0, float32 (time, batch, *shape), or the membrane that an
            output reads, in the float network's units, float64.

        Raises:
            InputError: an input is missing, unknown, of another shape, or not 0 or 1 where it must be.
        """
        run = self.run(x)
        outputs = {name: self._read(run, name) for name in self.network.outputs}
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    @property
    def decides(self) -> str | None:
        """The output that classes are read from; None where none of several is."""
        return decision(self.network, self.asked)

    @property
    def rule(self) -> Output:
        """How classes are read from `decides`; InputError where nothing decides."""
        if self.decides is None:
            raise InputError(f"this network has {len(self.network.outputs)} outputs, and none is named to decide; name one with output")
        return declared(self.network, self.asked)[self.decides]

    def _read(self, run: Run, name: str) -> Tensor:
        node = self.network.outputs[name]
        if name not in self.network.membranes:
            return run.spikes[node]
        layer, origin = next(layer for layer in self.layers if layer.name == node), self.network.populations[node].origin
        v = run.states[node][layer.neuron.membrane or "v"] / (layer.scale * (1 << ALIGN_BITS))
        return v if origin is None else v + torch.as_tensor(origin, dtype=v.dtype, device=v.device)

    def run(self, x: Tensor | Mapping[str, Tensor], states: bool = False) -> Run:
        """`forward` with the spikes of every population and, where asked for, every state."""
        sent = {name: self._events(name, value).flatten(2) for name, value in self._named(x).items()}
        run, read = Run({}, {}), self.network.read_voltages
        for layer in self.layers:
            trace = layer(
                {i.projection.source: sent[i.projection.source] for i in layer.incoming if not i.is_recurrent} or sent,
                states or layer.name in read,
            )
            sent[layer.name] = trace.spikes
            run.spikes[layer.name] = trace.spikes.unflatten(2, layer.neuron.shape)
            if trace.states:
                run.states[layer.name] = {state: values.unflatten(2, layer.neuron.shape) for state, values in trace.states.items()}
        return run

    def _named(self, x: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        if isinstance(x, Tensor):
            if len(self.declared) != 1:
                raise InputError(f"this network has {len(self.declared)} inputs: give a dictionary with {', '.join(self.declared)}")
            x = {self.inputs[0]: x}
        if set(x) != set(self.declared):
            raise InputError(f"inputs must be {', '.join(self.declared)}, not {', '.join(x) or 'empty'}")
        for name, value in x.items():
            shape = self.declared[name].shape
            if value.ndim < 2 or tuple(value.shape[2:]) != tuple(shape) or 0 in value.shape[:2]:
                raise InputError(f"input {name!r} must have shape (time, batch, {', '.join(map(str, shape))}), not {tuple(value.shape)}")
        if len({tuple(value.shape[:2]) for value in x.values()}) > 1:
            raise InputError("inputs differ in time or batch: " + ", ".join(f"{n} {tuple(v.shape[:2])}" for n, v in x.items()))
        return {name: x[name] for name in self.declared}

    def _events(self, name: str, x: Tensor) -> Tensor:
        """`snnfuse.hardware.ir.encoding`, differentiable: payloads, float32 (time, batch, *shape)."""
        node = self.declared[name]
        if not bool(torch.isfinite(x).all()):
            raise InputError(f"input {name!r} holds NaN or infinite values")
        if node.sends_numbers:
            x = x if x.is_floating_point() else x.double()
            scale = torch.tensor(node.scale, dtype=x.dtype, device=x.device)  # a tensor: some devices multiply by a number's inverse
            return torch.clamp(round_through(x / scale), -node.limit, node.limit).float()
        if not bool(((x == 0) | (x == 1)).all()):
            raise InputError(f"input {name!r} takes binary spikes, 0 or 1, and holds other values")
        return x.float()

    def program(self) -> Program:
        """The integers that forward uses, for every backend. Its ledger holds what changed before rounding."""
        fits = {layer.name: layer.fit() for layer in self.layers}
        return assemble(self.network, fits, self.declared, self.asked)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """What an optimiser of Adam's kind takes; see `parameter_groups`."""
        return parameter_groups(self, lr)


def parameter_groups(module: nn.Module, lr: float) -> list[dict[str, Any]]:
    """Every trained tensor with `lr` times its rms as learning rate: Adam's steps are as long as that, whatever the gradient."""
    trained = [p for p in module.parameters() if p.requires_grad]
    sizes = [float(p.detach().square().mean().sqrt()) for p in trained]
    return [{"params": [p], "lr": lr * size} for p, size in zip(trained, sizes) if size > 0]
