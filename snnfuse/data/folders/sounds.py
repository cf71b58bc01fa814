"""Decoding recordings with soundfile: wav, flac and ogg of any rate, width and number of channels; every damage names the file."""

import io

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.folders.entries import Entry
from snnfuse.data.folders.images import PIP
from snnfuse.hardware.errors import EnvironmentProblem, InputError

OGG, LAST_PAGE = b"OggS", 4  # how a page begins, and the bit of its sixth byte that says that none follows (RFC 3533)
UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)  # what programs write that pipe a recording and cannot go back to its header
LONGEST = 100_000_000  # samples per channel; half an hour at 48 kHz, and 0.8 GB as numbers


def require_soundfile() -> str:
    """soundfile's version and libsndfile's; EnvironmentProblem with the line that installs it where it is missing."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: libsndfile itself is missing
        raise EnvironmentProblem(f"this data set's recordings need soundfile, which cannot be imported ({error}); {PIP}") from error
    return f"{soundfile.__version__} {soundfile.__libsndfile_version__}"


def read_sound(entry: Entry) -> tuple[int, NDArray[np.float64], str | None]:
    """Samples per second, the waveform (samples,) in units of full scale, and what had to be changed, or None.

    Several channels are averaged. Silence is a recording like any other: it lies at the floor of its features.

    Raises:
        InputError: no readable wav, flac or ogg, cut short, empty, or holding numbers that are not finite.
    """
    import soundfile

    raw = entry.read()
    check_whole(entry, raw)
    try:
        with soundfile.SoundFile(io.BytesIO(raw)) as file:
            if file.frames > LONGEST:
                raise InputError(f"{entry}: {file.frames} samples are more than the {LONGEST} that are read; cut it")
            wave, expected, rate = file.read(dtype="float64", always_2d=True), file.frames, file.samplerate
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{entry}: not a readable recording ({error}); fetch it again") from error
    if len(wave) < expected:
        raise InputError(f"{entry}: ends after {len(wave)} of {expected} samples; fetch it again")
    if not wave.size:
        raise InputError(f"{entry}: an empty recording; remove it and what is paired with it")
    if not np.isfinite(wave).all():
        raise InputError(f"{entry}: holds numbers that are not finite")
    channels = wave.shape[1]
    return rate, wave.mean(axis=1), f"recording of {channels} channels averaged" if channels > 1 else None


def check_whole(entry: Entry, raw: bytes) -> None:
    """InputError where a wav file is shorter than its header says, or an ogg file lacks its last page, which libsndfile reads silently."""
    if raw[:4] == OGG:
        return _check_pages(entry, raw)
    if raw[:4] != b"RIFF" or raw[8:12] != b"WAVE":
        return
    at = 12
    while at + 8 <= len(raw):
        length = int.from_bytes(raw[at + 4 : at + 8], "little")
        if raw[at : at + 4] == b"data":
            held = len(raw) - at - 8
            if length not in UNKNOWN_LENGTHS and held < length:
                raise InputError(f"{entry}: ends after {held} of the {length} bytes that its header promises; fetch it again")
            return
        at += 8 + length + length % 2
    raise InputError(f"{entry}: a wav file without a recording in it; fetch it again")


def _check_pages(entry: Entry, raw: bytes) -> None:
    at = last = 0
    while raw[at : at + 4] == OGG and at + 27 <= len(raw):
        last, segments = at, raw[at + 26]
        at += 27 + segments + sum(raw[at + 27 : at + 27 + segments])
    if at != len(raw) or not raw[last + 5] & LAST_PAGE:
        raise InputError(f"{entry}: an ogg file that is cut short or damaged at byte {min(last, len(raw))}; fetch it again")
