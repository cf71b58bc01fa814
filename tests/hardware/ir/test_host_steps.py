"""What a host computes between two programs, against numbers worked out by hand."""

import numpy as np
import pytest

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.host_steps import Normalise, apply, carry, reduce_over_window

SPIKES = np.array([[[1, 0, 1]], [[1, 0, 0]], [[1, 0, 0]], [[1, 0, 1]]], bool)  # 4 steps, 1 sample, 3 neurons


def test_windows_are_counted_averaged_or_kept() -> None:
    assert reduce_over_window("count", SPIKES).tolist() == [[4, 0, 2]]
    assert reduce_over_window("mean", SPIKES).tolist() == [[1, 0, 0.5]]
    assert (reduce_over_window("steps", SPIKES) == SPIKES).all()


def test_voltages_are_summed_without_leaving_their_integers() -> None:
    v = np.full((4, 1, 1), 2**30, np.int32)
    assert reduce_over_window("count", v).tolist() == [[2.0**32]]


def test_a_normalised_value_is_held_on_every_step() -> None:
    held = carry("count", (Normalise(10.0),), np.concatenate([SPIKES, SPIKES[:1] * 0]))
    expected = np.array([4, 0, 2]) * 10 / np.sqrt(20)
    assert held.shape == (5, 1, 3) and (held == held[:1]).all()
    np.testing.assert_array_equal(held[0, 0], expected)
    np.testing.assert_allclose(carry("mean", (Normalise(10.0),), SPIKES), carry("count", (Normalise(10.0),), SPIKES), rtol=1e-15)


def test_steps_are_normalised_one_by_one_and_silence_stays() -> None:
    x = np.array([[[3, 4]], [[0, 0]], [[0, 2]]])
    assert carry("steps", (Normalise(5.0),), x).tolist() == [[[3, 4]], [[0, 0]], [[0, 5]]]


def test_images_are_normalised_as_a_whole() -> None:
    x = np.ones((2, 1, 2, 2))
    x[1] = 3
    assert apply(Normalise(2.0), x).tolist() == [[[[1, 1], [1, 1]]]] * 2


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_length_is_positive(scale: float) -> None:
    with pytest.raises(InputError, match="scale must be positive"):
        Normalise(scale)


def test_the_order_of_neurons_changes_no_bit() -> None:
    """Hosts add in their own order, and a payload that lies halfway between two integers would differ."""
    rng = np.random.default_rng(4)
    values, order = rng.integers(0, 2, (7, 40, 301)), rng.permutation(301)
    one, other = (carry("mean", (Normalise(4.0),), array) for array in (values, values[:, :, order]))
    assert (one[:, :, order] == other).all() and one.any()
