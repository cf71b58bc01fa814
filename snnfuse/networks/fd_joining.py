"""What turns embeddings into classes, and the ways to fuse two modalities. One time step each."""

from dataclasses import replace
from math import ceil, isqrt, prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from snnfuse.networks.fd_branches import vision_net
from snnfuse.networks.fd_config import FDFusionConfig
from snnfuse.networks.l2 import L2Membrane, L2Normalise
from snnfuse.networks.neurons import Neuron


def normalise(c: FDFusionConfig, neuron: Neuron) -> nn.Module:
    """Return the layer between an embedding of such neurons and the head: L2, or the identity."""
    if c.l2 == "membrane":
        return L2Membrane(neuron.beta, c.l2_scale)
    return nn.Identity() if c.l2 == "none" else L2Normalise(c.l2_scale)


class Perceptron(nn.Sequential):
    """Embedding (batch, width) -> (batch, fused) -> class spikes (batch, classes): the spiking perceptron (SMLP)."""

    def __init__(self, width: int, c: FDFusionConfig) -> None:
        super().__init__(
            *(nn.Dropout(c.dropout), nn.Linear(width, c.fused, bias=False), nn.BatchNorm1d(c.fused), c.neuron.layer()),
            *(nn.Linear(c.fused, c.classes), c.neuron.layer()),
        )


class Readout(nn.Sequential):
    """Embedding (batch, width) -> class spikes (batch, classes): one linear layer and its neurons."""

    def __init__(self, width: int, c: FDFusionConfig) -> None:
        super().__init__(nn.Dropout(c.dropout), nn.Linear(width, c.classes), c.neuron.layer())


class JointPerceptron(Perceptron):
    """A perceptron over both embeddings."""

    # Two embeddings, where Sequential takes one tensor.
    def forward(self, seen: Tensor, heard: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One time step: embeddings (batch, embedding) each -> class spikes (batch, classes)."""
        return super().forward(torch.cat((seen, heard), dim=1))


class JointReadout(Readout):
    """One linear layer over both embeddings."""

    # Two embeddings, where Sequential takes one tensor.
    def forward(self, seen: Tensor, heard: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One time step: embeddings (batch, embedding) each -> class spikes (batch, classes)."""
        return super().forward(torch.cat((seen, heard), dim=1))


class Scores(nn.Module):
    """A perceptron of its own for each modality, their class spikes added: spike counts 0, 1 or 2, (batch, classes).

    Over a window that adds the class scores of two unimodal networks. A mean would rank alike.
    """

    def __init__(self, c: FDFusionConfig) -> None:
        super().__init__()
        self.vision, self.audio = Perceptron(c.embedding, c), Perceptron(c.embedding, c)

    def forward(self, seen: Tensor, heard: Tensor) -> Tensor:
        """One time step: embeddings (batch, embedding) each."""
        return self.vision(seen) + self.audio(heard)


def fusing_head(c: FDFusionConfig) -> nn.Module:
    """Return the head that reads both embeddings, as `c.fusion` says."""
    if c.fusion == "late":
        return Scores(c)
    return (JointReadout if c.fusion == "embedding" else JointPerceptron)(2 * c.embedding, c)


class Sheet(nn.Module):
    """Image (batch, channels, height, width) and audio (batch, features) -> (batch, channels + `channels`, height, width).

    The features are laid out row by row on a grid, as square as the image lets it be, zeros behind the last; the grid is enlarged to the
    image's size, each pixel taking the nearest feature. So every window of a convolution sees both modalities, and none is lost: where
    the image has fewer pixels than there are features, they take several channels.
    """

    def __init__(self, features: int, height: int, width: int) -> None:
        super().__init__()
        columns = min(width, isqrt(features - 1) + 1)
        rows = min(height, ceil(features / columns))
        self.channels = ceil(features / (rows * columns))
        self.grid = (self.channels, rows, columns)
        self.missing = prod(self.grid) - features
        self.enlarge = nn.Upsample((height, width), mode="nearest")

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        """One time step."""
        grid = functional.pad(audio, (0, self.missing)).reshape(-1, *self.grid)
        return torch.cat((image, self.enlarge(grid)), dim=1)


class JoinedVision(nn.Module):
    """One vision net over both inputs: image and audio as of `Sheet` -> embedding spikes (batch, embedding)."""

    def __init__(self, c: FDFusionConfig) -> None:
        super().__init__()
        channels, height, width = c.image
        self.join = Sheet(c.heard, height, width)
        self.net = vision_net(replace(c, image=(channels + self.join.channels, height, width)))

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        """One time step."""
        return self.net(self.join(image, audio.flatten(1) if audio.dim() > 2 else audio))
