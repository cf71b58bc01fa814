"""The registered architecture "s-cmrl" and its presets: the three published networks, and one for mnist-fsdd."""

from typing import Any

from torch import nn

from snnfuse.hardware.errors import InputError
from snnfuse.networks.checks import listed
from snnfuse.networks.registry import architecture, preset
from snnfuse.networks.s_cmrl.config import SCMRLConfig
from snnfuse.networks.s_cmrl.network import CausalSCMRL, ExactSCMRL
from snnfuse.networks.s_cmrl.query_key import CrossModalQueryKey
from snnfuse.networks.s_cmrl.rivals import CMCI, SCA, AudioOnly, ImageOnly, Rival, WeightAttention

NAME = "s-cmrl"
RIVAL_CLASSES = {
    "add": Rival, "weight-attention": WeightAttention, "sca": SCA, "cmci": CMCI, "image": ImageOnly, "audio": AudioOnly,
    "query-key": CrossModalQueryKey,
}  # fmt: skip


@architecture(NAME)
def s_cmrl(**config: Any) -> nn.Module:
    """An S-CMRL network, or a rival; the keyword arguments are the fields of `SCMRLConfig`.

    Raises:
        InputError: an unknown field, or a value that a field does not allow.
    """
    try:
        made = SCMRLConfig(**{**config, **{name: listed(config[name]) for name in ("image", "audio") if name in config}})
    except TypeError as error:
        raise InputError(f"{NAME} does not take this configuration: {error}") from error
    if made.fusion in RIVAL_CLASSES:
        return RIVAL_CLASSES[made.fusion](made)
    in_stages = made.attention == "exact" and made.fusion != "spatial"
    return ExactSCMRL(made) if in_stages else CausalSCMRL(made)


preset(
    NAME, "crema-d", "the published network for CREMA-D: 64 tokens of 256 channels",
    image=(3, 128, 128), audio=(1, 128, 128), classes=6, channels=256, steps=4, patches="deep",
)  # fmt: skip
preset(
    NAME, "urbansound8k-av", "the published network for UrbanSound8K-AV: 64 tokens of 64 channels",
    image=(3, 128, 128), audio=(1, 128, 128), classes=10, channels=64, steps=4, patches="deep",
)  # fmt: skip
preset(
    NAME, "mnistdvs-ntidigits", "the published network for events: 49 tokens of 64 channels, 16 steps",
    image=(2, 28, 28), audio=(1, 28, 28), classes=10, channels=64, steps=16, patches="shallow",
)  # fmt: skip
preset(
    NAME, "mnist-fsdd", "written and spoken digits: 49 tokens of 64 channels, 4 steps",
    image=(1, 28, 28), audio=(1, 28, 28), classes=10, channels=64, steps=4, patches="shallow",
)  # fmt: skip
