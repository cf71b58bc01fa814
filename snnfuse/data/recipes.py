"""How a recording becomes an array, as data: one frozen recipe that a cache can key by and that readers call."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.features import FLOOR, Floats, Normalisation, log_mel, measure, stretch, texture
from snnfuse.data.pictures import log_stft, measure_pictures, resample, resize
from snnfuse.data.sound_statistics import statistics_of


@dataclass(frozen=True)
class SoundRecipe:
    """From a waveform to an array, without the constants of normalisation, which a split decides.

    Attributes:
        form: "frames", an array (frames, bands); or "picture", (1, height, width).
        features: "log-mel", "log-stft"; of frames also "mel-texture", which gives (frames, 3 * bands), and "mel-statistics", which gives
            (1, numbers) of the whole recording.
        shape: (frames, bands) or (height, width).
        trims: silence at both ends is cut, for a spoken word, and the rest stretched; otherwise the whole recording is resized.
        rate: samples per second that a recording is brought to before its log-mel spectrogram; None leaves it.
        highest: upper end of the mel bands, Hz.
        floor: of log-mel, power relative to the recording's loudest band.
    """

    form: str
    features: str
    shape: tuple[int, int]
    trims: bool
    rate: int | None
    highest: float
    floor: float = FLOOR

    def __call__(self, wave: NDArray, rate: int) -> Floats:
        """wave (samples,) at `rate` samples per second -> float32 (frames, bands) or (1, height, width)."""
        if self.features == "log-stft":
            return resize(log_stft(wave, rate), self.shape)[None]
        columns, bands = self.shape if self.form == "frames" else self.shape[::-1]
        wanted = self.rate or rate
        heard = log_mel(resample(wave, rate, wanted), wanted, bands, self.highest, self.floor)
        if self.features == "mel-texture":
            return texture(heard, columns)
        if self.features == "mel-statistics":
            return statistics_of(heard)[None]
        frames = stretch(heard, columns) if self.trims else resize(heard.T, (bands, columns)).T
        return frames if self.form == "frames" else frames.T[None]

    def constants(self, clips: Floats, training: NDArray[np.bool_]) -> Normalisation:
        """Measured on the training recordings only."""
        if self.form == "frames":
            return measure(clips[training])
        return measure_pictures(clips, training, by_row=self.features == "log-mel")
