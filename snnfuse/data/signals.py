"""What the numbers of an input are, as far as anybody has said: training changes samples by it, and leaves alone what it does not know."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from snnfuse.hardware.errors import InputError

KINDS = {
    "image": "a picture whose left and right differ, such as a digit: (channels, height, width)",
    "photograph": "a picture that may be mirrored: (channels, height, width)",
    "waveform": "samples of a sound or another sensor in the last axis",
    "spectrogram": "features over time: (features,) on each step, or a picture whose last axis is time, (channels, bands, columns)",
    "events": "spikes or counts of them",
    "other": "anything else, which is left alone",
}


@dataclass(frozen=True)
class Signal:
    """What an input's numbers are.

    Attributes:
        kind: one of `KINDS`.
        limits: (lowest, highest) value that there can be; augmentation keeps to it. None: unknown, and nothing is clipped.
        bands: of a spectrogram with (features,) on each step: how many of them a frame has; a step then holds features // bands frames,
            one after the other. None: unknown.

    Raises:
        InputError: an unknown kind, or limits that are none.
    """

    kind: str = "other"
    limits: tuple[float, float] | None = None
    bands: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"the kind of an input must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.limits is not None:
            object.__setattr__(self, "limits", tuple(self.limits))
            if len(self.limits) != 2 or not all(map(isfinite, self.limits)) or not self.limits[0] < self.limits[1]:
                raise InputError(f"the range of an input is its lowest and its highest value, not {self.limits}")

    def check(self, name: str, shape: tuple[int, ...], timed: bool) -> None:
        """InputError for an input of which a step has a shape that its kind cannot have."""
        pictures = self.kind in ("image", "photograph") or (self.kind == "spectrogram" and not timed)
        if pictures and len(shape) != 3:
            raise InputError(f"input {name!r} of kind {self.kind!r} must be (channels, height, width) in one step, not {shape}")
        if self.kind == "spectrogram" and timed and len(shape) not in (1, 3):
            raise InputError(f"input {name!r} of kind 'spectrogram' must be (features,) or (channels, bands, columns), not {shape}")
        if self.bands is not None and (self.kind != "spectrogram" or len(shape) != 1 or shape[0] % self.bands):
            raise InputError(f"input {name!r} of shape {shape} does not hold frames of {self.bands} bands")


IMAGE, PHOTOGRAPH = Signal("image", (0.0, 1.0)), Signal("photograph", (0.0, 1.0))
SPECTROGRAM, EVENTS = Signal("spectrogram", (-1.0, 1.0)), Signal("events")


def signals_of(given: Mapping[str, Any]) -> dict[str, Signal]:
    """By input's name, signals from themselves or from what JSON holds of them.

    Raises:
        InputError: a field that there is not, or as of `Signal`.
    """
    try:
        return {name: each if isinstance(each, Signal) else Signal(**each) for name, each in given.items()}
    except TypeError as error:
        raise InputError(f"an input has kind, limits and bands: {error}") from error
