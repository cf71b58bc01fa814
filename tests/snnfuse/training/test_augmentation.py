"""What changes training samples: ranges, shapes, what stays, and that every sample is changed in its own way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from snnfuse import data
from snnfuse.data import Signal
from snnfuse.data.signals import EVENTS, IMAGE, SPECTROGRAM
from snnfuse.hardware.errors import InputError
from snnfuse.training import Recipe
from snnfuse.training.augmentation import CHANGES, augmented, masked, mixed, noised, occluded, rolled, rolled_round, signals_of

STILL = Recipe(augment=False, drop_modality=0.0)
AUDIO = frozenset({"audio"})


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def digits() -> data.AudioVisual:
    return data.load("av-digits")


def values(digits: data.AudioVisual, number: int = 200) -> dict[str, Tensor]:
    return {name: torch.from_numpy(digits.train.values(name, np.arange(number))) for name in ("image", "audio")}


def silent(batch: Tensor) -> Tensor:
    """Samples that are zero throughout."""
    return batch.abs().flatten(1).sum(dim=1) == 0


def test_digits_keep_ranges_and_shapes_and_may_miss_a_modality(digits: data.AudioVisual) -> None:
    kinds = signals_of(digits, ("image", "audio"))
    assert {name: signal.kind for name, signal in kinds.items()} == {"image": "image", "audio": "spectrogram"}
    batch = augmented(values(digits), kinds, Recipe(drop_modality=0.2), AUDIO)
    assert batch["image"].shape == (200, 1, 8, 8) and batch["audio"].shape == (200, 8, 80)
    assert 0 <= batch["image"].min() and batch["image"].max() <= 1 and batch["audio"].abs().max() <= 1
    blind, deaf = (silent(batch[name]) for name in ("image", "audio"))
    assert 20 < blind.sum() < 60 and 20 < deaf.sum() < 60 and not (blind & deaf).any()
    whole = augmented(values(digits), kinds, Recipe(drop_modality=0.0), AUDIO)
    assert not silent(whole["image"]).any() and not silent(whole["audio"]).any()


def test_a_single_modality_is_never_missing(digits: data.AudioVisual) -> None:
    image = {"image": values(digits)["image"]}
    assert not silent(augmented(image, signals_of(digits, ("image",)), Recipe(drop_modality=0.5))["image"]).any()


def test_nothing_changes_without_augmentation(digits: data.AudioVisual) -> None:
    before = values(digits)
    after = augmented(before, signals_of(digits, ("image", "audio")), STILL)
    assert all(torch.equal(before[name], after[name]) for name in before)


SHAPES = {"image": (64, 1, 12, 12), "photograph": (64, 3, 32, 32), "spectrogram": (64, 8, 20), "waveform": (64, 160),
          "events": (64, 5, 2, 28, 28)}  # fmt: skip


@pytest.mark.parametrize("kind", SHAPES)
def test_every_sample_is_changed_in_its_own_way(kind: str) -> None:
    one = torch.rand(1, *SHAPES[kind][1:])
    changed = change(kind, one.expand(SHAPES[kind]).clone())
    assert changed.shape == SHAPES[kind]
    assert len({tuple(sample.flatten().tolist()) for sample in changed}) > 8
    again = change(kind, one.expand(SHAPES[kind]).clone())
    assert not torch.equal(changed, again)


def change(kind: str, batch: Tensor, limits: tuple[float, float] | None = None, timed: bool | None = None) -> Tensor:
    return CHANGES[kind](batch, Signal(kind, limits), kind in ("spectrogram", "events") if timed is None else timed)


@pytest.mark.parametrize("kind", [*SHAPES, "other"])
@pytest.mark.parametrize("limits", [(100.0, 300.0), (-7.0, -5.0), None])
def test_values_stay_in_their_limits_and_are_cut_nowhere_else(kind: str, limits: tuple[float, float] | None) -> None:
    low, high = limits or (-40.0, 300.0)
    batch = low + (high - low) * torch.rand(SHAPES.get(kind, (64, 5)))
    changed = change(kind, batch, limits)
    if limits is not None and kind != "events":
        assert low <= changed.min() and changed.max() <= high
    assert changed.std() > 0.3 * batch.std() and changed.max() > low + 0.8 * (high - low)
    assert kind != "other" or torch.equal(changed, batch)


def test_a_video_moves_alike_on_every_step() -> None:
    video = torch.rand(32, 1, 3, 16, 16).expand(-1, 5, -1, -1, -1)
    for kind in ("image", "photograph"):
        after = change(kind, video, (0, 1), timed=True)
        assert all(torch.allclose(after[:, 0], after[:, step]) for step in range(5)) and not torch.equal(after, video)


def test_of_three_inputs_a_sample_misses_one_at_most() -> None:
    batch = {name: torch.ones(3000, 4) for name in "abc"}
    after = augmented(batch, dict.fromkeys("abc", Signal()), Recipe(drop_modality=0.3))
    gone = torch.stack([silent(after[name]) for name in "abc"])
    assert gone.sum(0).max() == 1 and all(700 < each.sum() < 1100 for each in gone)
    with pytest.raises(InputError, match="drop_modality 0.4 is too much for 3 inputs"):
        augmented(batch, dict.fromkeys("abc", Signal()), Recipe(drop_modality=0.4))


def test_a_mask_hides_bands_of_every_frame_and_a_stretch_of_time() -> None:
    ones = torch.ones(500, 10, 24)
    signal = replace(SPECTROGRAM, bands=8)
    hidden = masked(ones, signal, True, 0.5) == 0
    frames = hidden.unflatten(2, (3, 8))
    assert torch.equal(frames[:, :, 0], frames[:, :, 1]) and torch.equal(frames[:, :, 0], frames[:, :, 2])
    assert (
        hidden.all(dim=2).sum(1).max() == 5 and hidden.all(dim=1).sum(1).max() == 12 and hidden.any(dim=2).any(dim=1).float().mean() > 0.9
    )
    picture = masked(torch.ones(500, 1, 8, 20), SPECTROGRAM, False, 0.5) == 0
    assert picture.all(dim=3).sum((1, 2)).max() == 4 and picture.all(dim=2).sum((1, 2)).max() == 10
    assert torch.equal(masked(ones, Signal(), True, 0.5), ones)


def test_what_is_rolled_loses_nothing() -> None:
    line = torch.arange(10.0)[None, :, None].expand(2000, -1, 2)
    after = rolled_round(line, SPECTROGRAM, True, 0.5)
    assert torch.equal(after.sort(1).values, line) and {*after[:, 0, 0].tolist()} == {0, 1, 2, 3, 4, 5}
    assert torch.equal(after[:, :, 0], after[:, :, 1]) and torch.equal(rolled_round(line, EVENTS, True, 0.5), line)


def test_mixtures_are_of_two_samples_by_one_weight() -> None:
    batch = {"a": torch.arange(6.0)[:, None], "b": 10 * torch.arange(6.0)[:, None]}
    after, other, w = mixed(batch, 0.5)
    assert 0 <= w <= 1 and torch.allclose(after["a"][:, 0], w * torch.arange(6.0) + (1 - w) * other)
    assert torch.allclose(after["b"], 10 * after["a"], atol=1e-5)


def test_photographs_are_mirrored_and_moved_by_whole_pixels() -> None:
    image = torch.rand(1, 3, 32, 32)
    for sample in change("photograph", image.expand(100, -1, -1, -1).clone()):
        candidates = [moved(flipped, y, x) for flipped in (image[0], image[0].flip(2)) for y in range(-4, 5) for x in range(-4, 5)]
        assert min(float((sample - candidate).abs().max()) for candidate in candidates) < 1e-4


def moved(image: Tensor, y: int, x: int) -> Tensor:
    return rolled(rolled(image[None], torch.tensor([y]), 2), torch.tensor([x]), 3)[0]


def test_events_stay_events_and_move_alike_on_every_step() -> None:
    spikes = (torch.rand(32, 1, 2, 28, 28) < 0.1).float().expand(-1, 5, -1, -1, -1)
    after = change("events", spikes)
    assert set(after.unique().tolist()) == {0.0, 1.0}
    assert all(torch.equal(after[:, 0], after[:, step]) for step in range(5))
    flat = torch.rand(4, 5, 64)
    assert torch.equal(change("events", flat), flat)


def test_rolled_moves_zeros_in() -> None:
    line = torch.arange(1.0, 6.0).expand(3, 5)
    found = rolled(line, torch.tensor([-2, 0, 1]), 1)
    assert found.tolist() == [[0, 0, 1, 2, 3], [1, 2, 3, 4, 5], [2, 3, 4, 5, 0]]


def test_noise_is_as_strong_as_asked_for() -> None:
    features = torch.rand(20, 50, 400) + 1
    noise = noised(features, 30.0) - features  # the upper end is 30 dB, so every sample gets just that
    ratio = 10 * torch.log10(features.square().mean((1, 2)) / noise.square().mean((1, 2)))
    assert (ratio - 30).abs().max() < 0.2
    loud = noised(features, -10.0) - features
    assert (10 * torch.log10(features.square().mean((1, 2)) / loud.square().mean((1, 2)))).min() < -4


def test_a_rectangle_hides_no_more_than_asked_for() -> None:
    image = torch.ones(200, 1, 20, 20)
    hidden = (occluded(image, 0.4) == 0.5).float().mean((1, 2, 3))
    assert hidden.max() <= 0.45 and hidden.max() > 0.3 and hidden.min() < 0.05


def test_noise_reaches_images_and_features_but_no_spikes(digits: data.AudioVisual) -> None:
    recipe = replace(STILL, image_noise=0.5, occlusion=0.5, audio_snr=0.0)
    before = values(digits)
    after = augmented(before, {"image": IMAGE, "audio": SPECTROGRAM}, recipe, AUDIO)
    assert not torch.equal(before["image"], after["image"]) and not torch.equal(before["audio"], after["audio"])
    assert 0 <= after["image"].min() and after["image"].max() <= 1
    spikes = augmented(before, {"image": EVENTS, "audio": EVENTS}, recipe)
    assert all(torch.equal(before[name], spikes[name]) for name in before)
