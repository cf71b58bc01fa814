"""Readers of the files that data sets come in. They execute nothing, and every damage is an InputError that names the file."""

import gzip
import io
import os
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from snnfuse.hardware.errors import InputError

IDX_UINT8 = 0x08  # the type byte of the IDX header; MNIST's files hold no other type

ENVIRONMENT = "SNNFUSE_DATA"
PLACES = f"DATA_DIR is --data-dir, ${ENVIRONMENT}, or ../shared/data"


def data_folder(given: str | Path | None) -> Path:
    """The folder in which data sets lie: the argument, else $SNNFUSE_DATA, else ../shared/data."""
    return Path(given or os.environ.get(ENVIRONMENT) or "../shared/data")


def read_idx(path: Path) -> NDArray[np.uint8]:
    """A gzipped IDX file of bytes (the format is on MNIST's page), in its own shape.

    Raises:
        InputError: the file is damaged, or is not IDX of bytes.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, ValueError) as error:  # gzip.BadGzipFile is an OSError; zlib.error is below
        raise InputError(f"{path}: cannot be read as a gzip file ({error}); fetch it again") from error
    except Exception as error:  # zlib.error derives from Exception only
        raise InputError(f"{path}: damaged gzip data ({error}); fetch it again") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != IDX_UINT8:
        raise InputError(f"{path}: not an IDX file of bytes; fetch it again")
    start = 4 + 4 * raw[3]
    if len(raw) < start:
        raise InputError(f"{path}: ends within its header; fetch it again")
    shape = tuple(np.frombuffer(raw[4:start], ">u4").astype(int))
    if len(raw) - start != int(np.prod(shape)):
        raise InputError(f"{path}: holds {len(raw) - start} bytes where its header {shape} asks for another number; fetch it again")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def read_wavs(path: Path) -> Iterator[tuple[str, int, NDArray]]:
    """Every .wav of a zip file or folder in the order of the names: (name without suffix, samples per second, (samples,) mono).

    Raises:
        InputError: the zip file or a recording is damaged, or a recording is not mono.
    """
    if path.is_dir():
        for file in wav_files(path):
            rate, wave = _decode(path, file.name, _content(file))
            yield file.stem, rate, wave
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for member in sorted(name for name in archive.namelist() if name.endswith(".wav")):
                rate, wave = _decode(path, member, archive.read(member))
                yield Path(member).stem, rate, wave
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise InputError(f"{path}: damaged zip file ({error}); fetch it again") from error


def wav_files(path: Path) -> tuple[Path, ...]:
    """The files that `read_wavs` reads: the zip file, or the .wav files of the folder, sorted."""
    return tuple(sorted(path.glob("*.wav"))) if path.is_dir() else (path,)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error


def _decode(path: Path, member: str, raw: bytes) -> tuple[int, NDArray]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that only describe the recording
            rate, wave = wavfile.read(io.BytesIO(raw))
    except Exception as error:  # scipy raises ValueError, struct.error and others, depending on where the damage is
        raise InputError(f"{path}: {member} is not a readable wav file ({error}); fetch it again") from error
    if wave.ndim != 1 or not wave.size:
        raise InputError(f"{path}: {member} must be a mono recording, but has shape {wave.shape}")
    return rate, wave
