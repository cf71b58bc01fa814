"""FD-fusion in small: a spiking vision net, a spiking audio net, and a spiking perceptron over both embeddings.

After "Spiking Neural Network Feature Discrimination Boosts Modality Fusion" (Oikonomou, Kansizoglou, Gasteratos, 2025), with two
convolutions in place of its ResNet18. `forward` is one time step; `snnfuse.networks.run` loops over time. A layer's output is
binary.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from snnfuse.hardware.errors import InputError
from snnfuse.networks.l2 import L2Normalise
from snnfuse.networks.neurons import Neuron
from snnfuse.networks.registry import architecture

NAME = "fd-fusion"
MODALITIES = ("fusion", "vision", "audio")
L2_RULES = ("none", "per-step")


@dataclass(frozen=True)
class FDFusionConfig:
    """What an FD-fusion network looks like; every field is JSON-able.

    Attributes:
        modality: "fusion", or one branch with a head of its own: "vision", "audio".
        image: (channels, height, width) of one image.
        audio: features of one time step of audio.
        classes: outputs.
        channels: output channels of the two convolutions (kernel 5, stride 2, padding 2: each halves height and width).
        hidden: neurons of the audio net's hidden layers.
        embedding: neurons of each branch's last layer.
        fused: hidden neurons of the perceptron over both embeddings.
        dropout: of the embeddings while training, in [0, 1).
        l2: "none", or "per-step": each embedding is scaled to a constant length on every step.
        l2_scale: that length.
        neuron: of every layer but the audio net's.
        audio_neuron: of the audio net; a slower membrane remembers what was heard.
    """

    modality: str = "fusion"
    image: tuple[int, int, int] = (1, 28, 28)
    audio: int = 144
    classes: int = 10
    channels: tuple[int, int] = (8, 16)
    hidden: tuple[int, ...] = (128,)
    embedding: int = 64
    fused: int = 64
    dropout: float = 0.1
    l2: str = "none"
    l2_scale: float = 4.0
    neuron: Neuron = field(default_factory=Neuron)
    audio_neuron: Neuron = field(default_factory=lambda: Neuron(beta=0.95))

    def __post_init__(self) -> None:
        for name, value, allowed in (("modality", self.modality, MODALITIES), ("l2", self.l2, L2_RULES)):
            if value not in allowed:
                raise InputError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must lie in [0, 1), not be {self.dropout}")


def halved(size: int) -> int:
    """Height or width after a convolution of kernel 5, stride 2, padding 2."""
    return (size - 1) // 2 + 1


class VisionNet(nn.Sequential):
    """Image (batch, channels, height, width) -> embedding spikes (batch, embedding)."""

    def __init__(self, c: FDFusionConfig) -> None:
        first, second = c.channels
        pixels = halved(halved(c.image[1])) * halved(halved(c.image[2]))
        super().__init__(
            *(nn.Conv2d(c.image[0], first, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(first), c.neuron.layer()),
            *(nn.Conv2d(first, second, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(second), c.neuron.layer()),
            *(nn.Flatten(), nn.Linear(second * pixels, c.embedding, bias=False), nn.BatchNorm1d(c.embedding), c.neuron.layer()),
        )


class AudioNet(nn.Sequential):
    """Features of one time step (batch, audio) -> embedding spikes (batch, embedding)."""

    def __init__(self, c: FDFusionConfig) -> None:
        widths = (c.audio, *c.hidden, c.embedding)
        layers = [
            (nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), c.audio_neuron.layer())
            for before, after in zip(widths, widths[1:], strict=False)
        ]
        super().__init__(*[module for layer in layers for module in layer])


class Head(nn.Sequential):
    """Embedding (batch, width) -> class spikes (batch, classes): a spiking perceptron."""

    def __init__(self, width: int, c: FDFusionConfig) -> None:
        super().__init__(
            *(nn.Dropout(c.dropout), nn.Linear(width, c.fused, bias=False), nn.BatchNorm1d(c.fused), c.neuron.layer()),
            *(nn.Linear(c.fused, c.classes), c.neuron.layer()),
        )


def normalise(c: FDFusionConfig) -> nn.Module:
    """What each embedding goes through before the head."""
    return L2Normalise(c.l2_scale) if c.l2 == "per-step" else nn.Identity()


class FDFusion(nn.Module):
    """Both branches and the perceptron over their embeddings."""

    inputs = ("image", "audio")

    def __init__(self, config: FDFusionConfig) -> None:
        super().__init__()
        self.config = config
        self.vision, self.audio = VisionNet(config), AudioNet(config)
        self.vision_l2, self.audio_l2 = normalise(config), normalise(config)
        self.head = Head(2 * config.embedding, config)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        """One time step: float (batch, *config.image) and (batch, config.audio) -> spikes (batch, classes)."""
        seen = self.vision_l2(self.vision(image))
        heard = self.audio_l2(self.audio(audio))
        return self.head(torch.cat((seen, heard), dim=1))


class FDVision(nn.Module):
    """The vision branch with a head of its own."""

    inputs = ("image",)

    def __init__(self, config: FDFusionConfig) -> None:
        super().__init__()
        self.config = config
        self.vision, self.vision_l2, self.head = VisionNet(config), normalise(config), Head(config.embedding, config)

    def forward(self, image: Tensor) -> Tensor:
        """One time step: float (batch, *config.image) -> spikes (batch, classes)."""
        return self.head(self.vision_l2(self.vision(image)))


class FDAudio(nn.Module):
    """The audio branch with a head of its own."""

    inputs = ("audio",)

    def __init__(self, config: FDFusionConfig) -> None:
        super().__init__()
        self.config = config
        self.audio, self.audio_l2, self.head = AudioNet(config), normalise(config), Head(config.embedding, config)

    def forward(self, audio: Tensor) -> Tensor:
        """One time step: float (batch, config.audio) -> spikes (batch, classes)."""
        return self.head(self.audio_l2(self.audio(audio)))


CLASSES = {"fusion": FDFusion, "vision": FDVision, "audio": FDAudio}


@architecture(NAME)
def fd_fusion(**config: Any) -> nn.Module:
    """An FD-fusion network; the keyword arguments are the fields of `FDFusionConfig`, the neurons also as dictionaries of theirs.

    Raises:
        InputError: an unknown field, or a value that a field does not allow.
    """
    try:
        neurons = {name: Neuron(**config[name]) for name in ("neuron", "audio_neuron") if isinstance(config.get(name), dict)}
        tuples = {name: tuple(config[name]) for name in ("image", "channels", "hidden") if name in config}
        made = FDFusionConfig(**{**config, **neurons, **tuples})
    except TypeError as error:
        raise InputError(f"{NAME} does not take this configuration: {error}") from error
    return CLASSES[made.modality](made)
