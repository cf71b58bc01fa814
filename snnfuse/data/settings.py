"""How a data set is read: everything that changes the numbers that a network sees, JSON-able, so that a checkpoint can hold it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from snnfuse.data.signals import Signal, signals_of
from snnfuse.hardware.errors import InputError

AUDIO_FORMS = ("frames", "picture", "events")
FEATURES = ("log-mel", "mel-texture", "mel-statistics", "log-stft")
ENCODERS = ("direct", "rate", "latency", "delta")


@dataclass(frozen=True)
class Settings:
    """None leaves a choice to the data set.

    Attributes:
        audio: "frames", features of a stretch of time per step; "picture", the spectrogram (1, height, width) on every step;
            "events", spikes.
        time: time steps per sample.
        size: (height, width) of images, and of audio as a picture.
        features: "log-mel"; "log-stft" as the papers have it; "mel-texture": of each band in the frames of a step the mean, the
            deviation and the mean change from frame to frame; or "mel-statistics": of the whole recording, the same on every step.
        encoder: how numbers become inputs over time: "direct" (as they are, on every step), "rate", "latency" or "delta".
        split: one of those that the data set offers.
        snr_db: signal-to-noise ratio of white noise that is added to every waveform, training and test alike, before its features
            are computed; these are normalised as those of the clean recordings are. None: as recorded.
        seed: of pairing, random encoding and noise; never of the split into training and test.
        inputs: of data of a user's own, by input's name what its numbers are; a data set by name says that itself.
        static: of the same, inputs that are the same on every time step and have no axis of time.
    """

    audio: str | None = None
    time: int | None = None
    size: tuple[int, int] | None = None
    features: str | None = None
    encoder: str | None = None
    split: str | None = None
    snr_db: float | None = None
    seed: int = 0
    inputs: Mapping[str, Signal] | None = None
    static: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.inputs is not None:
            object.__setattr__(self, "inputs", signals_of(self.inputs))
        if self.static is not None:
            object.__setattr__(self, "static", tuple(self.static))
        for name, value, allowed in (
            ("audio", self.audio, AUDIO_FORMS), ("features", self.features, FEATURES), ("encoder", self.encoder, ENCODERS)
        ):  # fmt: skip
            if value is not None and value not in allowed:
                raise InputError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        if self.time is not None and self.time < 1:
            raise InputError(f"time must be at least 1 step, not {self.time}")
        if self.snr_db is not None and not isfinite(self.snr_db):
            raise InputError(f"snr_db must be a finite number of decibels, not {self.snr_db}")
        if self.size is not None:
            object.__setattr__(self, "size", tuple(self.size))
            if len(self.size) != 2 or min(self.size) < 4:
                raise InputError(f"size must be (height, width) of at least 4 pixels each, not {self.size}")


def only(settings: Settings, name: str, **allowed: tuple) -> None:
    """InputError for a setting that a data set does not offer: one that is not None must be among the values given for it; () allows any.

    Example: only(settings, "av-digits", audio=("frames",)) refuses audio="picture", and time=4.
    """
    for key, value in vars(settings).items():
        if key == "seed" or value is None or value in allowed.get(key, ()) or allowed.get(key) == ():
            continue
        offered = ", ".join(map(str, allowed[key])) if key in allowed else "its own choice only"
        raise InputError(f"data set {name!r} has no {key} {value!r}; it offers {offered}")
