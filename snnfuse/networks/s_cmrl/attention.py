"""Attention between spikes: no softmax, so that it is products of counts and nothing else.

Arrays are (batch, heads H, depth D, tokens N), channel c being h D + d. Spatial attention runs over tokens, within one step:

    o[e, n] = sum_m (sum_d q[d, n] k[d, m]) v[e, m] = sum_d q[d, n] (sum_m k[d, m] v[e, m])

Temporal attention runs over steps, within one token, with S the products k v^T summed over all steps (exact) or those so far (causal):

    S[d, e, n] = sum_s k_s[d, n] v_s[e, n];    o_t[e, n] = sum_d q_t[d, n] S[d, e, n]

All of these are non-negative integers. Behind them stands the published factor 1/4, then neurons, then a projection.
"""

import torch
from torch import Tensor, nn

from snnfuse.hardware.errors import UnsupportedError
from snnfuse.networks.neurons import Neuron
from snnfuse.networks.s_cmrl.config import SCMRLConfig
from snnfuse.networks.s_cmrl.layers import Projection, spiking, summed

SCALE = 0.25


class QueryKeyValue(nn.Module):
    """q of one modality's tokens, k and v of another's: spikes (batch, H, D, N) each.

    gain: that a fresh norm starts with. Products of three spikes are rare: from the usual gain of 1, where 4 % of the neurons fire on a
    step, hardly any neuron behind attention ever does, and no gradient gets there. `legacy` starts from 1.
    """

    def __init__(self, c: SCMRLConfig, gain: float = 2.0) -> None:
        super().__init__()
        self.heads, self.depth, self.tokens = c.heads, c.depth, c.tokens
        self.q, self.k, self.v = (Projection(c, c.channels, c.channels) for _ in range(3))
        for projection in (self.q, self.k, self.v):
            nn.init.constant_(projection.norm.weight, 1.0 if c.legacy else gain)

    def forward(self, own: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """own, other: tokens (batch, C, height, width)."""
        return self.split(self.q(own)), self.split(self.k(other)), self.split(self.v(other))

    def split(self, spikes: Tensor) -> Tensor:
        return spikes.reshape(-1, self.heads, self.depth, self.tokens)


class Attended(nn.Module):
    """What attention found (batch, H, D, N), counts, to spikes (batch, C, height, width): factor 1/4, neurons, projection."""

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__()
        self.shape = (c.channels, *c.grid)
        self.neurons = spiking(c, c.attention_threshold)
        self.project = Projection(c, c.channels, c.channels)

    def forward(self, counts: Tensor) -> Tensor:
        return self.project(self.neurons(SCALE * counts.reshape(-1, *self.shape)))


class Spatial(nn.Module):
    """Attention over the tokens of another modality, or the same: tokens (batch, C, height, width) twice -> spikes of that shape."""

    def __init__(self, c: SCMRLConfig) -> None:
        super().__init__()
        self.read, self.attended, self.kv_first = QueryKeyValue(c), Attended(c), kv_first(c)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        q, k, v = self.read(own, other)
        return self.attended(over_tokens(q, k, v, self.kv_first))


def kv_first(c: SCMRLConfig) -> bool:
    """Return True to compute Q (K^T V), False for (Q K^T) V: with "auto" the one of fewer products, D D N a head against D N N."""
    return c.depth <= c.tokens if c.order == "auto" else c.order == "kv-first"


def over_tokens(q: Tensor, k: Tensor, v: Tensor, kv_first: bool) -> Tensor:
    """sum_m (q_n . k_m) v_m in counts, (batch, H, D, N); both orders are equal, for no sum is rounded below 2^24."""
    if kv_first:
        return (v @ k.transpose(2, 3)) @ q
    return v @ (k.transpose(2, 3) @ q)


def products_over_steps(k: Tensor, v: Tensor) -> Tensor:
    """k v^T of one step, per head and token: ANDs (batch, H, D, D, N)."""
    return k.unsqueeze(3) * v.unsqueeze(2)


def pictures(spikes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Reshape (batch, ..., N) -> (batch, channels, height, width), the form between parts: a graph keeps products small only where
    tokens are places of a picture."""
    return spikes.reshape(len(spikes), -1, *grid)


def by_heads(q: Tensor, products: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """`pictures` of queries and products of a step, or of their sums, back to (batch, H, D, N) and (batch, H, D, D, N)."""
    depth = q.shape[1] // heads
    return q.reshape(len(q), heads, depth, -1), products.reshape(len(q), heads, depth, depth, -1)


def over_steps(q: Tensor, products: Tensor) -> Tensor:
    """q S in counts, (batch, H, D, N); products: S, (batch, H, D, D, N)."""
    return (q.unsqueeze(3) * products).sum(2)


def scrambled(counts: Tensor, steps: int) -> Tensor:
    """The published temporal branch's fault: (H, T, D) of a sample and token read as if it were (T, H, D), which puts heads into time.

    counts: (time * batch, H, D, N), whole; returns the same shape.
    """
    heads, depth, tokens = counts.shape[1:]
    per_token = counts.unflatten(0, (steps, -1)).permute(1, 4, 2, 0, 3)  # batch, N, H, T, D
    mistaken = per_token.reshape(-1, tokens, steps, heads, depth)
    return mistaken.permute(2, 0, 3, 4, 1).reshape(-1, heads, depth, tokens)


class Scramble(nn.Module):
    """`scrambled`, as the work of a host between two stages."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, counts: Tensor) -> Tensor:
        """counts: (time * batch, H, D, N)."""
        if len(counts) % self.steps:
            raise UnsupportedError(
                f"legacy attention puts heads into {self.steps} time steps and is for whole windows of them only, to compare with what was "
                "published; it is not exported: build the network without legacy, its weights fit"
            )
        return scrambled(counts, self.steps)


class Held(nn.Module):
    """A count that a host holds, an integer 0..most, as neurons without memory: number n fires where it is above n - 1/2.

    Their sum is the count again. On a chip it is what makes spikes of a number, which products need; in training it is left out, so that
    gradients pass unchanged.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList([Neuron(beta=0.0, threshold=n - 0.5).layer() for n in range(1, most + 1)])

    def forward(self, count: Tensor) -> Tensor:
        return count if self.training else summed(level(count) for level in self.levels)


class OverSteps(nn.Module):
    """`over_steps` as a stage of its own, for both modalities."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, image_q: Tensor, image_products: Tensor, audio_q: Tensor, audio_products: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures of q and S of image and of audio -> counts (batch, H, D, N)."""
        image = over_steps(*by_heads(image_q, image_products, self.heads))
        return image, over_steps(*by_heads(audio_q, audio_products, self.heads))


def token_counts(spikes: Tensor) -> Tensor:
    """Count the spikes of all tokens: (batch, C, height, width) -> (batch, C, 1, 1)."""
    return torch.sum(spikes, (2, 3), keepdim=True)
