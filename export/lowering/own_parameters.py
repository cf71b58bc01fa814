"""Parameters of graphs that this package exported, as the model had them.

What NIR's time constants say is off by the rounding of a division there and back, and thresholds are raised by a margin so that this
rounding never makes a tie fire. A model's parameters have 24 bits, those of float32; where a number lies within rounding of one that
has, it was that one. A membrane then meets its threshold exactly where the model's does, bit for bit in double precision.
"""

from dataclasses import replace

import numpy as np

from snnfuse.export.lowering.network import Array, Population
from snnfuse.export.lowering.reset_notes import MARGIN

ROUNDED = 2.0**-50  # relative: a few roundings of float64
SLOWEST = 2.0**-40  # leak per step that stands for none beside neurons that do leak: far below the thresholds' margin


def as_exported(neuron: Population) -> Population:
    """The same neurons with the parameters that were written; any that are not within rounding of 24 bits stay as they are."""
    if neuron.kind != "neuron":
        return neuron
    return replace(
        neuron,
        beta=_decay(neuron.beta),
        alpha=None if neuron.alpha is None else _decay(neuron.alpha),
        gain=_nearest(neuron.gain, neuron.gain),
        current_gain=_nearest(neuron.current_gain, neuron.current_gain),
        theta=_nearest(neuron.theta / (1 + MARGIN), neuron.theta),
        taken=None if neuron.taken is None else _nearest(neuron.taken, neuron.taken),
    )


def _decay(kept: Array) -> Array:
    """1 - dt/tau, whose rounding is that of numbers around 1."""
    lasting = np.abs(kept - (1 - SLOWEST)) <= ROUNDED
    return np.where(lasting, 1.0, _nearest(kept, kept, ROUNDED))


def _nearest(values: Array, otherwise: Array, within: float | None = None) -> Array:
    """The numbers of 24 bits that lie within rounding of `values`, and `otherwise` where none does."""
    with np.errstate(over="ignore", invalid="ignore"):
        short = values.astype(np.float32).astype(np.float64)
        close = np.abs(short - values) <= (ROUNDED * np.abs(values) if within is None else within)
    return np.where(close, short, otherwise)
