"""The weights of S-CMRL's authors, by the names of their code (github.com/Brain-Cog-Lab/S-CMRL, braincog/model_zoo/spikformer.py).

Their tensors are numbers of 1x1 convolutions over a line of tokens, ours over a picture of tokens, and otherwise the same: what differs is
names. Block 0 is the sound's, which asks the image, block 1 the image's. What their files hold beside that nothing reads is listed as dead.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.networks.s_cmrl.config import PROPOSED, SCMRLConfig
from snnfuse.networks.s_cmrl.tables import DEAD as COUNTED

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
BLOCKS = {"audio": "block.0", "image": "block.1"}  # theirs, by our name of the modality
PATCHES = {"audio": "audio_patch_embed", "image": "visual_patch_embed"}
UNREAD = "blocks that this fusion never calls"
DEAD = {**COUNTED, UNREAD: "attention, or the layer behind it, that was built and is not called"}
CONSTANTS = {".threshold": ("thresholds", 1.0), ".act_fun.alpha": ("surrogate alphas", 4.0)}


@dataclass(frozen=True, eq=False)
class Mapped:
    """Weights by our names, and what was left.

    Attributes:
        state: for a network of the same configuration.
        names: ours by theirs.
        dead: their names of what nothing reads, by the key of `DEAD`.
    """

    state: dict[str, Tensor]
    names: dict[str, str]
    dead: dict[str, tuple[str, ...]]


def fusion_of(weights: Mapping[str, Tensor]) -> str | None:
    """Say which fusion their weights are of, by name; None of one modality alone, which does not say which.

    Raises:
        UnsupportedError: a fusion that cannot be restated, with the reason.
        InputError: no weights of theirs.
    """
    if "patch_embed.proj_conv.weight" in weights:
        return None
    if "audio_patch_embed.proj_conv.weight" not in weights:
        raise InputError("these are no weights of S-CMRL's code: there is no audio_patch_embed.proj_conv.weight and no patch_embed")
    if "block.1.attn.rpb_lif.threshold" in weights:
        raise UnsupportedError(
            "weights of their SCA cannot be restated: the code draws its bias by position anew in every forward pass, and no file has it; "
            "train sca here, where it is learnt"
        )
    found = next((name for mark, name in MARKS.items() if mark in weights), None)
    if found is None:
        raise InputError("these weights have no attention that S-CMRL's code has: nothing of block.0.attn is known")
    if found in PROPOSED and "block.0.trans_linear.weight" not in weights:
        raise UnsupportedError(
            "these weights were trained without --contrastive: their cross-modal residual is no spikes but real numbers, which no layer of "
            "ours has; take weights of a training with it, or pass fusion='add' for one without --cross-attn, which reads no attention"
        )
    return found


MARKS = {
    "block.0.attn.spatial_attn.q_conv.weight": "spatio-temporal",
    "block.0.attn.q_conv.weight": "spatial",  # and temporal, of the same names and shapes
    "block.0.attn.mlp.mlp.fc1_conv.weight": "cmci",
    "block.0.attn.fc1.weight": "weight-attention",
}


def shape_of(weights: Mapping[str, Tensor], fusion: str) -> dict[str, Any]:
    """What of a configuration the weights say: channels, classes, patches, the modalities' channels as "image" and "audio", mlp_ratio.

    Raises:
        InputError: they miss a layer, or their head reads other channels than there are.
    """
    prefix = {fusion: "patch_embed"} if fusion in ("image", "audio") else PATCHES
    first = next(iter(prefix.values()))
    deep = f"{first}.proj_conv2.weight" in weights
    channels = len(_of(weights, f"{first}.proj_bn{3 if deep else 1}.weight"))
    head = _of(weights, "head.0.weight" if fusion == "cmci" else "head.weight")
    if head.shape[1] != channels:
        raise UnsupportedError(
            f"their head reads {head.shape[1]} numbers for {channels} channels: trained with --interaction Concat, not Add"
        )
    hidden = _of(weights, f"{'block.0' if fusion in ('image', 'audio') else 'mlp.0'}.mlp.fc1_conv.weight").shape[0]
    shapes = {name: _of(weights, f"{theirs}.proj_conv.weight").shape[1] for name, theirs in prefix.items()}
    return {"channels": channels, "classes": len(head), "patches": "deep" if deep else "shallow", "mlp_ratio": hidden // channels, **shapes}


def map_weights(weights: Mapping[str, Tensor], c: SCMRLConfig) -> Mapped:
    """Rename their weights for a network of a configuration; every tensor is used, or dead for a reason that is known.

    Raises:
        InputError: a layer is missing; something is left that their code does not explain.
        UnsupportedError: a neuron whose threshold is not 1.
    """
    names = {theirs: ours for ours, theirs in pairs(c)}
    lines = {ours: theirs for theirs, ours in names.items()}
    state = {ours: _picture(_of(weights, theirs), ours) for ours, theirs in lines.items() if _is_there(weights, theirs)}
    dead: dict[str, list[str]] = {}
    for name, value in weights.items():
        if name not in names:
            dead.setdefault(_why_dead(name, value, c), []).append(name)
    return Mapped(state, names, {key: tuple(found) for key, found in dead.items()})


def pairs(c: SCMRLConfig) -> Iterator[tuple[str, str]]:
    """(our name, theirs) of every tensor of a network."""
    if c.fusion in ("image", "audio"):
        yield from _patches(c, "patches", "patch_embed")
        yield from _attention("attention.read", "attention.attended", "block.0.attn")
        yield from _perceptron("mlp", "block.0.mlp")
    else:
        late, early = ("late.", "early.") if c.fusion in PROPOSED else ("", "")
        for number, name in enumerate(BLOCKS):
            yield from _patches(c, f"{early}{name}", PATCHES[name])
            yield from _perceptron(f"{late}{name}_mlp", f"mlp.{number}.mlp")
            yield from _block(c, name, f"{BLOCKS[name]}.attn")
    if c.fusion == "cmci":
        yield from _perceptron("mlp", "block.0.attn.mlp.mlp")
        for number, name in enumerate(("head", "audio_head", "image_head")):
            yield from _layer(name, f"head.{number}")
    else:
        yield from _layer("late.head" if c.fusion in PROPOSED else "head", "head")


def _block(c: SCMRLConfig, name: str, theirs: str) -> Iterator[tuple[str, str]]:
    """What a modality's attention has."""
    if c.fusion == "spatio-temporal":
        yield from _attention(f"late.{name}.spatial.read", f"late.{name}.spatial.attended", f"{theirs}.spatial_attn")
        yield from _attention(f"early.{name}_temporal.read", f"middle.{name}", f"{theirs}.temporal_attn")
    elif c.fusion == "spatial":
        yield from _attention(f"late.{name}.spatial.read", f"late.{name}.spatial.attended", theirs)
    elif c.fusion == "temporal":
        yield from _attention(f"early.{name}_temporal.read", f"middle.{name}", theirs)
    elif c.fusion == "weight-attention":
        yield from _layer(f"weigh_{name}.mix", f"{theirs}.fc1")
        yield from _layer(f"weigh_{name}.weight", f"{theirs}.fc2")
    elif c.fusion == "cmci" and name == "audio":  # one block for both: x is the sound, y the image
        yield from _layer("of_audio", f"{theirs}.fc1")
        yield from _layer("of_image", f"{theirs}.fc2")
    if c.fusion in PROPOSED:
        yield from _layer(f"late.{name}.mix", f"{BLOCKS[name]}.trans_linear")


def _patches(c: SCMRLConfig, ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    for stage in range(4 if c.patches == "deep" else 2):
        yield from _convolution(f"{ours}.stages.{stage}", f"{theirs}.proj", str(stage or ""))
    yield from _convolution(f"{ours}.position", f"{theirs}.rpe", "")


def _attention(read: str, attended: str, theirs: str) -> Iterator[tuple[str, str]]:
    for letter in "qkv":
        yield from _convolution(f"{read}.{letter}", f"{theirs}.{letter}", "")
    yield from _convolution(f"{attended}.project", f"{theirs}.proj", "")


def _perceptron(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    for number in range(2):
        yield from _convolution(f"{ours}.{number}", f"{theirs}.fc{number + 1}", "")
        yield f"{ours}.{number}.0.bias", f"{theirs}.fc{number + 1}_conv.bias"


def _convolution(ours: str, theirs: str, number: str) -> Iterator[tuple[str, str]]:
    yield f"{ours}.0.weight", f"{theirs}_conv{number}.weight"
    yield from ((f"{ours}.1.{part}", f"{theirs}_bn{number}.{part}") for part in NORM)


def _layer(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    yield from ((f"{ours}.{part}", f"{theirs}.{part}") for part in ("weight", "bias"))


def _is_there(weights: Mapping[str, Tensor], theirs: str) -> bool:
    """Whether a tensor is in the file; all must be but for counters of batches, which older files of torch lack."""
    return theirs in weights or not theirs.endswith("num_batches_tracked")


def _of(weights: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in weights:
        raise InputError(f"these weights lack {name}, which S-CMRL's code has")
    return weights[name]


STAY_LINEAR = (
    "head.weight", *(f"weigh_{name}.{part}.weight" for name in BLOCKS for part in ("mix", "weight"))
)  # fmt: skip


def _picture(value: Tensor, ours: str) -> Tensor:
    """A kernel over a line, or a linear map, as one over a picture; others as they are."""
    if ours.endswith(STAY_LINEAR) or not ours.endswith(".weight"):
        return value
    return value[..., None] if value.dim() == 3 else value[..., None, None] if value.dim() == 2 else value


def unread_blocks(fusion: str) -> tuple[str, ...]:
    """The beginnings of their names that a fusion's forward never calls: attention without --cross-attn, CMCI's second block, and the layer
    of --contrastive, which only their own three fusions read."""
    behind = tuple(f"{block}.trans_linear" for block in BLOCKS.values())
    return {"add": tuple(BLOCKS.values()), "cmci": (BLOCKS["image"], *behind), "weight-attention": behind}.get(fusion, ())


def _why_dead(name: str, value: Tensor, c: SCMRLConfig) -> str:
    for ending, (what, expected) in CONSTANTS.items():
        if name.endswith(ending):
            if not torch.equal(value.float().flatten(), torch.tensor([expected])):
                raise UnsupportedError(f"{name} is {value.flatten().tolist()}, not {expected:g}, which all neurons of S-CMRL's code have")
            return what
    if ".norm1." in name or ".norm2." in name:
        return "norm1, norm2"
    if name.startswith("av_attention."):
        return "av_attention"
    if name.startswith(tuple(f"{block}." for block in unread_blocks(c.fusion))):
        return UNREAD
    raise InputError(f"these weights hold {name}, which S-CMRL's code does not explain for fusion {c.fusion!r}")
