"""Accuracy and spike rates."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from snntorch import SpikingNeuron
from torch import Tensor, nn

from snnfuse.data import Pairs
from snnfuse.networks import decode, input_names, run
from snnfuse.nn import FixedPointNetwork
from snnfuse.training.batches import EvaluationBatches, in_time
from snnfuse.training.objective import outputs, scores


def evaluate(model: nn.Module, pairs: Pairs, batch_size: int | None = None) -> float:
    """Accuracy in [0, 1] over all pairs, step by step as the network is defined and on its device, by its decoder (spike count by
    default), ties to the lowest index; `batch_size` pairs at a time, None for as many as take little memory.
    """
    model.eval()
    place = next((p.device for p in model.parameters()), torch.device("cpu"))
    steps_of, right = in_time(pairs), 0
    with torch.no_grad():
        for batch in EvaluationBatches(pairs, input_names(model), size=batch_size):
            values = {name: value.to(place) for name, value in batch["values"].items()}
            right += right_of(model, steps_of(values), batch["labels"])
    return right / len(pairs)


def right_of(model: nn.Module, batch: dict[str, Tensor], labels: Tensor) -> int:
    """Return the number of samples of a batch (time, batch, *shape) that are classified right."""
    found = decode(scores(model, outputs(model, batch, run)).flatten(1)[None])
    return int((found == labels.cpu()).sum())


@dataclass
class Spikes:
    """Counts of what was seen: spikes, and neurons times steps times samples."""

    spikes: float = 0.0
    places: int = 0

    @property
    def rate(self) -> float:
        """Spikes per neuron and step; NaN where nothing was seen."""
        return self.spikes / self.places if self.places else float("nan")

    def add(self, values: Tensor) -> None:
        """Count a layer's output."""
        self.spikes += float(values.detach().sum())
        self.places += values.numel()


@contextmanager
def count_spikes(model: nn.Module) -> Iterator[Spikes]:
    """Count what every spiking layer puts out meanwhile."""
    seen = Spikes()

    def hook(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        seen.add(output if isinstance(output, Tensor) else output[0])

    if isinstance(model, FixedPointNetwork):
        layers: list[nn.Module] = [layer for layer in model.layers if not layer.neuron.sends_numbers]
    else:
        layers = [m for m in model.modules() if isinstance(m, SpikingNeuron)]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
