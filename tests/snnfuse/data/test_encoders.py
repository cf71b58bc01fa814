"""Codes of inputs over time: spikegen's where it defines them, repeatable per item, refused where they mean nothing."""

import numpy as np
import pytest
import torch
from snntorch import spikegen

from snnfuse import data
from snnfuse.data.encoders import Encoding
from snnfuse.hardware.errors import InputError

RNG = np.random.default_rng(0)
STATIC = np.concatenate([RNG.random((5, 12)), np.tile([0, 0.005, 0.01, 0.5, 0.99, 1], (1, 2))]).astype(np.float32)
TIMED = RNG.uniform(-1, 1, (4, 7, 3)).astype(np.float32)  # (batch, time, values)


@pytest.mark.parametrize("time", [2, 4, 5, 8, 16])
def test_latency_is_that_of_spikegen(time: int) -> None:
    theirs = spikegen.latency(torch.tensor(STATIC), num_steps=time, normalize=True, linear=True, clip=True)
    np.testing.assert_array_equal(Encoding("latency")(STATIC, time), theirs.numpy())


def test_latency_of_negative_values_mirrors() -> None:
    np.testing.assert_array_equal(Encoding("latency")(-STATIC, 4), -Encoding("latency")(STATIC, 4))


def test_latency_of_one_step_spikes_at_once() -> None:
    np.testing.assert_array_equal(Encoding("latency")(STATIC, 1)[0], STATIC >= np.float32(0.01))


def test_delta_is_that_of_spikegen() -> None:
    theirs = spikegen.delta(torch.tensor(TIMED).transpose(0, 1), threshold=0.1, off_spike=True)
    ours = Encoding("delta")(TIMED, None)
    np.testing.assert_array_equal(ours, theirs.numpy())
    assert set(np.unique(ours)) == {-1, 0, 1}


def test_delta_of_a_static_item_spikes_on_the_first_step_only() -> None:
    ours = Encoding("delta")(STATIC, 3)
    np.testing.assert_array_equal(ours[0], STATIC >= np.float32(0.1))
    assert not ours[1:].any()


@pytest.mark.parametrize("values, time", [(STATIC, 400), (-STATIC, 400), (np.tile(TIMED[:, :1], (1, 400, 1)), None)])
def test_rate_has_the_value_as_its_mean(values: np.ndarray, time: int | None) -> None:
    spikes = Encoding("rate", seed=1)(values, time)
    wanted = values if time else values[:, 0]
    assert set(np.unique(spikes)) <= {-1, 0, 1}
    assert np.abs(spikes.mean(axis=0) - wanted).max() < 4 * 0.5 / 400**0.5  # four standard deviations at most
    np.testing.assert_array_equal(spikes.mean(axis=0)[wanted == 1], 1)
    assert not spikes[:, wanted == 0].any()


def test_rate_repeats_per_item_and_not_across_seeds() -> None:
    whole = Encoding("rate", 3)(STATIC, 6)
    np.testing.assert_array_equal(Encoding("rate", 3)(STATIC[[4, 1]], 6), whole[:, [4, 1]])
    assert (Encoding("rate", 4)(STATIC, 6) != whole).any()
    spikes = [Encoding("rate", 3)(np.full((1, 100), x, np.float32), 6) for x in (0.5, 0.5000001)]
    assert (spikes[0] != spikes[1]).any(), "two items do not share their noise"


def test_direct_repeats_or_puts_time_first() -> None:
    np.testing.assert_array_equal(Encoding()(STATIC, 3), np.stack([STATIC] * 3))
    np.testing.assert_array_equal(Encoding()(TIMED, None), TIMED.swapaxes(0, 1))


def test_an_encoder_is_a_setting_that_a_split_keeps() -> None:
    loaded = data.load("av-digits", settings=data.Settings(audio="picture", encoder="rate", time=6, seed=2))
    assert loaded.train.encoding == Encoding("rate", 2)
    steps = loaded.test.steps(np.arange(20))
    assert set(np.unique(steps["image"])) == {0, 1} and set(np.unique(steps["audio"])) == {-1, 0, 1}
    np.testing.assert_array_equal(loaded.test.steps(np.array([7]))["image"][:, 0], steps["image"][:, 7])
    for side in data.hold_out(loaded.train, 0.2, seed=1):
        assert side.encoding == loaded.train.encoding


def test_latency_of_sound_over_time_is_refused() -> None:
    with pytest.raises(InputError, match='audio has values over time, of which "latency" leaves no time; take encoder "delta"'):
        data.load("av-digits", settings=data.Settings(encoder="latency"))
    data.load("av-digits", settings=data.Settings(encoder="latency", audio="picture"))


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(InputError, match="encoder must be one of direct, rate, latency, delta, not 'poisson'"):
        Encoding("poisson")
