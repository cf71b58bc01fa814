"""A recording as a picture: the spectrogram, frequency upwards from row 0, time from left to right, resized to fixed height and width."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.features import Floats, Normalisation, hann

STFT_RATE, STFT_POINTS, STFT_HOP = 22_050, 512, 353  # of the published audio-visual spiking networks, S-CMRL among them
STFT_OFFSET = 1e-7  # log(0 + offset) = -16.1 is the floor, which silence is
SMALLEST_STD = 1e-3
INT16_SCALE = 1 / 32767
CHUNK = 256  # pictures at a time, so that a large set needs no second copy


def to_unit(wave: NDArray) -> NDArray[np.float64]:
    """A waveform in units of full scale: integers by their type's range, unsigned ones around its middle, floats as they are."""
    if wave.dtype.kind == "u":
        return (wave.astype(np.float64) - 2.0 ** (8 * wave.itemsize - 1)) / 2.0 ** (8 * wave.itemsize - 1)
    return wave / 2.0 ** (8 * wave.itemsize - 1) if wave.dtype.kind == "i" else wave.astype(np.float64)


def resample(wave: NDArray, rate: int, wanted: int) -> NDArray[np.float64]:
    """A waveform (samples,) at another rate, by SciPy's polyphase filter: (ceil(samples * wanted / rate),)."""
    if rate == wanted:
        return np.asarray(wave, np.float64)
    from scipy import signal  # takes more than half a second

    common = np.gcd(rate, wanted)
    return signal.resample_poly(wave, wanted // common, rate // common)


def log_stft(wave: NDArray, rate: int) -> Floats:
    """log(|STFT| + 1e-7), float32 (257, 1 + samples at 22.05 kHz // 353): resampled to 22.05 kHz, cut to [-1, 1], zeros around.

    512 points, a periodic Hann window, hop 353, frames centred on their times: librosa's and torchaudio's definition, unscaled.
    wave: (samples,), integers of full scale or floats within [-1, 1]; rate: samples per second.
    """
    heard = np.pad(np.clip(resample(to_unit(wave), rate, STFT_RATE), -1, 1), STFT_POINTS // 2)
    starts = np.arange(0, heard.size - STFT_POINTS + 1, STFT_HOP)
    frames = heard[starts[:, None] + np.arange(STFT_POINTS)] * hann(STFT_POINTS)
    return np.log(np.abs(np.fft.rfft(frames)) + STFT_OFFSET).T.astype(np.float32)


def resize(picture: Floats, size: tuple[int, int]) -> Floats:
    """Resize (..., height, width) to float32 (..., *size): bilinear, averaging where it shrinks (the triangle filter of Pillow)."""
    down, across = weights(picture.shape[-2], size[0]), weights(picture.shape[-1], size[1])
    return (down @ picture @ across.T).astype(np.float32)


@lru_cache(maxsize=64)  # recordings of a data set have few lengths
def weights(before: int, after: int) -> Floats:
    """Return the matrix that resizes one axis, float32 (after, before); rows sum to 1."""
    scale = before / after
    reach = max(scale, 1.0)
    centre = (np.arange(after) + 0.5) * scale
    near = np.maximum(1 - np.abs(np.arange(before) + 0.5 - centre[:, None]) / reach, 0)
    return (near / near.sum(axis=1, keepdims=True)).astype(np.float32)


def measure_pictures(pictures: Floats, select: NDArray[np.bool_], *, by_row: bool) -> Normalisation:
    """Constants over the selected pictures (pictures, 1, height, width): per row (height, 1), or one of each for all.

    A picture of the log-STFT gets one mean and deviation, which leave it what the papers have up to a constant and a factor; a mel
    band gets its own, as in frames.
    """
    rows = pictures.shape[-2]
    total, squares, chosen = np.zeros(rows), np.zeros(rows), np.flatnonzero(select)
    for start in range(0, chosen.size, CHUNK):
        part = pictures[chosen[start : start + CHUNK]].astype(np.float64)
        total += part.sum(axis=(0, 1, 3))
        squares += (part**2).sum(axis=(0, 1, 3))
    count = chosen.size * pictures.shape[-1]
    mean, square = (total / count, squares / count) if by_row else (np.full(rows, x.sum() / count / rows) for x in (total, squares))
    std = np.sqrt(np.maximum(square - mean**2, SMALLEST_STD**2))
    return Normalisation(mean[:, None].astype(np.float32), std[:, None].astype(np.float32))


def to_int16(pictures: Floats, constants: Normalisation) -> NDArray[np.int16]:
    """Normalised pictures in units of `INT16_SCALE`, at half the memory of floats; the rounding is at most 1.6e-5."""
    out = np.empty(pictures.shape, np.int16)
    for start in range(0, len(pictures), CHUNK):
        out[start : start + CHUNK] = np.rint(constants(pictures[start : start + CHUNK]) / INT16_SCALE)
    return out
