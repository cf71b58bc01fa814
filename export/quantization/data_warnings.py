"""Calibration data that look as if they were given in another form, or are too few: a sentence each, which names the way out."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

# Plain choices of what is worth a warning.
ALWAYS = 0.98  # share of steps in which an input that "always" spikes does
OUTLIER = 1000  # times the median
ADVICE = "calibrate with data like what the network was trained on, encoded and scaled in the same way"


def doubtful_samples(x: Mapping[str, NDArray], inputs: Mapping[str, object]) -> Iterator[str]:
    """What to warn of in calibration data.

    Args:
        x: (time, batch, *shape) by name.
        inputs: as declared.
    """
    for name, array in x.items():
        yield from _of_input(name, array, inputs[name].sends_numbers)
    if all(_is_batch_first(array) for array in x.values()):
        time, batch = next(iter(x.values())).shape[:2]
        yield (
            f"all {batch} samples are equal in every step, and change over the {time} steps: these look like {time} samples of {batch} "
            "equal steps, (batch, time, ...); give (time, batch, ...), or say batch_first=True"
        )


def _is_batch_first(x: NDArray) -> bool:
    """Whether every sample is the same, and steps are not: static inputs, each repeated, whose first axis is the batch."""
    return x.shape[0] > 1 < x.shape[1] and bool((x == x[:, :1]).all()) and not bool((x == x[:1]).all())


def _of_input(name: str, x: NDArray, graded: bool) -> Iterator[str]:
    if not graded and x.mean() > ALWAYS:
        yield f"input {name!r} spikes in {x.mean():.0%} of all steps, so that nothing in it changes; {ADVICE}"
    if len(x) == 1:
        yield f"input {name!r} has one time step, in which no state can build up; {ADVICE}: (time, batch, ...)"
    magnitudes = np.abs(x[x != 0])
    if graded and magnitudes.max() > OUTLIER * np.median(magnitudes):
        largest, median = magnitudes.max(), np.median(magnitudes)
        yield f"input {name!r} holds {largest:.3g}, {largest / median:.3g} times the median of its values, which keep few digits; {ADVICE}"
