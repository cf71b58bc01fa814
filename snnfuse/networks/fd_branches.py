"""The unimodal networks of FD-fusion, up to their embeddings: two vision nets and the audio net. One time step each.

With the L2 rule "membrane" an embedding is not its spikes but the currents into it, and the L2 layer behind integrates them.
"""

from torch import Tensor, nn

from snnfuse.networks.fd_config import FDFusionConfig
from snnfuse.networks.neurons import Neuron
from snnfuse.networks.residual import KINDS


class ConvNet(nn.Sequential):
    """Two convolutions: image (batch, channels, height, width) -> embedding spikes (batch, embedding).

    Layers, with h -> ceil(h / 2) at each convolution: (channels[0], h', w'), (channels[1], h'', w''), (embedding,).
    """

    def __init__(self, c: FDFusionConfig) -> None:
        first, second = c.channels
        pixels = halved(halved(c.image[1])) * halved(halved(c.image[2]))
        super().__init__(
            *(nn.Conv2d(c.image[0], first, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(first), c.neuron.layer()),
            *(nn.Conv2d(first, second, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(second), c.neuron.layer()),
            *(nn.Flatten(), nn.Linear(second * pixels, c.embedding, bias=False), nn.BatchNorm1d(c.embedding), *spiking(c, c.neuron)),
        )


def halved(size: int) -> int:
    """Height or width after a convolution of stride 2 that is padded by half its odd kernel."""
    return (size - 1) // 2 + 1


class ResNet(nn.Module):
    """The spiking ResNet of L2-ActSpikeNet: image (batch, channels, height, width) -> embedding spikes (batch, embedding).

    stem        convolution, batch norm, neurons      (width, h, w), h = ceil(height / stem stride), w alike
    stages.i    blocks[i] residual blocks             (2^i width, ceil(h / 2^i), ceil(w / 2^i))
    embed       mean over all positions, linear       (embedding,)
                layer, batch norm, neurons

    A mean in place of a sum, which the batch norm behind it would turn into the same numbers.
    """

    def __init__(self, c: FDFusionConfig) -> None:
        super().__init__()
        kernel, stride = c.stem
        widths = [c.width * 2**stage for stage in range(len(c.blocks))]
        first = nn.Conv2d(c.image[0], c.width, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.stem = nn.Sequential(first, nn.BatchNorm2d(c.width), c.neuron.layer())
        self.stages = nn.Sequential(*(stage(c, i, before) for i, before in enumerate([c.width, *widths[:-1]])))
        self.embed = nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            *(nn.Linear(widths[-1], c.embedding, bias=False), nn.BatchNorm1d(c.embedding), *spiking(c, c.neuron)),
        )

    def forward(self, image: Tensor) -> Tensor:
        """One time step."""
        return self.embed(self.stages(self.stem(image)))


def stage(c: FDFusionConfig, index: int, before: int) -> nn.Sequential:
    """The blocks of one stage: spikes of `before` channels -> those of 2^index width channels."""
    after, block = c.width * 2**index, KINDS[c.block]
    first = block(before, after, 2 if index else 1, c.neuron)
    return nn.Sequential(first, *(block(after, after, 1, c.neuron) for _ in range(c.blocks[index] - 1)))


def vision_net(c: FDFusionConfig) -> nn.Module:
    """The vision net that a configuration asks for: image (batch, *image) -> embedding spikes (batch, embedding)."""
    return ResNet(c) if c.vision == "resnet" else ConvNet(c)


class AudioNet(nn.Sequential):
    """Features of one time step (batch, audio), or of any shape that the configuration says -> embedding spikes (batch, embedding).

    Layers: (hidden[0],), (hidden[1],), ..., (embedding,), each linear, batch norm, neurons.
    """

    def __init__(self, c: FDFusionConfig) -> None:
        layers: list[nn.Module] = [nn.Flatten()] if isinstance(c.audio, tuple) else []
        for before, after in zip((c.heard, *c.hidden), c.hidden, strict=False):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), c.audio_neuron.layer()]
        last = nn.Linear((c.heard, *c.hidden)[-1], c.embedding, bias=False)
        super().__init__(*layers, last, nn.BatchNorm1d(c.embedding), *spiking(c, c.audio_neuron))


def spiking(c: FDFusionConfig, neuron: Neuron) -> tuple[nn.Module, ...]:
    """The embedding's neurons; none where an L2 layer integrates the currents in their place."""
    return () if c.l2 == "membrane" else (neuron.layer(),)
