"""Corruptions of inputs: the noise that was asked for, nothing else changed, and the same again from the same seed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_trees import few_recordings

from snnfuse import data
from snnfuse.data import corruptions, fsdd, mnist_fsdd
from snnfuse.hardware.errors import InputError

PICTURES = np.broadcast_to(np.random.default_rng(0).random((1, 40, 1, 28, 28), np.float32), (3, 40, 1, 28, 28))
FRAMES = np.random.default_rng(1).uniform(-1, 1, (5, 20, 144)).astype(np.float32)
EVENTS = (np.random.default_rng(2).random((6, 30, 50)) < 0.1).astype(np.float32)

RANDOM = [
    (PICTURES, lambda seed: corruptions.image_noise(PICTURES, 0.5, seed)),
    (PICTURES, lambda seed: corruptions.occlude(PICTURES, 0.3, seed)),
    (FRAMES, lambda seed: corruptions.feature_noise(FRAMES, 0.2, seed)),
    (EVENTS, lambda seed: corruptions.flip_spikes(EVENTS, 0.1, seed)),
]


@pytest.mark.parametrize("x, corrupt", RANDOM)
def test_a_seed_decides_and_the_input_stays(x: np.ndarray, corrupt: Callable[[object], np.ndarray]) -> None:
    before = x.copy()
    one, again, other = corrupt(3), corrupt(np.random.default_rng(3)), corrupt(4)
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(x, before)
    assert (one != other).any() and (one != x).any()
    assert one.shape == x.shape and one.dtype == x.dtype


def test_noise_of_a_picture_has_its_strength_and_is_held_over_time() -> None:
    grey = np.full((4, 50, 1, 20, 20), 0.5, np.float32)
    noisy = corruptions.image_noise(grey, 0.1, 0)
    assert abs(noisy[0].std() - 0.1) < 0.002 and abs(noisy.mean() - 0.5) < 0.002
    assert (noisy == noisy[:1]).all()
    flickering = corruptions.image_noise(grey, 0.1, 0, held=False)
    assert (flickering[0] != flickering[1]).mean() > 0.99
    strong = corruptions.image_noise(grey, 2.0, 0)
    assert strong.min() == 0 and strong.max() == 1


def test_each_sample_may_have_its_own_level() -> None:
    sigma = np.linspace(0, 0.15, 40)
    noisy = corruptions.image_noise(np.full((1, 40, 1, 28, 28), 0.5, np.float32), sigma, 0)
    np.testing.assert_allclose(noisy[0].std(axis=(1, 2, 3)), sigma, rtol=0.15)
    assert (noisy[:, 0] == 0.5).all()


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
def test_one_rectangle_of_the_area_asked_for(fraction: float) -> None:
    ones = np.ones((2, 200, 3, 28, 28), np.float32)
    covered = corruptions.occlude(ones, fraction, 0) == 0
    assert (covered == covered[:1, :, :1]).all(), "on all steps and channels alike"
    masks = covered[0, :, 0]
    rows, columns = masks.any(2).sum(1), masks.any(1).sum(1)
    np.testing.assert_array_equal(masks.sum((1, 2)), rows * columns)  # a rectangle, for it is as full as its frame
    assert np.abs(masks.mean((1, 2)) - fraction).max() <= 0.5 / 28 + 1e-6
    if 0.1 <= fraction <= 0.5:
        assert len({mask.tobytes() for mask in masks}) > 100
        assert (rows / columns).max() > 1.5 and (rows / columns).min() < 1 / 1.5


def test_a_missing_sensor_sends_zeros() -> None:
    assert not corruptions.missing(FRAMES).any() and corruptions.missing(FRAMES).shape == FRAMES.shape


def test_a_late_sensor_is_moved_and_zeros_enter() -> None:
    moved = corruptions.late(FRAMES, 2)
    np.testing.assert_array_equal(moved[2:], FRAMES[:-2])
    assert not moved[:2].any()
    np.testing.assert_array_equal(corruptions.late(FRAMES, 0), FRAMES)
    for beyond in (len(FRAMES), len(FRAMES) + 1):
        assert not corruptions.late(FRAMES, beyond).any()


def test_flipped_events_stay_events() -> None:
    flipped = corruptions.flip_spikes(EVENTS, 0.2, 0)
    assert set(np.unique(flipped)) == {0, 1}
    for was in (0, 1):
        assert abs((flipped[was == EVENTS] != was).mean() - 0.2) < 0.03
    np.testing.assert_array_equal(corruptions.flip_spikes(EVENTS, 1.0, 0), 1 - EVENTS)


def test_counted_events_are_lost_one_by_one() -> None:
    counts = np.full((8, 3, 1, 16, 16), 5, np.float32)
    counts[:, 1] = 0
    flipped = corruptions.flip_spikes(counts, 0.2, 0)
    assert abs(flipped[:, 0].mean() - 4) < 0.1 and set(np.unique(flipped[:, 1])) == {0, 1}
    assert set(np.unique(flipped)) <= set(range(6)) and flipped.dtype == np.float32
    np.testing.assert_array_equal(corruptions.flip_spikes(counts.astype(np.uint8), 0.2, 0), flipped)
    np.testing.assert_array_equal(corruptions.flip_spikes(counts, 0.0, 0), counts)


@pytest.mark.parametrize("snr", [20.0, 0.0, -10.0])
def test_a_waveform_gets_exactly_its_ratio(snr: float) -> None:
    wave = (1000 * np.sin(np.arange(4000) / 7)).astype(np.int16)
    noise = corruptions.noisy_wave(wave, snr, 0) - wave
    np.testing.assert_allclose(10 * np.log10((wave.astype(float) ** 2).mean() / (noise**2).mean()), snr, atol=1e-6)
    np.testing.assert_array_equal(corruptions.noisy_wave(wave, snr, 0), corruptions.noisy_wave(wave, snr, 0))


def test_silence_has_no_ratio() -> None:
    assert not corruptions.noisy_wave(np.zeros(100, np.int16), 0, 0).any()


@pytest.mark.parametrize(
    "call, part",
    [
        (lambda: corruptions.image_noise(PICTURES, -0.1, 0), "sigma must be at least 0"),
        (lambda: corruptions.image_noise(PICTURES, [0.1, 0.2], 0), "one per sample (40)"),
        (lambda: corruptions.image_noise(PICTURES, np.nan, 0), "sigma"),
        (lambda: corruptions.occlude(PICTURES, 1.1, 0), "at most 1"),
        (lambda: corruptions.occlude(FRAMES, 0.1, 0), "only pictures"),
        (lambda: corruptions.flip_spikes(FRAMES, 0.1, 0), "only events"),
        (lambda: corruptions.flip_spikes(EVENTS, 2.0, 0), "at most 1"),
        (lambda: corruptions.late(FRAMES, -1), "not -1"),
        (lambda: corruptions.noisy_wave(np.ones(5), np.inf, 0), "finite"),
        (lambda: data.Settings(snr_db=float("nan")), "snr_db"),
        (lambda: data.load("av-digits", settings=data.Settings(snr_db=0.0)), "has no snr_db 0.0"),
    ],
)
def test_levels_that_mean_nothing_are_refused(call: Callable[[], object], part: str) -> None:
    with pytest.raises(InputError) as error:
        call()
    assert part in str(error.value)


def test_noise_of_recordings_is_on_the_waveform_with_the_clean_normalisation(shared_data: Path, tmp_path: Path) -> None:
    few = few_recordings(shared_data, tmp_path)
    clean = data.load("mnist-fsdd", few)
    noisy = data.load("mnist-fsdd", few, data.Settings(snr_db=0.0))
    again = data.load("mnist-fsdd", few, data.Settings(snr_db=0.0))
    np.testing.assert_array_equal(noisy.test.pools["audio"].items, again.test.pools["audio"].items)
    np.testing.assert_array_equal(noisy.test.index, clean.test.index)
    np.testing.assert_array_equal(noisy.test.pools["image"].items, clean.test.pools["image"].items)
    change = noisy.test.pools["audio"].items - clean.test.pools["audio"].items
    assert np.abs(change).mean() > 0.1
    nearly = data.load("mnist-fsdd", few, data.Settings(snr_db=80.0))
    assert np.abs(nearly.test.pools["audio"].items - clean.test.pools["audio"].items).max() < 0.01
    assert noisy.train.pools["audio"].items.mean() > 0.05, "normalised with the clean recordings, so that noise is above their mean"


def test_recordings_are_read_once(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsdd.read_clips(shared_data / mnist_fsdd.RECORDINGS, 0.0)
    monkeypatch.setattr(fsdd, "read_wavs", lambda path: pytest.fail("read again"))
    clips, *_ = fsdd.read_clips(shared_data / mnist_fsdd.RECORDINGS, 0.0)
    assert not clips.flags.writeable and len(clips) == 3000
