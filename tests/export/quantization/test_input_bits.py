"""Analog inputs whose payload would leave the weights behind it too few bits are sent with fewer, where nobody says how many."""

import nir
import numpy as np

from snnfuse.export import quantize
from snnfuse.hardware import Program

FEATURES = 400


def wide(seed: int = 0) -> nir.NIRGraph:
    """Many weak inputs on each neuron, as of images: their sums fill the register."""
    rng = np.random.default_rng(seed)
    ones = np.ones(20)
    neurons = nir.IF(1e4 * ones, ones, 0 * ones)
    return nir.NIRGraph.from_list(nir.Linear(rng.normal(0.01, 0.1, (20, FEATURES))), neurons)


def bits(program: Program) -> int:
    (node,) = program.inputs.values()
    return node.bits


def test_weights_that_lose_more_get_the_room_unless_a_width_is_asked_for() -> None:
    x = np.random.default_rng(1).random((20, 8, FEATURES))
    assert bits(quantize(wide(), x)) < 12 == bits(quantize(wide(), x, input_bits=12))
    few = np.random.default_rng(1).random((20, 8, FEATURES)) * (np.arange(FEATURES) < 3)
    assert bits(quantize(wide(), few)) == 12
