"""Analog inputs whose payload would leave the weights behind it too few bits are sent with fewer, where nobody says how many."""

import nir
import numpy as np
import pytest

from snnfuse.export import quantize
from snnfuse.export.quantization.quantize_network import declare_input
from snnfuse.hardware import GradedInput, Program

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


GRIDS = {
    "pixels": (np.arange(256) / 255, 9, 1 / 255),
    "pixels of float32": ((np.arange(256, dtype=np.float32) / 255 - 0.5) / np.float32(0.5), 9, 1 / 255),
    "every fifth pixel": (np.arange(0, 256, 5) / 255, 7, 5 / 255),
    "counts": (np.array([0, 2, 3, 5]), 4, 1.0),
    "signed spikes": (np.array([-1, 0, 1]), 2, 1.0),
    "halves": (np.array([0.5, -1.5, 2.0]), 4, 0.5),
}


@pytest.mark.parametrize(("values", "fewest", "scale"), GRIDS.values(), ids=GRIDS)
def test_values_on_a_grid_are_sent_exactly(values: np.ndarray, fewest: int, scale: float) -> None:
    for fewer, expected in ((True, fewest), (False, 12)):
        node = declare_input(values, (1,), 12, fewer)
        assert isinstance(node, GradedInput) and node.bits == expected
        np.testing.assert_allclose(node.encode("x", values) * node.scale, values, atol=1e-6)
    assert declare_input(values, (1,), 12).scale == pytest.approx(scale)


def test_values_on_no_grid_take_all_bits() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.random(5), rng.random(5000), np.append(np.arange(256) / 255, 0.3001)):
        node = declare_input(values, (1,), 12)
        assert isinstance(node, GradedInput) and node.bits == 12
