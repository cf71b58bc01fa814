"""What goes wrong with sensors, as pure functions of a network's inputs: noise, a covered picture, silence, delay.

Every `x` is (time, batch, *shape), every result a new array of its shape and dtype. A level is one number, or one per sample (batch,).
What is random comes from `seed`, a whole number or a NumPy generator: the same seed, inputs and level give the same result. Nothing
here needs torch.

Noise on a recording belongs on its waveform, before features are computed (`noisy_wave`, which a data set's setting `snr_db` applies);
`feature_noise` is another thing, noise of the features themselves.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.hardware.errors import InputError

Seed = int | np.random.Generator
ASPECT = 2.0  # a covering rectangle is at most so many times as high, relative to the picture, as it is wide, and the other way round


def image_noise(x: NDArray, sigma: ArrayLike, seed: Seed, *, low: float = 0.0, high: float = 1.0, held: bool = True) -> NDArray:
    """Gaussian noise on every pixel, cut to [low, high], as a sensor in too little light adds it.

    Args:
        x: pictures, (time, batch, *shape).
        sigma: standard deviation, in units of x, at least 0.
        seed: of the noise.
        low, high: range of a pixel.
        held: the same noise on every step, for a picture that was taken once; otherwise new noise on each.
    """
    noise = np.random.default_rng(seed).standard_normal((1 if held else x.shape[0], *x.shape[1:]), np.float32)
    return np.clip(x + noise * _per_sample("sigma", sigma, x), low, high).astype(x.dtype)


def feature_noise(x: NDArray, sigma: ArrayLike, seed: Seed, *, low: float = -1.0, high: float = 1.0) -> NDArray:
    """Gaussian noise on every feature and step, cut to [low, high]. Not what a noisy room does to a recording: see `noisy_wave`."""
    return image_noise(x, sigma, seed, low=low, high=high, held=False)


def occlude(x: NDArray, fraction: ArrayLike, seed: Seed, *, value: float = 0.0) -> NDArray:
    """One rectangle per sample, of random shape and place, wholly inside the picture, covered on all steps and channels.

    Args:
        x: pictures, (time, batch, channels, height, width).
        fraction: of the area that is covered, in [0, 1]; met as closely as whole pixels allow.
        seed: of shapes and places.
        value: what covers it.

    Raises:
        InputError: x holds no pictures, or a fraction lies outside [0, 1].
    """
    if x.ndim != 5:
        raise InputError(f"only pictures (time, batch, channels, height, width) can be covered, not an array {x.shape}")
    rng, (height, width) = np.random.default_rng(seed), x.shape[3:]
    area = _per_sample("fraction", fraction, x, most=1.0)[:, 0, 0, 0]
    aspect = np.sqrt(ASPECT ** rng.uniform(-1, 1, x.shape[1]))
    tall = np.clip(np.sqrt(area) * aspect, area, 1)  # relative height; below `area`, the rectangle would have to be too wide
    rows = np.rint(tall * height)
    columns = np.minimum(np.rint(area * height * width / np.maximum(rows, 1)), width) * (rows > 0)
    top, left = (np.floor(rng.random(x.shape[1]) * (size - cut + 1)) for size, cut in ((height, rows), (width, columns)))
    inside = _between(top, rows, height)[:, :, None] & _between(left, columns, width)[:, None, :]
    return np.where(inside[:, None], np.asarray(value, x.dtype), x)


def flip_spikes(x: NDArray, probability: float, seed: Seed) -> NDArray:
    """Every event lost, and every silence broken by one, with a probability: background activity and dead pixels.

    x: events, 0 and 1, or counts of them.

    Raises:
        InputError: x holds other values than counts, or the probability lies outside [0, 1].
    """
    _per_sample("probability", probability, x, most=1.0)
    if not are_counts(x):
        raise InputError("only events, 0 and 1 or counts of them, can be flipped")
    rng = np.random.default_rng(seed)
    flipped = np.where(rng.random(x.shape, np.float32) < probability, 1 - np.minimum(x, 1), x)  # right for what is 0 or 1
    several = x > 1
    if several.any():
        flipped[several] = rng.binomial(x[several].astype(np.int64), 1 - probability)
    return flipped.astype(x.dtype)


def are_counts(x: NDArray) -> bool:
    """Return True if all values are whole numbers from 0 on."""
    return x.dtype == bool or bool((x >= 0).all() and (x == np.rint(x)).all())


def missing(x: NDArray) -> NDArray:
    """A sensor that sends nothing: zeros, which is darkness in a picture, the mean of normalised features, and no event."""
    return np.zeros_like(x)


def late(x: NDArray, steps: int) -> NDArray:
    """A sensor that is late by whole steps: what it sends arrives so many steps later, zeros before, and its last steps never.

    Raises:
        InputError: the number of steps is negative.
    """
    if steps < 0:
        raise InputError(f"a sensor is late by 0 steps or more, not {steps}")
    moved = np.zeros_like(x)
    moved[steps:] = x[: max(len(x) - steps, 0)]
    return moved


def noisy_wave(wave: NDArray, snr_db: float, seed: Seed) -> NDArray[np.float64]:
    """A waveform with white Gaussian noise at a signal-to-noise ratio: 10 log10(mean wave^2 / mean noise^2) is snr_db exactly.

    Args:
        wave: (samples,), any real dtype; silence stays as it is, for no noise has a ratio to it.
        snr_db: decibels; lower is noisier.
        seed: of the noise.

    Raises:
        InputError: snr_db is not finite.
    """
    if not np.isfinite(snr_db):
        raise InputError(f"snr_db must be a finite number of decibels, not {snr_db}")
    signal = np.asarray(wave, np.float64)
    noise = np.random.default_rng(seed).standard_normal(signal.shape)
    power = float((signal**2).mean()) / 10 ** (snr_db / 10)
    return signal + noise * np.sqrt(power / (noise**2).mean())


def _per_sample(name: str, level: ArrayLike, x: NDArray, most: float = np.inf) -> NDArray[np.float32]:
    """(batch or 1, 1, ...), to go with x without its time."""
    levels = np.atleast_1d(np.asarray(level, np.float32))
    if levels.shape not in ((1,), (x.shape[1],)) or not ((levels >= 0) & (levels <= most) & np.isfinite(levels)).all():
        upper = "" if most == np.inf else f" and at most {most:g}"
        raise InputError(f"{name} must be at least 0{upper}, one number or one per sample ({x.shape[1]}), not {level}")
    return levels.reshape(-1, *([1] * (x.ndim - 2)))


def _between(start: NDArray, length: NDArray, size: int) -> NDArray[np.bool_]:
    """(batch, size): which positions lie from `start` on, `length` of them."""
    at = np.arange(size)
    return (at >= start[:, None]) & (at < (start + length)[:, None])
