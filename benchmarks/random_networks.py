"""Random spiking networks of snnTorch's neurons and resets, and random inputs of classes, for `python -m benchmarks.few_bits`.

A network is drawn by its number: 1 or 2 hidden layers of 16 to 48 neurons and 4 to 10 output neurons, dense or behind a convolution, with
biases or without, of one kind of neuron with one reset, decays per network or per neuron. Nothing is trained. Each layer's weights are
scaled so that it spikes at a drawn rate between 4 and 20 % of the steps. Inputs are spikes, or numbers for one network in six, with a
profile of rates per class, so that samples of a class resemble each other.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import snntorch as snn
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

RESETS = (("zero", True), ("zero", False), ("subtract", True), ("subtract", False))
KINDS = ("Leaky", "Synaptic", "Lapicque", "RLeaky", "RSynaptic", "Alpha")
UNDELAYED = ("Leaky", "Synaptic", "RLeaky")  # snnTorch itself fails on such an RSynaptic, and Lapicque and Alpha are always delayed
FORMS = tuple((kind, *reset) for kind, reset in product(KINDS, RESETS) if reset[1] or kind in UNDELAYED)
RATES = (0.04, 0.2)
TUNING = 48  # samples by which weights are scaled


@dataclass(frozen=True, eq=False)
class Drawn:
    """A random network.

    Attributes:
        name: what it is, in words.
        model: one time step of it, in float64.
        shape: of its input.
        known, test: inputs (time, batch, *shape), float64, to calibrate and to measure on.
    """

    name: str
    model: nn.Module
    shape: tuple[int, ...]
    known: NDArray[np.float64]
    test: NDArray[np.float64]


class Network(nn.Module):
    """Layers in a row, one time step per call."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def draw(number: int, known: int = 96, test: int = 400) -> Drawn:
    """The random network of this number, 0 or more; each form of neuron comes once in `len(FORMS)` numbers.

    Args:
        number: what it is drawn by.
        known, test: how many samples to calibrate and to measure on.
    """
    rng = np.random.default_rng(7000 + number)
    torch.manual_seed(7000 + number)
    kind, reset, delay = FORMS[number % len(FORMS)]
    classes, steps, is_conv, is_analog = int(rng.integers(4, 11)), int(rng.integers(24, 61)), rng.random() < 0.25, rng.random() < 1 / 6
    shape = (int(rng.integers(1, 3)), 6, 6) if is_conv else (int(rng.integers(10, 33)),)
    x = _samples(rng, shape, classes, steps, known + test, is_analog)
    has_bias, widths = bool(rng.random() < 0.6), [int(rng.integers(16, 49)) for _ in range(rng.integers(1, 3))]
    layers: list[nn.Module] = []
    if is_conv:
        layers += [nn.Conv2d(shape[0], 4, 3, padding=1, bias=has_bias), _neuron(rng, "Leaky", reset, delay, 4), nn.Flatten()]
    before = 4 * 36 if is_conv else shape[0]
    for width in (*widths, classes):
        layers += [nn.Linear(before, width, bias=has_bias), _neuron(rng, kind, reset, delay, width)]
        before = width
    model = Network(layers).double().eval()
    _scale(model, torch.from_numpy(x[:, :TUNING]), rng)
    words = (
        f"{number}: {kind}, {reset}{'' if delay else ' undelayed'}, {'convolution, ' * is_conv}{'analog, ' * is_analog}{len(widths)} hidden"
    )
    return Drawn(words, model, shape, x[:, :known], x[:, known:])


def _samples(
    rng: np.random.Generator, shape: tuple[int, ...], classes: int, steps: int, number: int, is_analog: bool
) -> NDArray[np.float64]:
    """Spikes of 0 and 1, or numbers, (steps, number, *shape): a profile of rates per class, and a tenth of another's."""
    profiles = rng.uniform(0.02, 0.5, (classes, *shape)) * (rng.random((classes, *shape)) < 0.6)
    mine, other = rng.integers(0, classes, number), rng.integers(0, classes, number)
    rates = 0.9 * profiles[mine] + 0.1 * profiles[other]
    if is_analog:
        return rates + rng.normal(0, 0.1, (steps, number, *shape))
    return (rng.random((steps, number, *shape)) < rates).astype(np.float64)


def _neuron(rng: np.random.Generator, kind: str, reset: str, delay: bool, width: int) -> nn.Module:
    """Neurons whose decays are one number, or of dense layers one each."""

    def decay(low: float, high: float) -> Any:
        return float(rng.uniform(low, high)) if rng.random() < 0.5 else torch.from_numpy(rng.uniform(low, high, width))

    options: dict[str, Any] = {
        "init_hidden": True,
        "spike_grad": _heaviside,
        "reset_mechanism": reset,
        "threshold": float(rng.uniform(0.5, 2)),
    }
    if not delay:
        options["reset_delay"] = False
    if kind.startswith("R"):
        options |= {"all_to_all": True, "linear_features": width}
    beta = float(rng.uniform(0.6, 0.97)) if width == 4 else decay(0.6, 0.97)
    if kind == "Lapicque":
        return snn.Lapicque(beta=float(rng.uniform(0.7, 0.97)), **options)
    if kind == "Alpha":
        low = float(rng.uniform(0.4, 0.7))
        return snn.Alpha(alpha=low + float(rng.uniform(0.1, 0.25)), beta=low, **options)
    return getattr(snn, kind)(**({"alpha": decay(0.4, 0.9)} if kind.endswith("Synaptic") else {}), beta=beta, **options)


def _heaviside(x: Tensor) -> Tensor:
    """snnTorch's own surrogates give float32."""
    return (x > 0).to(x.dtype)


@torch.no_grad()
def _scale(model: Network, x: Tensor, rng: np.random.Generator) -> None:
    """Multiply each layer's weights, from the first on, so that it spikes at a drawn rate."""
    for at, layer in enumerate(model.layers):
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        wanted, low, high = rng.uniform(*RATES), 0.0, 64.0
        weight, bias = layer.weight.clone(), None if layer.bias is None else layer.bias.clone()
        for _ in range(12):
            middle = (low + high) / 2 if low else high / 8
            layer.weight.copy_(weight * middle)
            if bias is not None:
                layer.bias.copy_(bias * middle * 0.3)
            rate = float(_run(model, x, at + 2).mean())
            low, high = (middle, high) if rate < wanted else (low, middle)


def _run(model: Network, x: Tensor, until: int) -> Tensor:
    """Spikes of the layer before `until`, (time, batch, ...)."""
    for layer in model.layers:
        if hasattr(layer, "reset_mem"):
            layer.reset_mem()
    found = []
    for step in x:
        for layer in model.layers[:until]:
            step = layer(step)
        found.append(step)
    return torch.stack(found)
