"""Binary query-key attention across modalities, of linear cost: a mask over tokens, and no product of keys and values.

For tokens n and heads h of depth D, with q spikes of a modality's own tokens and k of the other's:

    a[h, n] = LIF(sum_d q[h, d, n]);    o[h, d, n] = a[h, n] k[h, d, n];    r = LIF(BN(conv(o)))
    x + alpha r, alpha learnt; then the perceptron and the head of S-CMRL

The mask is the Q-K token attention of QKFormer (Zhou et al., NeurIPS 2024, arXiv 2403.16552, section 3.2): H N mask neurons and C N ANDs a
step, where S-CMRL's spatial branch takes C D products of counts and spikes or more. Crossing it between modalities with a learnable
residual is what SNNergy describes ("Cross-Modal Binary Attention", Saleh and Ahmadi, arXiv 2602.00701: "bidirectional cross-modal Query-Key
attention", "learnable residual fusion"); its three-stage hierarchy is not here: patches, perceptron and head are S-CMRL's, so that the
two attentions differ in nothing else.

The published mask neuron has the threshold 0.5 and fires at it: at one query of its head that fires, which leaves nothing to remember.
Above half of that is the same for whole numbers, strictly.
"""

import torch
from torch import Tensor, nn

from snnfuse.networks.s_cmrl.config import SCMRLConfig
from snnfuse.networks.s_cmrl.layers import Head, Patches, Perceptron, Projection, spiking, summed, tokens_mean
from snnfuse.networks.s_cmrl.losses import TwoFeatures

MASK_THRESHOLD = 0.25  # half of the published 0.5, in the units of the published neuron
GAIN = 2.0  # that fresh norms of queries and keys start with: two spikes must meet, see `attention.QueryKeyValue`


class QueryKey(nn.Module):
    """The residual r of one modality: tokens (batch, C, height, width) of its own and of the other -> spikes of that shape."""

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.q, self.k = Projection(c, c.channels, c.channels), Projection(c, c.channels, c.channels)
        self.mask, self.project = spiking(c, MASK_THRESHOLD), Projection(c, c.channels, c.channels)
        for projection in (self.q, self.k):
            nn.init.constant_(projection.norm.weight, GAIN)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """See the module's equation."""
        queries, keys = (spikes.unflatten(1, (self.heads, -1)) for spikes in (self.q(own), self.k(other)))
        masked = self.mask(queries.sum(2)).unsqueeze(2) * keys
        return self.project(masked.flatten(1, 2))


class CrossModalQueryKey(TwoFeatures):
    """Either modality masks the other's keys with its queries; its residuals, mean over tokens, are aligned as S-CMRL's are."""

    inputs = ("image", "audio")

    def __init__(self, config: SCMRLConfig) -> None:
        super().__init__()
        c = self.config = config
        self.image, self.audio = Patches(c, c.image[0]), Patches(c, c.audio[0])
        self.of_image, self.of_audio = QueryKey(c), QueryKey(c)
        self.image_alpha, self.audio_alpha = (nn.Parameter(torch.tensor(float(c.alpha))) for _ in range(2))
        self.image_mlp, self.audio_mlp = Perceptron(c), Perceptron(c)
        self.head = Head(c)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor | tuple[Tensor, ...]:
        """One time step: float (batch, *config.image) and (batch, *config.audio) -> class scores (batch, classes)."""
        seen, heard = summed(self.image(image)), summed(self.audio(audio))
        of_image, of_audio = self.of_image(seen, heard), self.of_audio(heard, seen)
        seen, heard = seen + self.image_alpha * of_image, heard + self.audio_alpha * of_audio
        scores = self.head((seen + self.image_mlp(seen)) + (heard + self.audio_mlp(heard)))
        return (scores, tokens_mean(of_image), tokens_mean(of_audio)) if self.gives_features else scores
