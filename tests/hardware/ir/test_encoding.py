"""The two ends that the host computes: warnings at their thresholds, and scores by hand."""

import warnings

import numpy as np
import pytest

from snnfuse.hardware import Connection, Dense, GradedInput, Lif, Output, Program
from snnfuse.hardware.errors import InputError, RangeWarning, SaturationWarning
from snnfuse.hardware.ir.encoding import by_class, decoded, first_spikes, positive, reduce_window, unused


def program(**output: object) -> Program:
    nodes = {"x": GradedInput((2,), 5, 0.5), "n": Lif((2,), 4095, 0, 1)}
    return Program(nodes, (Connection("x", "n", Dense(np.eye(2, dtype=np.int32))),), {"o": Output("n", **output)})


SPIKES = np.array([[[0, 1, 0, 0]], [[0, 1, 1, 0]], [[1, 0, 1, 0]]])  # 3 steps, one sample, four neurons


def test_scores_by_hand() -> None:
    assert first_spikes(SPIKES).tolist() == [[0, 2, 1, 0]]
    voltages = np.array([[[-5, 3]], [[2, -8]], [[1, -1]]], np.int32)
    for decoder, expected in (("spike_count", [-2, -6]), ("membrane_sum", [-2, -6]), ("membrane_last", [1, -1]), ("membrane_max", [2, 3])):
        assert reduce_window(decoder, voltages).tolist() == [expected]
    assert reduce_window("spike_count", SPIKES.astype(bool)).dtype == reduce_window("spike_count", SPIKES.astype(np.int8)).dtype == np.int64
    assert reduce_window("membrane_sum", voltages / 2).dtype == np.float64


def test_groups_of_neurons_are_classes() -> None:
    reduced = np.array([[3, 1, 0, 2], [0, 5, 1, 1]])
    assert by_class(Output("n", num_classes=2), reduced).tolist() == [[4, 2], [5, 2]]
    assert by_class(Output("n", "first_spike", num_classes=2), reduced).tolist() == [[3, 2], [5, 1]]
    assert by_class(Output("n"), reduced).tolist() == reduced.tolist()
    assert decoded(Output("n", num_classes=2), SPIKES).tolist() == [[3, 2]]


@pytest.mark.parametrize(
    ("largest", "samples", "share"), [(2.25, 16, 0.3), (2.25, 15, None), (2.5, 16, None), (0.0, 16, None), (0.5, 17, 1 / 15)]
)
def test_a_range_hardly_used_is_told_of_enough_samples(largest: float, samples: int, share: float | None) -> None:
    """The range of 5 bits in steps of 0.5 is 7.5; up to 0.3 of it is little."""
    x = np.zeros((3, samples, 2), np.float32)
    x[1, 2, 1] = -largest
    assert unused(program().inputs, {"x": x}) == ({} if share is None else {"x": pytest.approx(share)})


def test_warnings_name_where_encode_was_called() -> None:
    with pytest.warns(SaturationWarning, match="1 of 4 values lie beyond the 7.5 .*; they reach 4 times that") as found:
        events = program().encode(np.array([[[0.2, 0.3], [30.0, -1.0]]]))
    assert found[0].filename == __file__ and events["x"].tolist() == [[[0, 1], [15, -2]]]
    with pytest.warns(SaturationWarning) as found:
        program().encode(np.array([[[29.9, 0.0]]]))
    assert "they reach" not in str(found[0].message)
    with pytest.warns(RangeWarning, match="its values reach 6.7% of the range"):
        program().encode(np.full((1, 16, 2), 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program().encode(np.full((1, 16, 2), 7.5))


def test_positive() -> None:
    assert positive("n", np.int32(1)) == 1
    for value in (0, -1, True, 1.0):
        with pytest.raises(InputError, match="n must be a positive integer"):
            positive("n", value)  # type: ignore[arg-type]
