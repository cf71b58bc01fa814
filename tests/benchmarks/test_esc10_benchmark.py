"""The models that the benchmark of ESC-10 compares with, on data whose answers are known."""

import numpy as np
import pytest

from benchmarks.esc10 import LEFT_OUT, fitted, statistics


def test_a_linear_model_learns_what_is_linear_and_is_measured_on_what_it_has_not_seen() -> None:
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 10, 300), rng.integers(0, 10, 100)]
    centres = rng.normal(0, 3, (10, 8))
    x = [(100 + 50 * (centres[each] + rng.normal(0, 0.5, (len(each), 8)))).astype(np.float32) for each in labels]
    assert fitted(x, labels) > 98
    assert fitted(x, [labels[0], (labels[1] + 1) % 10]) < 5, "the second part's labels decide, not the first's"
    assert fitted([x[0], rng.permutation(x[1])], labels) == pytest.approx(10, abs=12), "what tells nothing reads about chance"


def test_statistics_of_bands_are_in_order() -> None:
    frames = np.stack([np.arange(5.0), np.full(5, 2.0)], axis=1)[None]
    mean, deviation, change, low, middle, high = statistics(frames).reshape(6, 2)
    np.testing.assert_allclose([mean, middle], [[2, 2], [2, 2]])
    np.testing.assert_allclose([deviation, change, low, high], [[np.sqrt(2), 0], [1, 0], [0.4, 2], [3.6, 2]])


def test_each_fold_is_left_out_as_often_as_the_others() -> None:
    assert sorted(fold for pair in LEFT_OUT for fold in pair) == sorted(2 * [*range(1, 6)])
