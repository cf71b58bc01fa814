"""The parts of a network with cross-modal attention, in the order in which they run. Each is one time step.

Causal attention runs all of them within a step and keeps running sums between them; exact attention runs each over the whole window
before the next. They are the same modules under the same names, so that a checkpoint of one form is one of the other.
"""

from typing import cast

from torch import Tensor, nn

from snnfuse.hardware.errors import InputError
from snnfuse.networks.s_cmrl.attention import (
    Attended,
    Held,
    QueryKeyValue,
    Spatial,
    by_heads,
    over_steps,
    pictures,
    products_over_steps,
    token_counts,
)
from snnfuse.networks.s_cmrl.config import SCMRLConfig
from snnfuse.networks.s_cmrl.layers import Head, Patches, Perceptron, spiking, tokens_mean


class Temporal(nn.Module):
    """The queries and the products k v^T of a step, for attention over steps."""

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__()
        self.read, self.grid = QueryKeyValue(c, gain=3.0), c.grid  # T products to sum, not N: rarer still

    def forward(self, own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (batch, C, height, width) -> q and products, binary, as `pictures`: (batch, C, height, width) and C D channels."""
        q, k, v = self.read(own, other)
        return pictures(q, self.grid), pictures(products_over_steps(k, v), self.grid)


class Early(nn.Module):
    """Pictures to tokens, and what temporal attention reads of them."""

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__()
        self.image, self.audio = Patches(c, c.image[0]), Patches(c, c.audio[0])
        if c.fusion != "spatial":
            self.image_temporal, self.audio_temporal = Temporal(c), Temporal(c)

    def tokens(self, image: Tensor, audio: Tensor) -> tuple[Tensor, ...]:
        """Spikes (batch, C, height, width): image pooled and relative, audio pooled and relative."""
        return (*self.image(image), *self.audio(audio))

    def forward(self, image: Tensor, audio: Tensor) -> tuple[Tensor, ...]:
        """`tokens`, then q and products of image and of audio."""
        spikes = self.tokens(image, audio)
        seen, heard = spikes[0] + spikes[1], spikes[2] + spikes[3]
        return (*spikes, *self.image_temporal(seen, heard), *self.audio_temporal(heard, seen))


class BothAttended(nn.Module):
    """What attention found of either modality, to spikes."""

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__()
        self.image, self.audio = Attended(c), Attended(c)

    def spikes(self, image: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Counts (batch, H, D, N) each, to spikes (batch, C, height, width)."""
        return self.image(image), self.audio(audio)


class Middle(BothAttended):
    """Temporal attention of either modality: queries and the products' sum over time to spikes (batch, C, height, width)."""

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__(c)
        self.heads = c.heads
        exact = c.attention == "exact"
        self.image_q, self.audio_q = (Held(1) if exact else nn.Identity() for _ in range(2))
        self.image_products, self.audio_products = (Held(c.steps) if exact else nn.Identity() for _ in range(2))

    def forward(self, image_q: Tensor, image_products: Tensor, audio_q: Tensor, audio_products: Tensor) -> tuple[Tensor, Tensor]:
        """Queries as `Temporal` returns them, and its products summed over time -> spikes (batch, C, height, width) of either modality."""
        image = by_heads(self.image_q(image_q), self.image_products(image_products), self.heads)
        audio = by_heads(self.audio_q(audio_q), self.audio_products(audio_products), self.heads)
        return self.spikes(over_steps(*image), over_steps(*audio))


class LegacyMiddle(BothAttended):
    """The same for `legacy`, where a host comes between attention and its neurons."""

    def forward(self, image: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """See `spikes`."""
        return self.spikes(image, audio)


class Residual(nn.Module):
    """The cross-modal residual r of one modality, spikes (batch, C, height, width): its branches, mixed by a linear map and neurons.

    With both branches it is given mean over tokens of the spatial one times mean over time of the temporal one: a product of counts,
    and behind it the constant 1 / (N T). The published map starts from weights of 0.02 and no bias, with which these neurons never fire
    and learn slowly; a fresh one here starts with a bias just too small to fire alone. `legacy` starts as published.
    """

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__()
        self.fusion, self.scale = c.fusion, 1 / (c.tokens * c.steps)
        if c.fusion != "temporal":
            self.spatial = Spatial(c)
        self.mix = nn.Conv2d(c.channels, c.channels, 1)
        self.neurons = spiking(c, c.attention_threshold)
        nn.init.trunc_normal_(self.mix.weight, std=0.02 if c.legacy else 1.0)
        bias = cast(Tensor, self.mix.bias)  # a Conv2d has one unless told otherwise
        nn.init.constant_(bias, 0.0 if c.legacy else c.attention_threshold)  # V nears 2 threshold, and stays below

    def forward(self, own: Tensor, other: Tensor, temporal: Tensor | None) -> Tensor:
        """own, other: tokens; temporal: spikes of the step, or with both branches their count over time; None without that branch."""
        if self.fusion == "spatial":
            found = self.spatial(own, other)
        elif temporal is None:
            raise InputError(f"fusion {self.fusion!r} needs what temporal attention gave, and was given none")
        elif self.fusion == "temporal":
            found = temporal
        else:
            found = self.scale * (token_counts(self.spatial(own, other)) * temporal)
        return self.neurons(self.mix(found))


class Late(nn.Module):
    """Tokens and what temporal attention gave to class scores.

    Attributes:
        gives_features: whether `forward` also returns the features of image and audio, (batch, C) each: the residual's mean over tokens.
    """

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__()
        self.alpha, self.gives_features = c.alpha, False
        self.image, self.audio = Residual(c), Residual(c)
        self.image_mlp, self.audio_mlp = Perceptron(c), Perceptron(c)
        self.head = Head(c)
        held = c.attention == "exact" and c.fusion == "spatio-temporal"
        self.image_held, self.audio_held = (Held(c.steps), Held(c.steps)) if held else (nn.Identity(), nn.Identity())

    def forward(self, *values: Tensor) -> Tensor | tuple[Tensor, ...]:
        """values: image pooled and relative, audio pooled and relative, and with temporal attention that of image and of audio."""
        seen, heard = values[0] + values[1], values[2] + values[3]
        of_image, of_audio = (self.image_held(values[4]), self.audio_held(values[5])) if len(values) > 4 else (None, None)
        image, audio = self.image(seen, heard, of_image), self.audio(heard, seen, of_audio)
        seen, heard = seen + self.alpha * image, heard + self.alpha * audio
        scores = self.head((seen + self.image_mlp(seen)) + (heard + self.audio_mlp(heard)))
        if self.gives_features:
            return scores, tokens_mean(image), tokens_mean(audio)
        return scores
