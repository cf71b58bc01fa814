"""How a network with features of both modalities is trained: what a trainer calls, and the loss that it gets.

A trainer needs two calls, and knows nothing of attention:

    outputs, features = model.training_outputs(*inputs)     # inputs (time, batch, *shape) in the order of model.inputs
    losses = model.losses(outputs, features, labels)        # LossTerms, each a scalar; backward through losses.total

`training_outputs` is `run_folded` that also keeps features; `outputs` are the class scores (time, batch, classes), which
`snnfuse.networks.decode` sums over time, the same decoder that the exported program has ("membrane_sum"). `features` maps modality to
(batch, channels), and is empty for networks without alignment. This is what `snnfuse.training.objective` asks a network for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from snnfuse.networks.neurons import run_folded
from snnfuse.networks.s_cmrl.alignment import alignment_loss
from snnfuse.networks.s_cmrl.layers import summed
from snnfuse.networks.s_cmrl.recipe import LossSettings


class LossNumbers(Protocol):
    """What a loss reads of a recipe; a `LossSettings`, or the trainer's own recipe, which has more."""

    @property
    def label_smoothing(self) -> float: ...
    @property
    def alignment(self) -> float: ...
    @property
    def temperature(self) -> float: ...


@dataclass(frozen=True)
class LossTerms:
    """Scalars with gradients: the sum, and what it is the sum of, by name."""

    total: Tensor
    terms: Mapping[str, Tensor]


class Losses(nn.Module):
    """Base of every S-CMRL network and rival."""

    decoder = "membrane_sum"

    def training_outputs(self, *inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Class scores (time, batch, classes) with gradients, and by modality the features (batch, channels) to be aligned."""
        return cast(Tensor, run_folded(self, *inputs)), {}  # these networks have one output

    def losses(self, outputs: Tensor, features: Mapping[str, Tensor], labels: Tensor, settings: LossNumbers | None = None) -> LossTerms:
        """Cross entropy of the mean score over time, with label smoothing, and the alignment of the features where there are two.

        Args:
            outputs, features: as of `training_outputs`.
            labels: integers (batch,).
            settings: the published ones by default.
        """
        settings = settings or LossSettings()
        terms = {"classes": cross_entropy(outputs.mean(0), labels, label_smoothing=settings.label_smoothing)}
        if len(features) == 2 and settings.alignment:  # audio's features in rows, as published: softmax runs over the images
            terms["alignment"] = settings.alignment * alignment_loss(features["audio"], features["image"], labels, settings.temperature)
        return LossTerms(summed(terms.values()), terms)


class TwoFeatures(Losses):
    """Base of those whose forward, where `gives_features` says so, returns a step's features of image and audio behind the scores."""

    gives_features = False

    def training_outputs(self, *inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Losses`. The features are the mean over time of what forward returns."""
        self.gives_features = True
        try:
            scores, image, audio = run_folded(self, *inputs)
        finally:
            self.gives_features = False
        return scores, {"image": image.mean(0), "audio": audio.mean(0)}
