"""What changes training samples: ranges, shapes, what stays, and that every sample is changed in its own way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from snnfuse import data
from snnfuse.training import Recipe
from snnfuse.training.augmentation import CHANGES, augmented, kinds_of, noised, occluded, rolled

STILL = Recipe(augment=False, drop_modality=0.0)


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
    kinds = kinds_of(digits, ("image", "audio"))
    assert kinds == {"image": "digits", "audio": "frames"}
    batch = augmented(values(digits), kinds, Recipe(drop_modality=0.2))
    assert batch["image"].shape == (200, 1, 8, 8) and batch["audio"].shape == (200, 8, 80)
    assert 0 <= batch["image"].min() and batch["image"].max() <= 1 and batch["audio"].abs().max() <= 1
    blind, deaf = (silent(batch[name]) for name in ("image", "audio"))
    assert 20 < blind.sum() < 60 and 20 < deaf.sum() < 60 and not (blind & deaf).any()
    whole = augmented(values(digits), kinds, Recipe(drop_modality=0.0))
    assert not silent(whole["image"]).any() and not silent(whole["audio"]).any()


def test_a_single_modality_is_never_missing(digits: data.AudioVisual) -> None:
    image = {"image": values(digits)["image"]}
    assert not silent(augmented(image, kinds_of(digits, ("image",)), Recipe(drop_modality=0.5))["image"]).any()


def test_nothing_changes_without_augmentation(digits: data.AudioVisual) -> None:
    before = values(digits)
    after = augmented(before, kinds_of(digits, ("image", "audio")), STILL)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("audio", [None, "events"])
def test_events_are_known_by_their_shape_whatever_the_settings_leave_open(audio: str | None) -> None:
    counts = {"image": np.ones((4, 5, 2, 28, 28), np.uint8), "audio": 3 * np.ones((4, 5, 1, 28, 28), np.uint8)}
    pools = {name: data.Pool(items, np.zeros(4, np.int64), timed=True) for name, items in counts.items()}
    side = data.make_pairs(pools, 5, 0)
    loaded = data.AudioVisual("events", ("0",), side, side, "", "none", data.Settings(audio=audio))
    assert kinds_of(loaded, ("image", "audio")) == {"image": "events", "audio": "events"}


SHAPES = {"digits": (64, 1, 12, 12), "natural": (64, 3, 32, 32), "frames": (64, 8, 20), "picture": (64, 1, 16, 24),
          "events": (64, 5, 2, 28, 28)}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_every_sample_is_changed_in_its_own_way(kind: str) -> None:
    one = torch.rand(1, *SHAPES[kind][1:])
    changed = CHANGES[kind](one.expand(SHAPES[kind]).clone())
    assert changed.shape == SHAPES[kind]
    assert len({tuple(sample.flatten().tolist()) for sample in changed}) > 8
    again = CHANGES[kind](one.expand(SHAPES[kind]).clone())
    assert not torch.equal(changed, again)


def test_photographs_are_mirrored_and_moved_by_whole_pixels() -> None:
    image = torch.rand(1, 3, 32, 32)
    for sample in CHANGES["natural"](image.expand(100, -1, -1, -1).clone()):
        candidates = [moved(flipped, y, x) for flipped in (image[0], image[0].flip(2)) for y in range(-4, 5) for x in range(-4, 5)]
        assert min(float((sample - candidate).abs().max()) for candidate in candidates) < 1e-4


def moved(image: Tensor, y: int, x: int) -> Tensor:
    return rolled(rolled(image[None], torch.tensor([y]), 2), torch.tensor([x]), 3)[0]


def test_events_stay_events_and_move_alike_on_every_step() -> None:
    spikes = (torch.rand(32, 1, 2, 28, 28) < 0.1).float().expand(-1, 5, -1, -1, -1)
    after = CHANGES["events"](spikes)
    assert set(after.unique().tolist()) == {0.0, 1.0}
    assert all(torch.equal(after[:, 0], after[:, step]) for step in range(5))
    flat = torch.rand(4, 5, 64)
    assert torch.equal(CHANGES["events"](flat), flat)


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
    after = augmented(before, {"image": "digits", "audio": "frames"}, recipe)
    assert not torch.equal(before["image"], after["image"]) and not torch.equal(before["audio"], after["audio"])
    assert 0 <= after["image"].min() and after["image"].max() <= 1
    spikes = augmented(before, {"image": "events", "audio": "events"}, recipe)
    assert all(torch.equal(before[name], spikes[name]) for name in before)
