"""Sound, a step at a time: from a WAV file or a microphone, as samples or as log-mel bands.

samples    n consecutive samples in [-1, 1] are a step.
log-mel    n bands of 32 ms of sound, every 8 ms a step: log power relative to full scale, from 0 (-40 dB and below) to 1. It looks at
           nothing that comes later and needs nothing measured before; networks for it are trained on `log_mel_steps`.
"""

import warnings
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.features import FLOOR, HOP_SECONDS, WINDOW_SECONDS, mel_filters
from snnfuse.hardware.errors import DataWarning, EnvironmentProblem, InputError
from snnfuse.hardware.limits import check_limit
from snnfuse.hardware.reading import check_regular, reading

Features = Literal["samples", "log-mel"]
BLOCK = 1024  # samples read at once
UNKNOWN = (range((1 << 31) - (1 << 16), (1 << 31) + 1), range((1 << 32) - (1 << 12), 1 << 32))
"""Bytes of sound that stand for "until the end": sox and arecord write some 2 GiB of whole frames for a stream, ffmpeg 2**32 - 1."""
FULL_SCALE = {1: 128, 2: 1 << 15, 3: 1 << 23, 4: 1 << 31}  # by bytes of a sample


def wav_blocks(path: Path) -> tuple[int, Iterator[NDArray[np.float64]]]:
    """Samples per second, and blocks of mono samples in [-1, 1], which are read as they are asked for.

    Warns:
        DataWarning: while it is read, that its header does not say how long it is, as those of streams do not, and where it ended.

    Raises:
        InputError: no readable WAV file of whole numbers; while it is read, that it is truncated.
        UnsafeFileError: a rate beyond `snnfuse.hardware.limits`.
    """
    check_regular(path)
    try:
        file = wave.open(str(path), "rb")
    except (wave.Error, EOFError) as error:
        raise InputError(f"{path}: no WAV file of whole numbers ({error or 'it ends in its header'})") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}") from error
    except Exception as error:  # struct's and others, by the version of Python
        raise InputError(f"{path}: no WAV file of whole numbers ({type(error).__name__}: {error})") from error
    check_limit("audio-rate", file.getframerate(), str(path))
    check_limit("audio-channels", file.getnchannels(), str(path))
    if file.getsampwidth() not in FULL_SCALE or not file.getframerate():
        raise InputError(f"{path}: {8 * file.getsampwidth()} bits at {file.getframerate()} samples per second; give 8 to 32 bits")
    return file.getframerate(), _blocks(path, file)


def _blocks(path: Path, file: wave.Wave_read) -> Iterator[NDArray[np.float64]]:
    """Blocks up to the file's end, which a header written before the recording ended does not know."""
    channels, declared, read = file.getnchannels(), file.getnframes(), 0
    frame = channels * file.getsampwidth()
    with file, reading(path):
        while raw := file.readframes(BLOCK):
            read += len(raw) // frame
            yield _decoded(raw[: len(raw) // frame * frame], file.getsampwidth()).reshape(-1, channels).mean(1)
    if read == declared:
        return
    if not any(declared * frame in sizes for sizes in UNKNOWN):
        raise InputError(f"{path}: ends after {read} of {declared} frames; it is truncated")
    said = "its header does not say how long it is, as those of streams do not"
    warnings.warn(f"{path}: {said}; read to its end, {read} frames", DataWarning, stacklevel=2)


def _decoded(raw: bytes, width: int) -> NDArray[np.float64]:
    """Little-endian signed integers, but for 8 bits, which are offset by 128."""
    if width == 1:
        return np.frombuffer(raw, np.uint8) / FULL_SCALE[1] - 1.0
    if width == 3:
        parts = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(parts), 4), np.uint8)
        wide[:, 1:] = parts
        return (wide.view("<i4")[:, 0] >> 8) / FULL_SCALE[3]
    return np.frombuffer(raw, f"<i{width}") / FULL_SCALE[width]


def microphone_blocks(rate: int) -> Iterator[NDArray[np.float64]]:
    """Blocks of mono samples, as they are recorded; EnvironmentProblem without sounddevice or a microphone."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: PortAudio is missing
        raise EnvironmentProblem(f"the microphone needs sounddevice ({error}); pip install sounddevice, or give a WAV file") from error
    try:
        with sounddevice.InputStream(samplerate=rate, channels=1, dtype="float32") as stream:
            while True:
                block, _ = stream.read(BLOCK)
                yield np.asarray(block, np.float64)[:, 0]
    except sounddevice.PortAudioError as error:
        raise EnvironmentProblem(f"no microphone: {error}") from error


def sample_steps(blocks: Iterator[NDArray[np.float64]], size: int) -> Iterator[NDArray[np.float64]]:
    """Consecutive (size,) samples; what is left at the end is none."""
    return _framed(blocks, size, size)


def log_mel_steps(blocks: Iterator[NDArray[np.float64]], rate: int, bands: int) -> Iterator[NDArray[np.float64]]:
    """Yield features (bands,) in [0, 1] for every hop of sound once a whole window is there.

    Args:
        blocks: samples in [-1, 1], in pieces of any length.
        rate: samples per second.
        bands: how many, equally spaced in mel from 80 Hz to 4 kHz.
    """
    window, hop = round(WINDOW_SECONDS * rate), round(HOP_SECONDS * rate)
    if hop < 1:
        raise InputError(f"{rate} samples per second are too few for log-mel bands")
    size = 1 << max(9, (window - 1).bit_length())
    taper = np.hanning(window + 1)[:-1]
    filters = mel_filters(bands, size // 2 + 1, rate)
    for frame in _framed(blocks, window, hop):
        spectrum = np.abs(np.fft.rfft(frame * taper, size)) * 2 / taper.sum()  # a full-scale sine has magnitude 1
        power = filters @ spectrum**2
        yield 1 - np.log(np.clip(power, FLOOR, 1)) / np.log(FLOOR)


def _framed(blocks: Iterator[NDArray[np.float64]], size: int, hop: int) -> Iterator[NDArray[np.float64]]:
    """Spans of `size` samples that begin every `hop`."""
    held = np.zeros(0)
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= size:
            yield held[:size]
            held = held[hop:]
