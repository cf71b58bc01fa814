"""What may happen to sensors, as data: conditions with a name and a level, that turn a data set's inputs into those a network gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from snnfuse.data import corruptions
from snnfuse.hardware.errors import InputError

CLEAN, MISSING, LATE, RECORDING = "clean", "missing", "late", "recording noise"
IMAGE, OCCLUSION, FEATURE, EVENT = "image noise", "occlusion", "feature noise", "event noise"
UNITS = {
    IMAGE: "standard deviation",
    OCCLUSION: "covered fraction of the area",
    FEATURE: "standard deviation",
    EVENT: "probability of a flip",
    RECORDING: "dB, signal to noise",
    LATE: "time steps",
}
LEVELS: Mapping[str, tuple[float, ...]] = {
    IMAGE: (0.25, 0.5, 0.75, 1.0, 1.5),
    OCCLUSION: (0.1, 0.25, 0.5),
    FEATURE: (0.1, 0.25, 0.5, 1.0),
    EVENT: (0.01, 0.03, 0.1),
    RECORDING: (20.0, 10.0, 5.0, 0.0, -5.0, -10.0),
    LATE: (1, 2, 4),
}


@dataclass(frozen=True)
class Condition:
    """One state of the sensors.

    Attributes:
        kind: "clean", "missing", "late", "image noise", "occlusion", "feature noise", "event noise" or "recording noise".
        input: the input that it concerns; None for "clean".
        level: how strong, in the unit of `UNITS`; None for "clean" and "missing".
    """

    kind: str
    input: str | None = None
    level: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in (CLEAN, MISSING, *UNITS):
            raise InputError(f"no such condition: {self.kind!r}; there are {', '.join((CLEAN, MISSING, *UNITS))}")
        if (self.kind == CLEAN) != (self.input is None) or (self.kind in UNITS) != (self.level is not None):
            raise InputError(f"{self.kind!r} goes with {'an input' if self.kind != CLEAN else 'no input'} and "
                             f"{'a' if self.kind in UNITS else 'no'} level")  # fmt: skip

    @property
    def name(self) -> str:
        """For people: "image missing", "image: image noise 0.5"."""
        if self.kind == CLEAN:
            return CLEAN
        return f"{self.input} {self.kind}" if self.level is None else f"{self.input}: {self.kind} {self.level:g}"

    @property
    def snr_db(self) -> float | None:
        """The data set's own setting that makes this condition; None for all but "recording noise"."""
        return self.level if self.kind == RECORDING else None

    def apply(self, inputs: Mapping[str, NDArray], seed: int) -> dict[str, NDArray]:
        """What the network gets of inputs (time, batch, *shape); "recording noise" is in them already, by the data set's reading."""
        if self.input is not None and self.input not in inputs:
            raise InputError(f"no input {self.input!r}; there are {', '.join(inputs)}")
        return {name: self._changed(x, seed) if name == self.input else x for name, x in inputs.items()}

    def _changed(self, x: NDArray, seed: int) -> NDArray:
        level = self.level or 0.0
        match self.kind:
            case "missing":
                return corruptions.missing(x)
            case "late":
                return corruptions.late(x, int(level))
            case "image noise":
                return corruptions.image_noise(x, level, seed, held=bool((x == x[:1]).all()))
            case "occlusion":
                return corruptions.occlude(x, level, seed)
            case "feature noise":
                return corruptions.feature_noise(x, level, seed)
            case "event noise":
                return corruptions.flip_spikes(x, level, seed)
        return x

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {"name": self.name, "kind": self.kind, "input": self.input, "level": self.level, "unit": UNITS.get(self.kind)}


def conditions_for(
    inputs: Mapping[str, NDArray], *, recordings: Sequence[str] = (), levels: Mapping[str, Sequence[float]] = LEVELS
) -> tuple[Condition, ...]:
    """Clean; each sensor missing, noisy as suits what it sends, and late.

    Args:
        inputs: (time, batch, *shape) by name. Events (0, 1 and counts) are flipped; pictures, in [0, 1] with three axes, get noise and are
            covered; whatever else there is gets noise as features.
        recordings: inputs that a data set can read with noise on the waveform; these get that noise instead of noise of features.
        levels: by kind; a kind without levels is left out.
    """
    found = [Condition(CLEAN)]
    several = len(inputs) > 1  # without its only sensor a network has nothing to go by
    for name, x in inputs.items():
        kinds = (RECORDING,) if name in recordings else _noises(x)
        found += [Condition(MISSING, name)] if several else []
        found += [Condition(kind, name, level) for kind in kinds for level in levels.get(kind, ())]
        found += [Condition(LATE, name, steps) for steps in levels.get(LATE, ()) if steps < len(x)]
    return tuple(found)


def _noises(x: NDArray) -> tuple[str, ...]:
    if corruptions.are_counts(x):
        return (EVENT,)
    return (IMAGE, OCCLUSION) if x.ndim == 5 and x.min() >= 0 and x.max() <= 1 else (FEATURE,)
