"""What an FD-fusion network looks like, and which combinations make sense."""

from dataclasses import dataclass, field
from math import prod

from snnfuse.hardware.errors import InputError
from snnfuse.networks.checks import check_above_zero, check_share
from snnfuse.networks.neurons import Neuron

MODALITIES = ("fusion", "vision", "audio")
VISIONS = ("conv", "resnet")
BLOCKS = ("act-after-addition", "standard")
FUSIONS = ("smlp", "embedding", "late", "early")
L2_RULES = ("none", "per-step", "per-step-host", "membrane", "time-average")


@dataclass(frozen=True)
class FDFusionConfig:
    """What an FD-fusion network looks like; every field is JSON-able.

    Attributes:
        modality: "fusion", or one branch with a head of its own: "vision", "audio".
        image: (channels, height, width) of one image.
        audio: features of one time step of audio; or a shape, as (channels, height, width) of a spectrogram or of events, read as one row.
        classes: outputs.
        channels: output channels of the two convolutions of vision "conv" (kernel 5, stride 2, padding 2: each halves height and
            width).
        hidden: neurons of the audio net's hidden layers.
        embedding: neurons of each branch's last layer.
        fused: hidden neurons of the perceptron over the embeddings.
        dropout: of the embeddings while training, in [0, 1).
        l2: what the L2 layer behind each branch scales to a constant length. "none", nothing, there is no such layer; "per-step", the
            spikes of each step, on a chip by one constant factor; "per-step-host", the same, on a chip by the host between two programs,
            exactly; "membrane", membranes in place of the embedding's spikes, for training only; "time-average", the spikes' mean over
            the window, by the host. With a rule of the host's a network is `Staged`.
        l2_scale: that length.
        neuron: of every layer but the audio net's.
        audio_neuron: of the audio net; a slower membrane remembers what was heard.
        vision: "conv", two convolutions; or "resnet", the spiking ResNet of L2-ActSpikeNet, which the fields below shape.
        width: channels of the ResNet's stem and first stage; each further stage has twice as many. 64 in ResNet18.
        blocks: residual blocks of each stage; every stage but the first halves height and width. (2, 2, 2, 2) in ResNet18.
        stem: (kernel, stride) of the ResNet's first convolution, padding kernel // 2. (3, 1) suits images up to 32x32, (7, 2) those
            of 64x64; (7, 4) does what ImageNet's stem and the pooling behind it do, which a layer of currents has no use for.
        block: "act-after-addition", the shortcut is added before the last neuron; or "standard", after it. See
            `snnfuse.networks.residual`.
        fusion: "smlp", a spiking perceptron over both embeddings; "embedding", one linear layer over them; "late", the class scores
            of two unimodal networks added; "early", one vision network over the image with the audio features as a further channel.
    """

    modality: str = "fusion"
    image: tuple[int, int, int] = (1, 28, 28)
    audio: int | tuple[int, ...] = 144
    classes: int = 10
    channels: tuple[int, int] = (8, 16)
    hidden: tuple[int, ...] = (128,)
    embedding: int = 64
    fused: int = 64
    dropout: float = 0.1
    l2: str = "none"
    l2_scale: float = 4.0
    neuron: Neuron = field(default_factory=Neuron)
    audio_neuron: Neuron = field(default_factory=lambda: Neuron(beta=0.95))
    vision: str = "conv"
    width: int = 64
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    stem: tuple[int, int] = (3, 1)
    block: str = "act-after-addition"
    fusion: str = "smlp"

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                raise InputError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        check_share("dropout", self.dropout)
        check_above_zero("l2_scale", self.l2_scale)
        for name in ("neuron", "audio_neuron"):
            if not isinstance(getattr(self, name), Neuron):
                raise InputError(f"{name} must hold the fields of a Neuron, not {getattr(self, name)!r}")
        for name in SEQUENCES:
            _check_length(name, getattr(self, name), LENGTHS.get(name))
        for name in ("image", "audio", "classes", "channels", "hidden", "embedding", "fused", "width", "blocks", "stem"):
            _check_positive(name, getattr(self, name))
        if not 0 < len(self.blocks) <= STAGES:
            raise InputError(f"blocks must name 1 to {STAGES} stages, for instance (2, 2, 2, 2), not {len(self.blocks)}")
        if self.stem[0] % 2 == 0:
            raise InputError(f"the stem's kernel must be odd, so that its padding is the same on all sides, not {self.stem[0]}")

    @property
    def heard(self) -> int:
        """Numbers of one time step of audio."""
        return prod(self.audio) if isinstance(self.audio, tuple) else self.audio


CHOICES = {"modality": MODALITIES, "l2": L2_RULES, "vision": VISIONS, "block": BLOCKS, "fusion": FUSIONS}
SEQUENCES = ("image", "channels", "hidden", "blocks", "stem")
LISTED = (*SEQUENCES, "audio")  # fields that JSON gives back as lists
STAGES = 32  # of a ResNet at most, for the last has 2**31 times as many channels as the first
LENGTHS = {"image": 3, "channels": 2, "stem": 2}


def _check_length(name: str, value: object, length: int | None) -> None:
    if not isinstance(value, tuple) or length not in (None, len(value)):
        raise InputError(f"{name} must hold {f'{length} ' if length else ''}numbers, not {value}")


def _check_positive(name: str, value: object) -> None:
    """InputError unless a number, or every one of several, is a whole number from 1."""
    numbers = value if isinstance(value, tuple) else (value,)
    if any(isinstance(number, bool) or not isinstance(number, int) or number < 1 for number in numbers):
        raise InputError(f"{name} must be whole numbers from 1 on, not {value}")
