"""Inputs for programs that came as integers, without samples: enough to compare backends, and no measure of accuracy."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from snnfuse.data.samples import RANDOM_RATE, RANDOM_SAMPLES, RANDOM_STEPS, Samples
from snnfuse.hardware.ir.nodes import Input

MOST_VALUES = 1 << 25  # of all inputs together
FEWEST_STEPS = 8


def random_inputs(inputs: Mapping[str, Input], steps: int | None, seed: int = 0) -> Samples:
    """Values that a program's inputs take, (time, batch, *shape) by name.

    Args:
        inputs: of the program. Binary ones get spikes; numbers lie in -1..1, or where a unit is 1 and more within the payload, and some of
            them change on each step; what a host writes stays as it is.
        steps: of a sample; None: 100, or fewer where inputs are large.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    fitting = max(FEWEST_STEPS, MOST_VALUES // (RANDOM_SAMPLES * sum(node.size for node in inputs.values())))
    time = min(RANDOM_STEPS, fitting) if steps is None else steps
    arrays = {name: _drawn(node, (time, RANDOM_SAMPLES, *node.shape), rng) for name, node in inputs.items()}
    binary = not any(node.sends_numbers for node in inputs.values())
    what = "random spikes" if binary else "random inputs"
    return Samples(arrays, None, f"{what}, {RANDOM_RATE:g} per neuron and step" if binary else what)


def _drawn(node: Input, size: tuple[int, ...], rng: np.random.Generator) -> NDArray:
    if not node.sends_numbers:
        return (rng.random(size) < RANDOM_RATE).astype(np.int32)
    largest = 1.0 if abs(node.scale) < 1 else node.limit * abs(node.scale)
    values = rng.uniform(-largest, largest, size).astype(np.float32)
    if node.is_written:
        return np.broadcast_to(values[0], size)
    changes = rng.random(size) < RANDOM_RATE
    for t in range(1, len(values)):
        values[t] = np.where(changes[t], values[t], values[t - 1])
    return values
