"""Fine-tuning without labels: every layer learns to do in integers what the float network's own does.

Each population is fed with what the float network's populations sent, its own recurrence included, and its weights follow the
difference of its spikes from the float ones. So no error of a layer reaches the next, a recurrent network's chaos does not come into
play, and every step of every sample is a lesson for every neuron: few samples teach without being learnt by heart. A membrane readout and
a maximum have no spikes, and stay as they are.
(Layer-wise reconstruction: Nagel et al. 2020, Li et al. 2021.)
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from snnfuse.export.lowering.float_simulator import simulate
from snnfuse.hardware.ir.encoding import as_inputs, to_events
from snnfuse.hardware.ir.maximum import Maximum
from snnfuse.nn.layer import FixedPointLayer
from snnfuse.nn.module import FixedPointNetwork, parameter_groups

FADING = 0.8
EPOCHS = 30


def imitate(
    net: FixedPointNetwork,
    x: ArrayLike | Mapping[str, ArrayLike],
    *,
    epochs: int = EPOCHS,
    batch_size: int = 35,
    lr: float = 0.003,
    seed: int = 0,
) -> None:
    """Train a network's layers, one by one, towards the float network that it was made from.

    Args:
        net: trained in place.
        x: float (time, batch, *shape), or {input name: such an array}: calibration data, without labels.
        epochs, batch_size: passes over the samples, and samples per update.
        lr: highest learning rate of Adam, relative to each tensor's rms; it falls to zero as a cosine.
        seed: of the order of samples.

    Raises:
        InputError: x does not fit the network.
    """
    arrays = as_inputs(net.declared, x)
    events = to_events(net.declared, arrays)
    run = simulate(net.network, {name: events[name] * getattr(node, "scale", 1) for name, node in net.declared.items()})
    sent = {**events, **run.spikes}
    for layer in net.layers:
        if isinstance(layer.neuron, Maximum):
            sent[layer.name] = layer.neuron.encode(run.spikes[layer.name])
        fit_layer(layer, sent, run.spikes[layer.name], epochs, batch_size, lr, np.random.default_rng(seed))


def fit_layer(
    layer: FixedPointLayer, sent: Mapping[str, NDArray], goal: NDArray, epochs: int, batch_size: int, lr: float, rng: np.random.Generator
) -> None:
    """Train one layer, fed with `sent`, towards the spikes `goal` (time, batch, *shape); at the end it holds the weights of the epoch that
    began closest."""
    device = layer.bias.device
    inputs = {i.projection.source: _payloads(sent[i.projection.source]).to(device) for i in layer.incoming}
    wanted = _payloads(goal).to(device)
    trained = [p for p in layer.parameters() if p.requires_grad]
    if not layer.fires or not trained or not bool(wanted.any()):
        return
    parts = max(1, wanted.shape[1] // batch_size)
    optimiser = torch.optim.Adam(parameter_groups(layer, lr))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * parts)
    best, kept = np.inf, [p.detach().clone() for p in trained]
    for _ in range(epochs):
        before, total = [p.detach().clone() for p in trained], 0.0
        for chosen in np.array_split(rng.permutation(wanted.shape[1]), parts):
            spikes = layer({name: values[:, chosen] for name, values in inputs.items()}, forced=True).spikes
            loss = spike_distance(spikes, wanted[:, chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        if total < best:
            best, kept = total, before
    with torch.no_grad():
        for parameter, values in zip(trained, kept):
            parameter.copy_(values)


def _payloads(values: NDArray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).flatten(2)


def spike_distance(spikes: Tensor, goal: Tensor) -> Tensor:
    """How far spike trains (time, batch, neurons) are apart: mean square of their difference, each spike fading by `FADING` per step, so
    that one a step early costs less than one too many (van Rossum 2001)."""
    apart, total = torch.zeros_like(spikes[0]), spikes.new_zeros(())
    for difference in spikes - goal:
        apart = FADING * apart + difference
        total = total + apart.square().mean()
    return total / len(spikes)
