"""From a waveform to the frames that an audio network reads.

waveform -> log-mel spectrogram -> trimmed, stretched to a fixed number of frames -> normalised per band -> each time step also
sees the frames just before it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WINDOW_SECONDS, HOP_SECONDS = 0.032, 0.008
LOWEST_HZ, HIGHEST_HZ = 80.0, 4000.0
FLOOR = 1e-4  # relative to the loudest band of a recording: -40 dB, so that the noise floor of a recording is not a feature
TEXTURES = 3  # numbers of a band in `texture`
SPREAD = 3.0  # standard deviations that fit into [-1, 1]


def hz_to_mel(hz: float) -> float:
    """The mel scale, 2595 log10(1 + f / 700) (O'Shaughnessy 1987)."""
    return 2595 * np.log10(1 + hz / 700)


def mel_filters(bands: int, bins: int, rate: int, highest: float = HIGHEST_HZ) -> NDArray[np.float64]:
    """Triangular filters (bands, bins), equally spaced in mel up to `highest` Hz, each of height 1, over bins from 0 Hz to rate / 2."""
    mels = np.linspace(hz_to_mel(LOWEST_HZ), hz_to_mel(min(highest, rate / 2)), bands + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    hz = np.linspace(0, rate / 2, bins)
    return np.clip(np.minimum((hz - low) / (centre - low), (high - hz) / (high - centre)), 0, None)


@lru_cache(maxsize=64)
def fft_points(window: int, bands: int, rate: int, highest: float) -> int:
    """Points of the Fourier transform: a power of two from 512 on that holds the window and has a bin inside every mel band."""
    size = 1 << max(9, (window - 1).bit_length())
    while not mel_filters(bands, size // 2 + 1, rate, highest).any(axis=1).all():
        size *= 2
    return size


def hann(window: int) -> NDArray[np.float64]:
    """Return a periodic Hann window (window,), as `scipy.signal.get_window` computes it, whose import takes more than a half second."""
    angles = np.linspace(-np.pi, np.pi, window + 1)
    return (0.5 * np.cos(0 * angles) + 0.5 * np.cos(angles))[:-1]


def stft(wave: NDArray[np.float64], window: int, hop: int, size: int) -> NDArray[np.complex128]:
    """Return the short-time Fourier transform (size // 2 + 1, frames), frames in a Hann window of which none is padded.

    To the last bit that of `scipy.signal.stft(wave, nperseg=window, noverlap=window - hop, nfft=size, boundary=None, padded=False)`.
    """
    from scipy import fft  # takes 0.15 s to import, which an export without sound need not wait for

    weights = hann(window)
    frames = sliding_window_view(wave, window)[::hop]
    return np.moveaxis(fft.rfft(weights * frames, n=size) * np.sqrt(1 / weights.sum() ** 2), -1, 0)


def log_mel(wave: NDArray, rate: int, bands: int, highest: float = HIGHEST_HZ, floor: float = FLOOR) -> Floats:
    """Log-mel spectrogram, float32 (frames, bands), in [log floor, 0]; 0 is the loudest band of the recording, silence all floor.

    wave: (samples,), any real dtype; rate: samples per second; highest: upper end of the last band, Hz; floor: relative power.
    """
    window = round(WINDOW_SECONDS * rate)
    hop = round(HOP_SECONDS * rate)
    size = fft_points(window, bands, rate, highest)
    padded = np.pad(np.asarray(wave, np.float64), window // 2)
    padded = np.pad(padded, (0, max(0, window - padded.size)))
    spectra = stft(padded, window, hop, size)
    power = mel_filters(bands, spectra.shape[0], rate, highest) @ np.abs(spectra) ** 2
    return np.log(np.maximum(power / max(power.max(), np.finfo(float).tiny), floor)).T.astype(np.float32)


def stretch(frames: Floats, time: int) -> Floats:
    """Cut silence at both ends, then stretch linearly to `time` frames: (frames, bands) -> (time, bands)."""
    loud = np.flatnonzero(frames.max(axis=1) > np.log(FLOOR) / 2)
    return stretched(frames[loud[0] : loud[-1] + 1] if loud.size else frames, time)


def stretched(frames: Floats, time: int) -> Floats:
    """Linearly between frames, (frames, bands) -> (time, bands)."""
    position = np.linspace(0, len(frames) - 1, time)
    before = np.floor(position).astype(int)
    after = np.minimum(before + 1, len(frames) - 1)
    weight = (position - before)[:, None].astype(np.float32)
    return frames[before] * (1 - weight) + frames[after] * weight


def texture(frames: Floats, steps: int) -> Floats:
    """What a sound is like over stretches of time: (frames, bands) -> (steps, 3 * bands).

    Of the frames of each step the mean of every band, then the deviations, then the mean absolute changes from the frame before: a steady
    noise and a crackle of one spectrum differ in the last two. Recordings of fewer frames than steps are stretched first.
    """
    long = frames if len(frames) >= steps else stretched(frames, steps)
    change = np.abs(np.diff(long, axis=0, prepend=long[:1]))
    parts = [slice(t * len(long) // steps, (t + 1) * len(long) // steps) for t in range(steps)]
    rows = [np.concatenate([long[part].mean(0), long[part].std(0), change[part].mean(0)]) for part in parts]
    return np.stack(rows).astype(np.float32)


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per band, float32 (bands,), measured on training recordings only."""

    mean: Floats
    std: Floats

    def __call__(self, clips: Floats) -> Floats:
        """Normalised clips: zero mean, three standard deviations on 1, clipped to [-1, 1]."""
        return np.clip((clips - self.mean) / (SPREAD * self.std), -1, 1).astype(np.float32)


def measure(clips: Floats) -> Normalisation:
    """Constants for clips (clips, time, bands)."""
    flat = clips.reshape(-1, clips.shape[-1]).astype(np.float64)
    return Normalisation(flat.mean(axis=0).astype(np.float32), np.maximum(flat.std(axis=0), 1e-3).astype(np.float32))


def with_context(clips: Floats, steps: int, context: int) -> Floats:
    """Group frames into time steps that also see earlier frames: (clips, frames, bands) -> (clips, steps, context * bands).

    Step t holds the `context` frames up to frame floor((t + 1) * frames / steps) - 1, none later; frames before the first are
    zero, the mean of a normalised band.
    """
    count, frames, bands = clips.shape
    padded = np.concatenate([np.zeros((count, context, bands), np.float32), clips], axis=1)
    ends = (np.arange(1, steps + 1) * frames) // steps
    return np.stack([padded[:, end : end + context].reshape(count, -1) for end in ends], axis=1)
