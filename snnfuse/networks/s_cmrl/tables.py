"""How the published counts of parameters come about: what the published code counts and never trains. Layers and neurons are
`snnfuse.networks.layer_sizes`."""

from snnfuse.networks.s_cmrl.config import STAGES, SCMRLConfig

DEAD = {
    "norm1, norm2": "LayerNorm of both blocks that forward never calls",
    "av_attention": "an attention over both modalities' channels, 32 wide, that forward never calls",
    "thresholds": "one number per layer of neurons, made a parameter without gradient; the attention blocks have one layer that never runs",
    "surrogate alphas": "one more per layer of neurons, the surrogate's slope, a parameter without gradient too",
}


def dead_parameters(c: SCMRLConfig) -> dict[str, int]:
    """By name as in `DEAD`, what the published code counts and never trains, for a network with both branches of attention.

    The published 4.231 M, 274 k and 263 k are this and what `s_cmrl` has.
    """
    width = 32
    layers_of_neurons = 2 * (STAGES[c.patches] + 1) + 2 * (2 * 6 + 1) + 2 * 2  # patches, blocks, perceptrons
    return {
        "norm1, norm2": 2 * 2 * 2 * c.channels,
        "av_attention": c.channels * width + width + 2 * (width * c.channels + c.channels),
        "thresholds": layers_of_neurons,
        "surrogate alphas": layers_of_neurons,
    }
