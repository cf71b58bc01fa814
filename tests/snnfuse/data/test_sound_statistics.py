"""Statistics of whole recordings: each against what it is defined to be on a spectrogram that is known."""

import numpy as np
import pytest

from snnfuse.data import sound_statistics as statistics
from snnfuse.data.features import HOP_SECONDS

BANDS = 16
RANGES = list(zip(statistics.MODULATIONS, statistics.MODULATIONS[1:], strict=False))


def seconds(frames: int) -> np.ndarray:
    return np.arange(frames) * HOP_SECONDS


@pytest.mark.parametrize("hz, frames", [(0.7, 625), (3.0, 625), (3.0, 1700), (20.0, 625)])
def test_modulation_has_an_envelope_s_power_at_its_rate_and_in_its_bands(hz: float, frames: int) -> None:
    moved = np.full((frames, BANDS), -7.0)
    moved[:, 4:8] += 2.0 * np.sin(2 * np.pi * hz * seconds(frames))[:, None]
    power = np.exp(statistics.modulation(moved)).reshape(len(RANGES), BANDS // 4) - statistics.SMALLEST
    inside = next(row for row, (low, high) in enumerate(RANGES) if low <= hz < high)
    assert power[inside, 1] == pytest.approx(2.0**2 / 2, rel=0.12), "a sine of amplitude 2 has the power 2"
    assert power[:, [0, 2, 3]].max() < 1e-9, "bands that stand still have none"
    assert np.delete(power[:, 1], inside).max() < 0.2


def test_the_cepstrum_s_moments_are_those_of_its_definition() -> None:
    frames = np.random.default_rng(0).normal(-4, 2, (50, 24))
    order = np.arange(statistics.CEPSTRA)[:, None] * (np.arange(24) + 0.5) * np.pi / 24
    values = frames @ (np.cos(order) * np.where(np.arange(statistics.CEPSTRA)[:, None], np.sqrt(2 / 24), np.sqrt(1 / 24))).T
    change = np.abs(values[1:] - values[:-1])
    expected = [values.mean(0), values.std(0), change.sum(0) / 50, change.max(0), values.min(0), values.max(0)]
    np.testing.assert_allclose(statistics.cepstral(frames).reshape(6, -1), expected, atol=1e-9)


def test_loudness_hears_how_often_and_how_long() -> None:
    ticks = np.where(seconds(625) % 0.5 < 0.05, 0.0, -13.0)[:, None].repeat(BANDS, 1)  # a tick of 0.05 s twice a second
    said = statistics.loudness(ticks)
    near, rises, begins, repeats = np.split(said, [6, 11, 12])
    loud = (ticks[:, 0] == 0).mean()
    np.testing.assert_allclose(near, loud)
    np.testing.assert_allclose(rises, 9 / 625, err_msg="the first of ten ticks is there from the first frame on")
    assert begins == pytest.approx(np.log1p(9 / (625 * HOP_SECONDS)))
    assert repeats.argmax() == 3 and repeats[3] > 0.8, "the period lies between 0.32 and 0.64 s"
    other = statistics.loudness(np.where(seconds(625) < 0.5, 0.0, -13.0)[:, None].repeat(BANDS, 1))
    assert other[11] == 0 and other[12:][3] < other[12:][0], "one sound does not repeat itself"


@pytest.mark.parametrize("frames", [1, 2, 7, 30])
@pytest.mark.parametrize("level", [0.0, -13.8])
def test_shreds_and_silence_have_statistics_too(frames: int, level: float) -> None:
    said = statistics.statistics_of(np.full((frames, BANDS), level, np.float32))
    assert said.shape == (statistics.number_of(BANDS),) and said.dtype == np.float32 and np.isfinite(said).all()


def test_what_lasts_longer_is_not_another_sound() -> None:
    rng = np.random.default_rng(1)
    short, long = (
        statistics.statistics_of(np.clip(rng.normal(-5, 1, (frames, 64)) + np.sin(9 * seconds(frames))[:, None], -14, 0).astype(np.float32))
        for frames in (600, 1800)
    )
    still = statistics.statistics_of(np.clip(rng.normal(-5, 1, (600, 64)), -14, 0).astype(np.float32))
    parts = slice(6 * statistics.CEPSTRA, 6 * statistics.CEPSTRA + 8 * 16)
    assert np.abs(short - long)[parts].mean() < 0.6 * np.abs(short - still)[parts].mean()
