"""A user's own arrays as a data set: what training takes, of samples of a file."""

import numpy as np

from snnfuse.data.pairs import AudioVisual, Pairs, Pool, hold_out
from snnfuse.data.samples import Samples
from snnfuse.hardware.errors import InputError

TEST = 0.2  # of each class


def from_arrays(samples: Samples, seed: int = 0) -> AudioVisual:
    """Divide labelled samples into a training and a test side.

    Args:
        samples: with labels; every sample stands for itself, and its inputs belong together.
        seed: of the division: a fifth of each class, one sample at least, is for the test.

    Raises:
        InputError: there are no labels, or too few samples of a class.
    """
    if samples.labels is None:
        raise InputError(f"{samples.source}: holds no array `labels` (samples,), by which a network is trained and tested")
    if samples.labels.min() < 0:
        raise InputError(f"{samples.source}: labels hold {samples.labels.min()}, and classes count from 0")
    labels = samples.labels.astype(np.int64)
    pools = {name: Pool(np.ascontiguousarray(x.swapaxes(0, 1), np.float32), labels, timed=True) for name, x in samples.inputs.items()}
    index = np.repeat(np.arange(len(labels))[:, None], len(pools), axis=1)
    pairs = Pairs(pools, index, next(iter(samples.inputs.values())).shape[0], is_fixed=True)
    try:
        train, test = hold_out(pairs, TEST, seed)
    except InputError as error:
        raise InputError(f"{samples.source}: {error}") from error
    classes = tuple(map(str, range(int(labels.max()) + 1)))
    return AudioVisual(samples.source, classes, train, test, source=samples.source, speech="none")
