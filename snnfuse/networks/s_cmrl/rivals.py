"""The fusions that the paper compares with, and networks of one modality; patches, perceptron and head are S-CMRL's own.

Which of them a chip can run:
    add, image, audio    as they are
    sca                  as it is: counts plus a constant, neurons, products of spikes and counts
    cmci                 as it is; its two auxiliary heads are for training only
    weight-attention     not: it multiplies tokens by a signed real number that depends on the input. The exporter refuses the product.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from snnfuse.hardware.limits import check_limit
from snnfuse.networks.s_cmrl.attention import Attended, QueryKeyValue, Spatial
from snnfuse.networks.s_cmrl.config import SCMRLConfig
from snnfuse.networks.s_cmrl.layers import Head, Patches, Perceptron, spiking, summed, tokens_mean
from snnfuse.networks.s_cmrl.losses import Losses, LossNumbers, LossTerms, TwoFeatures
from snnfuse.networks.s_cmrl.recipe import LossSettings


class Rival(Losses):
    """Plain addition, and the base of the other fusions of two modalities: tokens, `joined`, a perceptron each, one head."""

    inputs = ("image", "audio")

    def __init__(self, config: SCMRLConfig) -> None:
        super().__init__()
        c = self.config = config
        self.image, self.audio = Patches(c, c.image[0]), Patches(c, c.audio[0])
        self.image_mlp, self.audio_mlp = Perceptron(c), Perceptron(c)
        self.head = Head(c)

    def joined(self, image: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens (batch, C, height, width) that either perceptron reads."""
        return image, audio

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        """One time step: float (batch, *config.image) and (batch, *config.audio) -> class scores (batch, classes)."""
        seen, heard = self.joined(summed(self.image(image)), summed(self.audio(audio)))
        return self.head((seen + self.image_mlp(seen)) + (heard + self.audio_mlp(heard)))


class Weigh(nn.Module):
    """w(x, y) x: a weight, linear in the token means of both modalities, times all tokens of one."""

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__()
        self.mix, self.weight = nn.Linear(2 * c.channels, c.channels), nn.Linear(c.channels, 1)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        weight = self.weight(self.mix(torch.cat((tokens_mean(own), tokens_mean(other)), dim=1)))
        return weight[:, :, None, None] * own


class WeightAttention(Rival):
    """Each modality's tokens times a weight. Not for a chip: the weight is a signed real number that differs from step to step."""

    def __init__(self, config: SCMRLConfig) -> None:
        super().__init__(config)
        self.weigh_image, self.weigh_audio = Weigh(config), Weigh(config)

    def joined(self, image: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        return self.weigh_image(image, audio), self.weigh_audio(audio, image)


class BiasedSpatial(nn.Module):
    """Spatial attention whose scores q . k, plus a bias by the tokens' relative position, fire neurons of their own: N N of them a head.

    The published code draws that bias anew in every forward pass; here it is learnt, one number per pair of distances, as where it
    comes from (Swin, Liu et al. 2021).
    """

    distance: Tensor

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__()
        self.read, self.neurons, self.attended = QueryKeyValue(c), spiking(c), Attended(c)
        height, width = c.grid
        self.bias = nn.Parameter(torch.empty((2 * height - 1) * (2 * width - 1)))
        nn.init.normal_(self.bias)
        self.register_buffer("distance", distances(height, width), persistent=False)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        q, k, v = self.read(own, other)
        scores = self.neurons(k.transpose(2, 3) @ q + self.bias[self.distance])  # (batch, H, N of k, N of q)
        return self.attended(v @ scores)


def distances(height: int, width: int) -> Tensor:
    """For every two tokens the number of their distance, int64 (N, N): a row of keys, a column of queries."""
    check_limit("array-bytes", 2 * 8 * (height * width) ** 2, f"a bias for every two of {height} x {width} tokens")
    at = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    apart = at[None, :, :] - at[:, None, :] + torch.tensor([height - 1, width - 1])
    return apart[..., 0] * (2 * width - 1) + apart[..., 1]


class SCA(Rival):
    """Spatial attention in place of the tokens, not beside them: of audio to the image, and of the image to audio with a bias."""

    def __init__(self, config: SCMRLConfig) -> None:
        super().__init__(config)
        self.of_audio, self.of_image = Spatial(config), BiasedSpatial(config)

    def joined(self, image: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        return self.of_image(image, audio), self.of_audio(audio, image)


class CMCI(TwoFeatures):
    """Cross-modal currents: both modalities drive neurons of their own by linear maps; a perceptron and the head read those.

    In training each modality has a head beside it, whose scores are the features and whose cross entropy is added. The published code makes
    these currents twice and reads one; here they are made once.
    """

    inputs = ("image", "audio")

    def __init__(self, config: SCMRLConfig) -> None:
        super().__init__()
        c = self.config = config
        self.image, self.audio = Patches(c, c.image[0]), Patches(c, c.audio[0])
        self.of_image, self.of_audio = nn.Conv2d(c.channels, c.channels, 1), nn.Conv2d(c.channels, c.channels, 1)
        self.neurons, self.mlp, self.head = spiking(c), Perceptron(c), Head(c)
        self.image_mlp, self.audio_mlp = Perceptron(c), Perceptron(c)
        self.image_head, self.audio_head = Head(c), Head(c)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor | tuple[Tensor, ...]:
        """One time step: float (batch, *config.image) and (batch, *config.audio) -> class scores (batch, classes)."""
        seen, heard = summed(self.image(image)), summed(self.audio(audio))
        both = self.neurons(self.of_image(seen) + self.of_audio(heard))
        scores = self.head(both + self.mlp(both))
        if not self.gives_features:
            return scores
        return scores, self.image_head(seen + self.image_mlp(seen)), self.audio_head(heard + self.audio_mlp(heard))

    def losses(self, outputs: Tensor, features: Mapping[str, Tensor], labels: Tensor, settings: LossNumbers | None = None) -> LossTerms:
        """Cross entropy of all three heads."""
        settings = settings or LossSettings()
        scores = {"classes": outputs.mean(0), **features}
        terms = {name: cross_entropy(s, labels, label_smoothing=settings.label_smoothing) for name, s in scores.items()}
        return LossTerms(summed(terms.values()), terms)


class Unimodal(Losses):
    """One modality, with spatial attention to itself: x + attention, then the perceptron, then the head."""

    def __init__(self, config: SCMRLConfig) -> None:
        super().__init__()
        c = self.config = config
        self.inputs = (c.fusion,)
        self.patches, self.attention = Patches(c, getattr(c, c.fusion)[0]), Spatial(c)
        self.mlp, self.head = Perceptron(c), Head(c)

    def scores(self, picture: Tensor) -> Tensor:
        """One time step: float (batch, *shape) -> class scores (batch, classes)."""
        tokens = summed(self.patches(picture))
        tokens = tokens + self.attention(tokens, tokens)
        return self.head(tokens + self.mlp(tokens))


class ImageOnly(Unimodal):
    """The image alone."""

    def forward(self, image: Tensor) -> Tensor:
        """See `scores`."""
        return self.scores(image)


class AudioOnly(Unimodal):
    """The sound alone."""

    def forward(self, audio: Tensor) -> Tensor:
        """See `scores`."""
        return self.scores(audio)
