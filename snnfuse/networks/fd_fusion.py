"""FD-fusion: a spiking vision net, a spiking audio net, and what fuses them.

After "Spiking Neural Network Feature Discrimination Boosts Modality Fusion" (Oikonomou, Kansizoglou, Gasteratos, 2025): L2-ActSpikeNet,
a spiking ResNet18 whose neurons come after the shortcut's addition, an audio SNN, and a spiking perceptron over both embeddings, each of
which an L2 layer may scale to a constant length. Every size is a field of `FDFusionConfig`, and so are the rivals: the standard residual
block, no L2 layer, early, late and embedding fusion, one modality alone, and two convolutions in place of the ResNet. `forward` is one
time step; `snnfuse.networks.run` loops over time. The paper's beta, threshold, number of steps and layer sizes are not published in its
abstract and figures; the defaults here are ours.
"""

from typing import Any

import torch
from torch import nn

from snnfuse.hardware.errors import InputError
from snnfuse.networks.checks import listed
from snnfuse.networks.fd_config import LISTED, FDFusionConfig
from snnfuse.networks.fd_networks import FDAudio, FDEarly, FDFusion, FDVision
from snnfuse.networks.fd_stages import REDUCTIONS, FDAudioInStages, FDEarlyInStages, FDFusionInStages, FDVisionInStages
from snnfuse.networks.neurons import Neuron
from snnfuse.networks.registry import architecture, build, describe, preset

NAME = "fd-fusion"


ONE_STEP = {"smlp": FDFusion, "embedding": FDFusion, "late": FDFusion, "early": FDEarly, "vision": FDVision, "audio": FDAudio}
IN_STAGES = {FDFusion: FDFusionInStages, FDEarly: FDEarlyInStages, FDVision: FDVisionInStages, FDAudio: FDAudioInStages}


@architecture(NAME)
def fd_fusion(**config: Any) -> nn.Module:
    """An FD-fusion network; the keyword arguments are the fields of `FDFusionConfig`, the neurons also as dictionaries of theirs.

    Raises:
        InputError: an unknown field, or a value that a field does not allow.
    """
    try:
        neurons = {name: Neuron(**config[name]) for name in ("neuron", "audio_neuron") if isinstance(config.get(name), dict)}
        tuples = {name: listed(config[name]) for name in LISTED if name in config}
        made = FDFusionConfig(**{**config, **neurons, **tuples})
    except TypeError as error:
        raise InputError(f"{NAME} does not take this configuration: {error}") from error
    kind = ONE_STEP[made.fusion if made.modality == "fusion" else made.modality]
    return (IN_STAGES[kind] if made.l2 in REDUCTIONS else kind)(made)


def with_l2(model: nn.Module, rule: str) -> nn.Module:
    """Return a network of the same weights under another L2 rule, to measure what a chip's constant costs against the host's exact layer.
    A copy on the same device, in the same precision and mode, with the same weights frozen.

    Args:
        model: of this architecture.
        rule: one of `L2_RULES`. "none" forgets the mean norms; from "none", they are those of an untrained layer.

    Raises:
        InputError: no network of this architecture, an unknown rule, or "membrane" on one side only, where a layer of neurons is missing.
    """
    name, config = describe(model) or ("", {})
    if name != NAME:
        raise InputError(f"{type(model).__name__} is no {NAME} network, whose L2 rule could be changed")
    if (rule == "membrane") != (config["l2"] == "membrane"):
        raise InputError(f"weights trained with the L2 rule {config['l2']!r} make no network with {rule!r}: train one with that rule")
    with torch.random.fork_rng(devices=()):  # its first weights are forgotten, so they take no random numbers from a training
        other = build(NAME, {**config, "l2": rule}).to(next(model.parameters()))
    kept = {name: value for name, value in model.state_dict().items() if name in other.state_dict()}
    other.load_state_dict({**other.state_dict(), **kept})
    trained = {name: weights.requires_grad for name, weights in model.named_parameters()}
    for name, weights in other.named_parameters():
        weights.requires_grad_(trained[name])
    return other.train(model.training)


RESNET = {"vision": "resnet", "l2": "per-step"}
NARROW = {**RESNET, "blocks": (1, 1, 1, 1), "stem": (3, 2)}
preset(NAME, "small", "two convolutions in place of the ResNet, no L2 layer: trains in minutes on one core")
preset(NAME, "narrow", "L2-ActSpikeNet of one block per stage, width 8: digits on one core", **NARROW, width=8)
preset(NAME, "narrow-cifar", "the same of width 16, for 32x32 colour images on one core", **NARROW, width=16)
preset(
    NAME, "full", "L2-ActSpikeNet whole, ResNet18 of width 64: for a GPU",
    **RESNET, width=64, blocks=(2, 2, 2, 2), l2_scale=16.0, hidden=(512,), embedding=512, fused=512,
)  # fmt: skip
preset(
    NAME, "esc10", "the audio network for statistics of hundreds of recordings: seconds on one core",
    modality="audio", hidden=(), embedding=256, fused=128, dropout=0.5,
)  # fmt: skip
