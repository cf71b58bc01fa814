"""Make av_digits.npz: scikit-learn's handwritten digits and spoken digits synthesised by eSpeak NG.

    apt-get install espeak-ng && pip install scikit-learn
    python -m snnfuse.data.make_av_digits av_digits.npz

The speech is synthetic. Each clip is one digit said by one voice at one pitch and one speed, stored as an 8-bit log-mel
spectrogram.
"""

import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from snnfuse.data.av_digits import BANDS, COLUMNS, LEVELS, TEST_VOICES, WORDS
from snnfuse.data.features import FLOOR, log_mel, stretch

TRAIN_VOICES = (
    "en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-us+m1", "en-gb-x-rp+m3", "en-us+m5", "en-gb-x-rp+m7",
    "en-us+f1", "en-gb-x-rp+f2", "en-gb-scotland+f3", "en-us+f5", "en-gb-x-gbclan+f2",
)  # fmt: skip
PITCHES, SPEEDS = (25, 45, 65), (120, 150, 180, 210)  # espeak-ng's -p (0..99) and -s (words per minute)


def say(word: str, voice: str, pitch: int, speed: int) -> tuple[int, NDArray]:
    """Samples per second and the waveform."""
    with tempfile.TemporaryDirectory() as folder:  # with --stdout espeak-ng writes a header that does not know the length
        path = f"{folder}/word.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "-w", path, word], check=True)
        return wavfile.read(path)


def clip(word: str, voice: str, pitch: int, speed: int) -> NDArray[np.uint8]:
    """Return a spoken word, uint8 (frames, bands): 0 the floor, 255 the loudest band."""
    rate, wave = say(word, voice, pitch, speed)
    frames = stretch(log_mel(wave, rate, BANDS), COLUMNS)
    return np.round((1 - frames / np.log(FLOOR)) * LEVELS).astype(np.uint8)


def main(path: str) -> None:
    from sklearn.datasets import load_digits

    spoken = list(product(range(10), (*TRAIN_VOICES, *TEST_VOICES), PITCHES, SPEEDS))
    clips = np.stack([clip(WORDS[digit], voice, pitch, speed) for digit, voice, pitch, speed in spoken])
    _, first = np.unique(clips.reshape(len(clips), -1), axis=0, return_index=True)
    kept = np.sort(first)  # some accents say some words alike: a clip must not stand under two voices
    digits = load_digits()
    np.savez_compressed(
        path,
        images=digits.images.astype(np.uint8),  # 0..16
        image_labels=digits.target.astype(np.uint8),
        clips=clips[kept],
        clip_labels=np.array([spoken[i][0] for i in kept], np.uint8),
        clip_voices=np.array([spoken[i][1] for i in kept]),
    )
    print(f"{path}: {len(digits.images)} images, {len(kept)} clips, {Path(path).stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
