"""Splits into training and test samples: of sorted names, by a fixed seed, never by the order in which a file system lists them.

They do not follow `Settings.seed`: networks of several seeds are tested on the same samples, and none meets those it was trained on.
"""

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.pairs import Ints, held_items
from snnfuse.hardware.errors import InputError

SEED = 0


def per_class(labels: Ints, fraction: float) -> NDArray[np.bool_]:
    """Which samples train: in each class, in a shuffled order, the first round(fraction * samples). labels: (samples,), sorted by name."""
    rng = np.random.default_rng(SEED)
    training = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        training[members[: round(fraction * members.size)]] = True
    return training


def by_group(labels: Ints, groups: Ints, fraction: float) -> NDArray[np.bool_]:
    """Which samples train, whole groups of each class, the others being about 1 - fraction of the class."""
    return ~held_items(labels, groups, 1 - fraction, np.random.default_rng(SEED))


def check_folds(name: str, folds: Ints, sources: Ints) -> None:
    """InputError where official folds, (samples,), have pieces of one source recording in two of them; name: of the data set."""
    for source in np.unique(sources):
        if len(np.unique(folds[sources == source])) > 1:
            said = "lies in two folds, and would be tested on what trained; name and sort the files as released"
            raise InputError(f"{name}: recording {source} {said}")
