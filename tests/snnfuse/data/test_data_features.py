"""From waveforms to frames and pictures: what lands where, against independent definitions; silence and shreds stay finite."""

import numpy as np
import pytest
import torch
from scipy import signal

from snnfuse.data import features, pictures
from snnfuse.data.recipes import SoundRecipe


def test_context_sees_the_past_only() -> None:
    clips = np.arange(1, 9, dtype=np.float32).reshape(1, 8, 1)
    steps = features.with_context(clips, steps=4, context=3)
    np.testing.assert_array_equal(steps[0], [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 8]])


def test_a_tone_lands_in_its_band() -> None:
    rate, bands = 8000, 24
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    filters = features.mel_filters(bands, 257, rate)
    expected = filters[:, round(1000 / (rate / 2) * 256)].argmax()
    middle = features.log_mel(tone, rate, bands)[30:90]
    assert (middle.argmax(axis=1) == expected).all() and middle.max() <= 0


@pytest.mark.parametrize("wave", [np.zeros(10), np.zeros(8000), np.ones(1, np.int16)])
def test_silence_and_shreds_give_finite_frames(wave: np.ndarray) -> None:
    frames = features.stretch(features.log_mel(wave, 8000, 24), 12)
    assert frames.shape == (12, 24) and np.isfinite(frames).all()


def test_stretch_cuts_silence_at_both_ends() -> None:
    quiet, loud = np.full((5, 2), np.log(features.FLOOR), np.float32), np.array([[-1, -2], [-3, -1]], np.float32)
    np.testing.assert_array_equal(features.stretch(np.concatenate([quiet, loud, quiet]), 3), [[-1, -2], [-2, -1.5], [-3, -1]])


def by_definition(wave: np.ndarray) -> np.ndarray:
    """The papers' picture before resizing, by torch.stft as torchaudio and librosa call it."""
    stft = torch.stft(
        torch.tensor(wave).clamp(-1, 1), 512, 353, window=torch.hann_window(512, dtype=torch.float64), pad_mode="constant",
        return_complex=True,
    )  # fmt: skip
    return torch.log(stft.abs() + 1e-7).numpy()


@pytest.mark.parametrize("samples", [1, 300, 22050, 40001])
def test_the_log_stft_is_the_papers(samples: int) -> None:
    wave = 1.5 * np.random.default_rng(0).standard_normal(samples)
    ours = pictures.log_stft(wave, 22050)
    assert ours.shape == (257, 1 + samples // 353) and ours.dtype == np.float32
    np.testing.assert_allclose(ours, by_definition(wave), rtol=0, atol=1e-4)


def test_the_log_stft_of_silence_is_its_floor() -> None:
    np.testing.assert_array_equal(pictures.log_stft(np.zeros(5000), 22050), np.float32(np.log(1e-7)))


@pytest.mark.parametrize("before, after", [((257, 63), (128, 128)), ((28, 28), (28, 28)), ((40, 3), (8, 9)), ((5, 1), (10, 4))])
def test_resizing_is_that_of_pillow(before: tuple[int, int], after: tuple[int, int]) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    picture = np.random.default_rng(1).standard_normal(before).astype(np.float32)
    theirs = np.asarray(image.fromarray(picture).resize(after[::-1], image.Resampling.BILINEAR))
    np.testing.assert_allclose(pictures.resize(picture, after), theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "wave",
    [np.array([-128, 0, 64], np.int8), np.array([0, 128, 192], np.uint8), np.array([-(2**15), 0, 2**14], np.int16),
     np.array([-(2**31), 0, 2**30], np.int32), np.array([-1, 0, 0.5], np.float32)],
)  # fmt: skip
def test_waveforms_are_in_units_of_full_scale(wave: np.ndarray) -> None:
    np.testing.assert_array_equal(pictures.to_unit(wave), [-1, 0, 0.5])


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_a_tone_keeps_its_place_at_every_rate(rate: int) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    middle = pictures.log_stft(tone, rate)[:, 10:-10]
    assert set(middle.argmax(axis=0)) == {round(1000 / 22050 * 512)}


@pytest.mark.parametrize(
    "form, kind, shape", [("frames", "log-mel", (24, 20)), ("picture", "log-mel", (28, 32)), ("picture", "log-stft", (28, 32))]
)
@pytest.mark.parametrize("wave", [np.zeros(10), np.zeros(8000), np.ones(1, np.int16)])
def test_every_recipe_keeps_its_shape_for_shreds(wave: np.ndarray, form: str, kind: str, shape: tuple[int, int]) -> None:
    for trims in (True, False):
        made = SoundRecipe(form, kind, shape, trims, rate=16000, highest=8000.0)(wave, 8000)
        texture, whole = (SoundRecipe("frames", f"mel-{of}", (7, 64), trims, 16000, 8000.0)(wave, 8000) for of in ("texture", "statistics"))
        assert (texture.shape, whole.shape) == ((7, 192), (1, 266)) and np.isfinite(texture).all() and np.isfinite(whole).all()
        assert made.shape == (shape if form == "frames" else (1, *shape)) and made.dtype == np.float32 and np.isfinite(made).all()


def test_every_mel_band_of_a_tall_picture_hears_something() -> None:
    noise = np.random.default_rng(2).standard_normal(16000)
    assert (features.log_mel(noise, 8000, 128).max(axis=0) > np.log(features.FLOOR)).all()


def test_constants_come_from_training_pictures_only() -> None:
    drawn = np.random.default_rng(3).normal(5, 2, (600, 1, 4, 6)).astype(np.float32) + np.arange(4, dtype=np.float32)[:, None]
    training = np.arange(600) < 500
    drawn[~training] += 100
    by_row = pictures.measure_pictures(drawn, training, by_row=True)
    np.testing.assert_allclose(by_row.mean[:, 0], drawn[:500].mean(axis=(0, 1, 3)), rtol=1e-5)
    np.testing.assert_allclose(by_row.std[:, 0], drawn[:500].std(axis=(0, 1, 3)), rtol=1e-4)
    whole = pictures.measure_pictures(drawn, training, by_row=False)
    np.testing.assert_allclose(whole.mean, drawn[:500].mean(), rtol=1e-5)
    np.testing.assert_allclose(whole.std, drawn[:500].std(), rtol=1e-4)
    stored = pictures.to_int16(drawn, by_row)
    assert np.abs(stored * np.float32(pictures.INT16_SCALE) - by_row(drawn)).max() <= 0.5 / 32767 + 1e-7


@pytest.mark.parametrize("samples, window, hop, size", [(4000, 256, 64, 512), (700, 700, 64, 1024), (1999, 353, 88, 512)])
def test_spectra_are_those_of_scipy_to_the_last_bit(samples: int, window: int, hop: int, size: int) -> None:
    wave = np.random.default_rng(0).normal(size=samples)
    expected = signal.stft(wave, nperseg=window, noverlap=window - hop, nfft=size, boundary=None, padded=False)[2]
    np.testing.assert_array_equal(features.hann(window), signal.get_window("hann", window))
    np.testing.assert_array_equal(features.stft(wave, window, hop, size), expected)
