"""What an S-CMRL network looks like, and which combinations make sense."""

from dataclasses import dataclass

from snnfuse.hardware.errors import InputError
from snnfuse.networks.checks import check_above_zero, check_finite, check_flag

PROPOSED = ("spatio-temporal", "spatial", "temporal")
RIVALS = ("add", "weight-attention", "sca", "cmci")
BINARY = ("query-key",)
UNIMODAL = ("image", "audio")
FUSIONS = (*PROPOSED, *BINARY, *RIVALS, *UNIMODAL)
UNKNOWN_TO_LEGACY = {
    "sca": "the published one draws its bias by position anew in every forward pass",
    "query-key": "the published code has none",
}
ATTENTIONS = ("causal", "exact")
ORDERS = ("auto", "qk-first", "kv-first")
STAGES = {"deep": 4, "shallow": 2}


@dataclass(frozen=True)
class SCMRLConfig:
    """What an S-CMRL network looks like; every field is JSON-able.

    Attributes:
        image, audio: (channels, height, width) of one time step. Audio is a picture too, such as a spectrogram, and both have the same
            height and width, for the tokens of one attend to those of the other.
        classes: outputs.
        channels: C, of each token.
        steps: T, over which the network is run. Means over time are sums over it times the fixed 1 / T.
        heads: of attention; D = channels / heads.
        patches: "deep", four stages of convolution that divide height and width by 16; "shallow", two, by 4.
        fusion: "spatio-temporal", "spatial" or "temporal" cross-modal attention as a residual; the rivals "add", "weight-attention",
            "sca", "cmci"; "query-key", binary attention of linear cost; or one modality alone with attention to itself, "image", "audio".
        attention: over time, "causal": a step attends to itself and the steps before it; or "exact": every step to all T, as
            published, in stages over the whole window. Without a temporal branch there is no difference.
        order: which product of spatial attention comes first, "qk-first" (Q K^T) V or "kv-first" Q (K^T V); "auto" takes the cheaper.
        alpha: factor of the cross-modal residual; of "query-key" the one that training starts from.
        mlp_ratio: hidden channels of the perceptron, times C.
        attention_threshold: of the neurons behind attention and behind the mixing of both branches.
        legacy: the arithmetic of the published code with its faults, see `snnfuse.networks.s_cmrl`; needs attention "exact".
    """

    image: tuple[int, int, int] = (1, 28, 28)
    audio: tuple[int, int, int] = (1, 28, 28)
    classes: int = 10
    channels: int = 64
    steps: int = 4
    heads: int = 16
    patches: str = "shallow"
    fusion: str = "spatio-temporal"
    attention: str = "causal"
    order: str = "auto"
    alpha: float = 1.5
    mlp_ratio: int = 4
    attention_threshold: float = 0.5
    legacy: bool = False

    def __post_init__(self) -> None:
        choices = {"patches": tuple(STAGES), "fusion": FUSIONS, "attention": ATTENTIONS, "order": ORDERS}
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in allowed:
                raise InputError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        for name in ("classes", "channels", "steps", "heads", "mlp_ratio"):
            if not _positive(getattr(self, name)):
                raise InputError(f"{name} must be a positive integer, not {getattr(self, name)!r}")
        check_finite("alpha", self.alpha)
        check_above_zero("attention_threshold", self.attention_threshold)
        check_flag("legacy", self.legacy)
        self._check_channels()
        self._check_pictures()
        if self.legacy:
            self._check_legacy()

    def _check_channels(self) -> None:
        if self.channels % self.heads:
            raise InputError(f"{self.heads} heads do not divide {self.channels} channels")
        halvings = STAGES[self.patches] - 1
        if self.channels % 2**halvings:
            raise InputError(f"{self.patches} patches start with channels / {2**halvings}, which {self.channels} channels do not allow")

    def _check_pictures(self) -> None:
        for name in ("image", "audio"):
            shape = getattr(self, name)
            if not isinstance(shape, tuple) or len(shape) != 3 or not all(map(_positive, shape)):
                raise InputError(f"{name} must be (channels, height, width), positive integers, not {shape!r}")
            if name in self.modalities and any(size % self.shrinks for size in shape[1:]):
                raise InputError(
                    f"{name} is {shape[1]} x {shape[2]}, but {self.patches} patches divide height and width by {self.shrinks}: resize it"
                )
        if len(self.modalities) == 2 and self.image[1:] != self.audio[1:]:
            raise InputError(
                f"image is {self.image[1]} x {self.image[2]} and audio {self.audio[1]} x {self.audio[2]}: both need the same number of "
                "tokens, resize one"
            )

    def _check_legacy(self) -> None:
        if self.fusion in UNKNOWN_TO_LEGACY:
            raise InputError(f"legacy is not known for fusion {self.fusion!r}: {UNKNOWN_TO_LEGACY[self.fusion]}")
        if self.attention != "exact" and self.fusion in ("spatio-temporal", "temporal"):
            raise InputError('legacy attention reads all time steps at once: it needs attention="exact"')

    @property
    def modalities(self) -> tuple[str, ...]:
        """The inputs of the network."""
        return (self.fusion,) if self.fusion in UNIMODAL else ("image", "audio")

    @property
    def shrinks(self) -> int:
        """The factor by which height and width are divided."""
        return 2 ** STAGES[self.patches]

    @property
    def grid(self) -> tuple[int, int]:
        """(height, width) of the tokens."""
        _, height, width = getattr(self, self.modalities[0])
        return height // self.shrinks, width // self.shrinks

    @property
    def tokens(self) -> int:
        """N."""
        return self.grid[0] * self.grid[1]

    @property
    def depth(self) -> int:
        """D, channels of a head."""
        return self.channels // self.heads


def _positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
