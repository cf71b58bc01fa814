"""How a network is trained: numbers that a checkpoint's metadata holds, and the defaults of each architecture."""

from dataclasses import dataclass, fields
from math import isfinite
from numbers import Integral, Real
from typing import get_args

from snnfuse.hardware.errors import InputError

SCHEDULES = ("one-cycle", "cosine")
KINDS = {int: ("a whole number", Integral), float: ("a number", Real), bool: ("true or false", bool), str: ("a word", str)}


@dataclass(frozen=True)
class Recipe:
    """How to train. The optimiser is AdamW.

    Attributes:
        epochs: passes over the training pairs, which are drawn anew for each unless they are fixed.
        batch_size: most pairs per update, over all processes together. An epoch's pairs are divided into equal batches (sizes differ by
            one at most), so that every pair is seen exactly once.
        lr: the highest learning rate. In the chip's arithmetic it counts in units of each tensor's rms.
        weight_decay: of AdamW; it keeps weights small, hence 8-bit weights fine.
        seed: of everything random.
        held: fraction of the training items held out, by which the best epoch is chosen; the test set is never asked.
        drop_modality: probability that a training sample misses its first input, and the same for its second (two inputs or more).
        sharpness: cross entropy reads the scores (spike counts) times this.
        schedule: "one-cycle", up over the first tenth of the updates and down to zero as a cosine (Smith and Topin 2018); or "cosine",
            linearly up over `warmup` epochs, then down to `final_lr` as a cosine.
        warmup, warmup_lr, final_lr: epochs, and learning rates of the first and the last update; of "cosine" only.
        label_smoothing: of the cross entropy, in [0, 1).
        alignment: weight of a loss that aligns two modalities, for networks that have one.
        temperature: of that loss.
        patience: epochs without a better result on the held-out items after which training ends; None: never before `epochs`.
        augment: whether training samples are changed at random; see `snnfuse.training.augmentation`.
        mixup: parameter of the beta distribution by which each sample is mixed with another of the batch, labels too; 0: not.
        roll: spectrograms over time are rolled by up to this fraction of their steps, what leaves at one end coming in at the other, for
            sounds that have no beginning, in [0, 1]; 0: they are shifted by one step at most, as `augment` says.
        mask: of spectrograms, up to this fraction of the bands and of the time is hidden, in [0, 1).
        image_noise: training images get gaussian noise of a standard deviation drawn from 0 up to this (full scale is 1).
        occlusion: and a grey rectangle that covers a fraction of them drawn from 0 up to this.
        audio_snr: audio features get noise at a signal-to-noise ratio drawn from this many dB up to 30 dB; None: none.
    """

    epochs: int = 10
    batch_size: int = 64
    lr: float = 4e-3
    weight_decay: float = 1e-3
    seed: int = 0
    held: float = 0.1
    drop_modality: float = 0.1
    sharpness: float = 0.7
    schedule: str = "one-cycle"
    warmup: int = 0
    warmup_lr: float = 0.0
    final_lr: float = 0.0
    label_smoothing: float = 0.0
    alignment: float = 0.0
    temperature: float = 0.07
    patience: int | None = None
    augment: bool = True
    image_noise: float = 0.0
    occlusion: float = 0.0
    audio_snr: float | None = None
    mixup: float = 0.0
    roll: float = 0.0
    mask: float = 0.0

    def __post_init__(self) -> None:
        for declared in fields(self):
            _check_kind(declared.name, getattr(self, declared.name), declared.type)
        if self.epochs < 1 or self.batch_size < 2:
            raise InputError("epochs must be at least 1, batch_size at least 2, for batch norm needs two samples")
        for name in ("lr", "sharpness"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} must be positive and finite, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed must lie in 0..2**63 - 1, not be {self.seed}")
        if self.schedule not in SCHEDULES:
            raise InputError(f"schedule must be one of {', '.join(SCHEDULES)}, not {self.schedule!r}")
        if not 0 <= self.warmup < self.epochs:
            raise InputError(f"warmup must lie in 0..epochs - 1, not be {self.warmup} with {self.epochs} epochs")
        if self.patience is not None and self.patience < 1:
            raise InputError(f"patience must be at least 1 epoch, not {self.patience}")
        self._check_numbers()

    def _check_numbers(self) -> None:
        if not 0 <= self.drop_modality <= 0.5:
            raise InputError(f"drop_modality must lie in [0, 0.5], for no sample may miss both, not be {self.drop_modality}")
        for name in ("label_smoothing", "occlusion", "mask"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must lie in [0, 1), not be {getattr(self, name)}")
        for name in ("weight_decay", "warmup_lr", "final_lr", "alignment", "image_noise", "mixup"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} must not be negative, nor infinite, nor {getattr(self, name)}")
        if not 0 <= self.roll <= 1:
            raise InputError(f"roll must lie in [0, 1], not be {self.roll}")
        if not self.temperature > 0:
            raise InputError(f"temperature must be positive, not {self.temperature}")
        if self.audio_snr is not None and not isfinite(self.audio_snr):
            raise InputError(f"audio_snr must be a finite number of dB, not {self.audio_snr}")


def _check_kind(name: str, value: object, declared: object) -> None:
    """InputError for text in place of a number and the like: `augment="no"` would be true."""
    kind, *optional = get_args(declared) or (declared,)
    if value is None and optional:
        return
    word, allowed = KINDS[kind]
    if not isinstance(value, allowed) or isinstance(value, bool) != (kind is bool):
        raise InputError(f"{name} must be {word}, not {value!r}")


FEW_SOUNDS = Recipe(  # hundreds of recordings, read as statistics: chosen on ESC-10, by `python -m benchmarks.esc10 --inner`
    epochs=80, batch_size=32, lr=4e-3, weight_decay=1.0, held=0.03, augment=False, mixup=0.3, label_smoothing=0.05,
    sharpness=0.3, drop_modality=0.0,
)  # fmt: skip
PUBLISHED = "-published"  # data sets read as S-CMRL's authors do, crops and flips included
FINE_TUNING = Recipe(epochs=3, lr=0.02, weight_decay=0.0)


def recipe_for(architecture: str, data: str) -> Recipe:
    """An architecture's defaults on a data set, by name."""
    if architecture == "s-cmrl":
        return s_cmrl(data)
    return FEW_SOUNDS if data == "esc10" else Recipe()


def s_cmrl(data: str) -> Recipe:
    """The published one. Its readout gives logits, not spike counts; no modality is ever missing in it."""
    from snnfuse.networks.s_cmrl.recipe import RECIPES, PublishedRecipe

    published = RECIPES.get(data.removesuffix(PUBLISHED), PublishedRecipe())
    return Recipe(
        epochs=published.epochs, batch_size=published.batch_size, lr=published.lr, weight_decay=published.weight_decay, drop_modality=0.0,
        sharpness=1.0, schedule="cosine", warmup=published.warmup_epochs, warmup_lr=published.warmup_lr, final_lr=published.min_lr,
        label_smoothing=published.losses.label_smoothing, alignment=published.losses.alignment,
        temperature=published.losses.temperature, augment=not data.endswith(PUBLISHED),
    )  # fmt: skip
