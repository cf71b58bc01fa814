"""Pools, pairs, what is held out, and settings: nothing shared between sides, nothing meaningless accepted."""

import numpy as np
import pytest

from snnfuse import data
from snnfuse.hardware.errors import InputError


@pytest.fixture(scope="module")
def digits() -> data.AudioVisual:
    return data.load("av-digits")


def shared_rows(one: np.ndarray, other: np.ndarray) -> int:
    return len({row.tobytes() for row in one} & {row.tobytes() for row in other})


def test_hold_out_shares_no_item_and_keeps_every_class(digits: data.AudioVisual) -> None:
    kept, held = data.hold_out(digits.train, 0.1, seed=3)
    assert len(kept) + len(held) == len(digits.train)
    assert len(kept.pools["audio"].items) + len(held.pools["audio"].items) == len(digits.train.pools["audio"].items)
    assert set(held.labels) == set(range(10))
    for name in digits.shapes:
        assert shared_rows(kept.pools[name].items, held.pools[name].items) == 0


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_hold_out_refuses_a_fraction_outside_0_to_1(digits: data.AudioVisual, fraction: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        data.hold_out(digits.train, fraction, seed=0)


def test_pairs_are_drawn_anew_but_repeatably(digits: data.AudioVisual) -> None:
    one, again, other = (data.redraw(digits.train, seed).index for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def pool(labels: list[int], groups: list[int] | None = None) -> data.Pool:
    """Items that are their own numbers."""
    own = None if groups is None else np.array(groups)
    return data.Pool(np.arange(len(labels), dtype=np.float32)[:, None], np.array(labels), groups=own)


def test_pairs_use_recordings_equally_often() -> None:
    index = data.draw_pairs({"image": pool([0] * 7), "audio": pool([0] * 3)}, seed=0)
    assert sorted(np.bincount(index[:, 1])) == [2, 2, 3]


def test_pairs_of_two_classes_are_refused() -> None:
    pools = {"image": pool([0, 1]), "audio": pool([0, 1])}
    with pytest.raises(InputError, match="pair 1 joins items of different classes"):
        data.Pairs(pools, np.array([[0, 0], [1, 0]]), time=4)
    with pytest.raises(InputError, match="class 1 has items of image but none of audio"):
        data.draw_pairs({"image": pool([0, 1]), "audio": pool([0])}, seed=0)
    with pytest.raises(InputError, match="class 1 has items of audio but none of image"):
        data.draw_pairs({"image": pool([0]), "audio": pool([0, 1])}, seed=0)


def test_a_pool_of_another_length_of_time_is_refused() -> None:
    timed = data.Pool(np.zeros((2, 5, 3), np.float32), np.zeros(2, np.int64), timed=True)
    with pytest.raises(InputError, match="audio has 5 time steps, the samples 4"):
        data.make_pairs({"image": pool([0, 0]), "audio": timed}, time=4, seed=0)


def test_integers_are_read_in_units_of_their_scale() -> None:
    stored = data.Pool(np.array([[0, 51, 255]], np.uint8), np.zeros(1, np.int64), scale=1 / 255)
    values = stored.read()
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, np.array([[0, 51, 255]], np.float32) * np.float32(1 / 255))


@pytest.mark.parametrize("is_fixed", [False, True])
def test_hold_out_keeps_groups_whole(is_fixed: bool) -> None:
    rng = np.random.default_rng(0)
    labels, speakers = list(np.repeat([0, 1], 60)), list(rng.integers(0, 12, 120))
    pools = {"image": pool(labels), "audio": pool(labels, speakers)}
    pairs = data.Pairs(pools, np.stack([np.arange(120)] * 2, 1), time=4, is_fixed=is_fixed)
    heard = []
    for side in data.hold_out(pairs, 0.2, seed=1):
        chosen = side.index[:, 1]
        heard.append(set(side.pools["audio"].groups[chosen]))
        assert set(side.labels) == {0, 1}
        if is_fixed:
            np.testing.assert_array_equal(side.index[:, 0], chosen)
    assert heard[0] and heard[1] and not heard[0] & heard[1]


@pytest.mark.parametrize("is_fixed", [False, True])
@pytest.mark.parametrize("groups", [None, np.array([0, 0, 0, 1, 2, 3])])
def test_a_class_that_nothing_would_train_is_refused(groups: np.ndarray | None, is_fixed: bool) -> None:
    labels = np.array([7, 7, 7, 4, 4, 4] if groups is not None else [7, 4, 4, 4, 4, 4])
    pool = data.Pool(np.zeros((6, 2), np.float32), labels, groups=groups)
    pairs = data.Pairs({"image": pool}, np.arange(6)[:, None], 1, is_fixed=is_fixed)
    with pytest.raises(InputError, match="nothing of class 7 would be left to train on: all of it is one item or one group"):
        data.hold_out(pairs, 0.1, seed=0)


def test_fixed_pairs_are_not_drawn_anew() -> None:
    pairs = data.Pairs({"image": pool([0] * 9), "audio": pool([0] * 9)}, np.stack([np.arange(9)] * 2, 1), 4, is_fixed=True)
    assert data.redraw(pairs, 3) is pairs


@pytest.mark.parametrize(
    "given, message",
    [
        ({"audio": "music"}, "audio must be one of frames, picture, events, not 'music'"),
        ({"time": 0}, "time must be at least 1 step"),
        ({"size": (28,)}, "size must be"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.Settings(**given)
