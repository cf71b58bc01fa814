"""What a recording is like as a whole: a fixed number of statistics of its log-mel spectrogram, whatever its length.

After the sound textures of J. H. McDermott and E. P. Simoncelli (2011), who tell rain from fire by the moments of bands and by how fast
their envelopes change: moments of the cepstrum, power of each band's envelope in octaves of modulation, and the shape of loudness in time.
"""

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.features import HOP_SECONDS, Floats

CEPSTRA = 20  # coefficients of the cosine transform over bands that are kept, where there are as many
GROUPED = 4  # neighbouring bands of which the envelope is the mean
MODULATIONS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 62.5)  # Hz, edges of the ranges; half the rate of frames is the last
SMALLEST = 1e-3  # power of an envelope, in nats squared, under which modulation is none
BELOW = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)  # nats under the loudest frame
RISES = (0.2, 0.5, 1.0, 2.0, 3.0)  # nats from one frame to the next
EVENT = 5.0  # nats under the loudest frame over which a sound begins
PERIODS = (0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.4)  # seconds, edges of the ranges in which loudness may repeat itself


def statistics_of(frames: Floats) -> Floats:
    """Statistics of a recording: a log-mel spectrogram (frames, bands), 8 ms a frame, to float32 (`number_of(bands)`,)."""
    wide = frames.astype(np.float64)
    return np.concatenate([cepstral(wide), modulation(wide), loudness(wide)]).astype(np.float32)


def number_of(bands: int) -> int:
    """How many statistics there are of a spectrogram of so many bands, a multiple of `GROUPED`."""
    return 6 * min(CEPSTRA, bands) + (len(MODULATIONS) - 1) * (bands // GROUPED) + len(BELOW) + len(RISES) + 1 + len(PERIODS) - 1


def cepstral(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each cepstral coefficient the mean, the deviation, the mean and the largest change between frames, the smallest and the largest
    value, (6 * coefficients,)."""
    from scipy.fft import dct

    values = dct(frames, axis=1, norm="ortho")[:, :CEPSTRA]
    change = np.abs(np.diff(values, axis=0, prepend=values[:1]))
    return np.concatenate([values.mean(0), values.std(0), change.mean(0), change.max(0), values.min(0), values.max(0)])


def modulation(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the power of each envelope, the mean of `GROUPED` bands less its own mean, in each range of modulation:
    (ranges * bands // GROUPED,). A sine of amplitude a in an envelope has the power a squared over 2."""
    envelopes = frames.reshape(len(frames), -1, GROUPED).mean(axis=2)
    window = np.hanning(len(frames) + 2)[1:-1]
    size = max(1024, 1 << (len(frames) - 1).bit_length())
    spectra = np.abs(np.fft.rfft((envelopes - envelopes.mean(0)) * window[:, None], n=size, axis=0)) ** 2
    power = 2 * spectra / (size * (window**2).sum())
    hz = np.fft.rfftfreq(size, HOP_SECONDS)
    ranges = zip(MODULATIONS, MODULATIONS[1:], strict=False)
    return np.log(np.stack([power[(hz >= low) & (hz < high)].sum(0) for low, high in ranges]) + SMALLEST).ravel()


def loudness(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """How loudness, the logarithm of the power of all bands, goes over time: shares of frames near the loudest, shares of frames that rise
    by so much, beginnings of sounds per second, and the largest autocorrelation in each range of periods (0 where it is too short)."""
    heard = np.log(np.exp(frames).sum(axis=1))
    heard -= heard.max()
    rise, loud = np.diff(heard, prepend=heard[:1]), heard > -EVENT
    begins = (loud[1:] & ~loud[:-1]).sum() / (len(heard) * HOP_SECONDS)
    shares = [(heard > -below).mean() for below in BELOW] + [(rise > least).mean() for least in RISES]
    return np.array([*shares, np.log1p(begins), *_repetition(heard - heard.mean())])


def _repetition(changes: NDArray[np.float64]) -> list[float]:
    """The largest autocorrelation, 1 at most, in each range of `PERIODS`."""
    power = float((changes**2).sum())
    products = np.correlate(changes, changes, "full")[len(changes) - 1 :] / (power or 1.0)
    lags = [round(period / HOP_SECONDS) for period in PERIODS]
    return [float(products[low:high].max()) if low < len(products) else 0.0 for low, high in zip(lags, lags[1:], strict=False)]
