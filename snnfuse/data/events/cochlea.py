"""Synthetic events of sounds: what a silicon cochlea that hears them would give. They are no recordings of one.

    gammatone filters    g(t) = t^3 exp(-2 pi 1.019 ERB(f) t) cos(2 pi f t), ERB(f) = 24.7 + 0.108 f, equally spaced on the ERB-rate
                         scale from 80 Hz up, each with gain 1 at f (Glasberg and Moore, Hear. Res. 47, 1990)
    hair cells           u = max(sqrt(max(y, 0) / loudest) - 0.1, 0): half-wave rectified, compressed, silent below -40 dB of the
                         loudest instant of the recording
    spikes               each channel integrates u and fires whenever that passes its threshold, which is then taken off:
                         4,000 spikes per second while u is 1

Channel 0 is the lowest. Integration is in whole numbers, so that rounding in the filters does not move spikes from machine to machine but
where a sum lies within it of a threshold.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.events.stream import Events
from snnfuse.hardware.errors import InputError

LOWEST_HZ, HIGHEST_OF_NYQUIST = 80.0, 0.9
BANDWIDTH, ERB_HZ, ERB_SLOPE = 1.019, 24.7, 0.108
RESPONSE_SECONDS = 0.1  # after which a filter's response is below 1e-5 of its peak
FLOOR = 0.1
RATE = 4000  # spikes per second while u is 1
UNIT = 1 << 20  # of u
MICROSECONDS = 1_000_000
BLOCK = 1024  # transforms are multiples of it, so that few lengths occur and their spectra are kept


def sound_events(wave: NDArray, rate: int, channels: int, source: str = "sound") -> Events:
    """The events of a recording, (1, channels, 1), at the times of its samples.

    Args:
        wave: (samples,), any real dtype; its level does not matter.
        rate: samples per second.
        channels: of the cochlea.
        source: for messages.

    Raises:
        InputError: the recording is silent or not finite, so that there are no events.
    """
    heard = np.asarray(wave, np.float64)
    if not np.isfinite(heard).all() or not heard.any():
        raise InputError(f"{source}: is silent, or not finite, and gives no events")
    spikes = _spikes(np.maximum(_filtered(heard, rate, channels), 0), rate)
    sample, channel = np.nonzero(spikes.T)
    repeats = spikes[channel, sample]
    t = np.repeat(sample * MICROSECONDS // rate, repeats)
    if not t.size:
        raise InputError(f"{source}: is too short to give events")
    none = np.zeros_like(t)
    return Events(t, none, np.repeat(channel, repeats), none, (1, channels, 1), source)


def _filtered(wave: NDArray[np.float64], rate: int, channels: int) -> NDArray[np.float64]:
    """(channels, samples): the wave convolved with each response, none of it later than the sample."""
    from scipy import fft  # takes 0.15 s to import, which an export without sound need not wait for

    responses = gammatones(rate, channels)
    size = -(-(len(wave) + responses.shape[1]) // BLOCK) * BLOCK
    spectra = np.asarray(fft.rfft(wave, size)) * _spectra(rate, channels, size)
    return np.asarray(fft.irfft(spectra, size))[:, : len(wave)]


@lru_cache(maxsize=32)
def _spectra(rate: int, channels: int, size: int) -> NDArray[np.complex128]:
    from scipy import fft

    return np.asarray(fft.rfft(gammatones(rate, channels), size))


def _spikes(rectified: NDArray[np.float64], rate: int) -> NDArray[np.int64]:
    """How often each channel fires at each sample, (channels, samples)."""
    u = np.maximum(np.sqrt(rectified / max(rectified.max(), np.finfo(float).tiny)) - FLOOR, 0)
    passed = np.cumsum(np.rint(UNIT * u).astype(np.int64), axis=1) * RATE // (UNIT * rate)
    return np.diff(passed, axis=1, prepend=0)


@lru_cache(maxsize=8)
def gammatones(rate: int, channels: int) -> NDArray[np.float64]:
    """Impulse responses, (channels, samples); read-only, for they are kept."""
    t = np.arange(1, max(2, round(RESPONSE_SECONDS * rate))) / rate
    hz = centres(channels, rate)[:, None]
    envelope = t**3 * np.exp(-2 * np.pi * BANDWIDTH * (ERB_HZ + ERB_SLOPE * hz) * t)
    gain = np.abs((envelope * np.exp(-2j * np.pi * hz * t) * np.cos(2 * np.pi * hz * t)).sum(1, keepdims=True))
    response = envelope * np.cos(2 * np.pi * hz * t) / gain
    response.flags.writeable = False
    return response


def centres(channels: int, rate: int) -> NDArray[np.float64]:
    """Frequencies in Hz, (channels,), from 80 Hz to 0.9 of half the sampling rate."""
    low, high = (np.log1p(hz * ERB_SLOPE / ERB_HZ) for hz in (LOWEST_HZ, HIGHEST_OF_NYQUIST * rate / 2))
    return np.expm1(np.linspace(low, high, channels)) * ERB_HZ / ERB_SLOPE
