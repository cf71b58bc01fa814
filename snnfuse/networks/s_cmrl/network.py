"""S-CMRL: two modalities, spiking attention of each to the other as a residual, and one head."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from snnfuse.networks.accumulator import Accumulator
from snnfuse.networks.neurons import run_folded
from snnfuse.networks.s_cmrl.attention import OverSteps, Scramble
from snnfuse.networks.s_cmrl.config import SCMRLConfig
from snnfuse.networks.s_cmrl.losses import Losses
from snnfuse.networks.s_cmrl.parts import Early, Late, LegacyMiddle, Middle
from snnfuse.networks.stages import Carry, Stage, Staged

TOKENS = ("image_pooled", "image_relative", "audio_pooled", "audio_relative")
READ = ("image_q", "image_products", "audio_q", "audio_products")
FOUND = ("image_found", "audio_found")
TEMPORAL = ("image_temporal", "audio_temporal")
CONSTANTS = ("beta", "threshold", "graded_spikes_factor", "reset_mechanism_val")  # what a snnTorch neuron saves beside weights


class CrossModal(Losses):
    """What the causal and the exact form share: their parts, hence their parameters."""

    inputs = ("image", "audio")

    def _build(self, c: SCMRLConfig) -> None:
        self.config = c
        self.early = Early(c)
        if c.fusion != "spatial":
            self.longest = c.steps
            self.middle = LegacyMiddle(c) if c.legacy else Middle(c)
        self.late = Late(c)
        self.register_load_state_dict_pre_hook(keep_constants)

    @contextmanager
    def giving_features(self) -> Iterator[None]:
        """Let runs return (scores, image features, audio features) of every step."""
        self.late.gives_features = True
        try:
            yield
        finally:
            self.late.gives_features = False

    def training_outputs(self, *inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Losses`. The features are the cross-modal residuals', mean over tokens and time."""
        with self.giving_features():
            scores, image, audio = run_folded(self, *inputs)
        return scores, {"image": image.mean(0), "audio": audio.mean(0)}


class CausalSCMRL(CrossModal):
    """One time step; a step reads no later one. Memory: the neurons and, with a temporal branch, running sums bounded by T."""

    def __init__(self, config: SCMRLConfig) -> None:
        super().__init__()
        self._build(config)
        c = config
        if c.fusion != "spatial":
            self.image_sum, self.audio_sum = Accumulator(c.steps), Accumulator(c.steps)
        if c.fusion == "spatio-temporal":
            self.image_count, self.audio_count = Accumulator(c.steps), Accumulator(c.steps)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Float (batch, *config.image) and (batch, *config.audio) -> class scores (batch, classes), to be summed over time."""
        if self.config.fusion == "spatial":
            return self.late(*self.early.tokens(image, audio))
        *tokens, image_q, image_products, audio_q, audio_products = self.early(image, audio)
        of_image, of_audio = self.middle(image_q, self.image_sum(image_products), audio_q, self.audio_sum(audio_products))
        if self.config.fusion == "spatio-temporal":
            of_image, of_audio = self.image_count(of_image), self.audio_count(of_audio)
        return self.late(*tokens, of_image, of_audio)


class ExactSCMRL(CrossModal, Staged):
    """Attention of every step to all T, in stages over the window; between them a host counts over time and plays spikes again.

    `early` gives tokens, queries and products, `middle` multiplies queries with the products' sum over all steps and makes spikes of
    that, `late` reads their count. With `legacy` multiplying is a stage of its own, behind which the host puts heads into time, as the
    published code does.
    """

    def __init__(self, config: SCMRLConfig) -> None:
        super().__init__()
        self._build(config)
        if config.legacy:
            self.attend, self.scramble = OverSteps(config.heads), Scramble(config.steps)

    def stages(self) -> tuple[Stage, ...]:
        """Early, middle, late."""
        first = {name: Carry(name, "steps") for name in (*TOKENS, "image_q", "audio_q")}
        first |= {name: Carry(name, "count") for name in ("image_products", "audio_products")}
        reduction = "count" if self.config.fusion == "spatio-temporal" else "steps"
        scores = ("scores", "image_features", "audio_features") if self.late.gives_features else ("scores",)
        return (
            Stage(self.early, self.inputs, (*TOKENS, *READ), first),
            *self._apart(),
            Stage(self.middle, FOUND if self.config.legacy else READ, TEMPORAL, {name: Carry(name, reduction) for name in TEMPORAL}),
            Stage(self.late, (*TOKENS, *TEMPORAL), scores),
        )

    def _apart(self) -> tuple[Stage, ...]:
        if not self.config.legacy:
            return ()
        return (Stage(self.attend, READ, FOUND, {name: Carry(name, "steps", self.scramble) for name in FOUND}),)


def keep_constants(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Before loading: a neuron's constants follow from the configuration, and some forms have neurons that others have not. A checkpoint
    gives its weights."""
    for name in [name for name in state if name.startswith(prefix) and _is_constant(name)]:
        del state[name]
    state.update({prefix + name: value for name, value in module.state_dict().items() if _is_constant(name)})


def _is_constant(name: str) -> bool:
    return name.rsplit(".", 1)[-1] in CONSTANTS
