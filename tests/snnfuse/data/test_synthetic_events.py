"""Synthetic events: made as their equations say, the same every time, and mnist-fsdd in their form."""

import gzip
import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy import signal
from scipy.io import wavfile

from snnfuse import data
from snnfuse.data import Settings
from snnfuse.data.events import cochlea, saccade, to_frames, to_strips
from snnfuse.data.folders import cache
from snnfuse.hardware.errors import InputError

SIZE = (28, 28)


def blobs(count: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth grey pictures."""
    rough = np.random.default_rng(seed).random((count, 28, 28))
    smooth = signal.fftconvolve(rough, np.ones((1, 5, 5)) / 25, mode="same", axes=(1, 2))
    return (255 * np.clip(4 * smooth - 1.5, 0, 1)).astype(np.uint8)


@pytest.mark.parametrize("time, size", [(16, SIZE), (7, (34, 34)), (96, SIZE), (1, (29, 34))])
def test_frames_of_many_pictures_are_the_binned_events_of_each(time: int, size: tuple[int, int]) -> None:
    pictures = blobs()
    frames = saccade.picture_frames(pictures, time, size, seed=4)
    assert frames.shape == (3, time, 2, *size) and frames.dtype == np.uint8
    for picture, expected in zip(pictures, frames):
        events = saccade.picture_events(picture, size, seed=4)
        np.testing.assert_array_equal(to_frames(events, time, size, (0, saccade.DURATION_US)), expected)


def plain_events(picture: np.ndarray, seed: int) -> list[tuple[int, int, int, int]]:
    """The camera pixel by pixel, in whole numbers, from its equations: (t, x, y, p)."""
    spread = 1 + 0.03 * np.random.default_rng(seed).standard_normal((2, *picture.shape))
    theta = np.rint(1024 * 0.4 * spread).astype(int)
    logarithm = [round(1024 * float(np.log1p(9 * grey / 255))) for grey in range(256)]

    def grey(row: int, column: int) -> int:
        inside = 0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]
        return int(picture[row, column]) if inside else 0

    def seen(row: int, column: int, x: int, y: int) -> int:
        """The picture lies at (x, y)/16, so the pixel sees it at (16 column - x, 16 row - y)/16."""
        (r, down), (c, across) = divmod(16 * row - y, 16), divmod(16 * column - x, 16)
        upper = grey(r, c) * (16 - across) + grey(r, c + 1) * across
        lower = grey(r + 1, c) * (16 - across) + grey(r + 1, c + 1) * across
        return logarithm[(upper * (16 - down) + lower * down + 128) // 256]

    corners = ((-48, -48), (0, 48), (48, -48), (-48, -48))
    path = [corners[0]] + [
        (x + (u - x) * k // 32, y + (v - y) * k // 32) for (x, y), (u, v) in zip(corners, corners[1:]) for k in range(1, 33)
    ]
    pixels = [(row, column) for row in range(picture.shape[0]) for column in range(picture.shape[1])]
    reference = {pixel: seen(*pixel, *path[0]) for pixel in pixels}
    found = []
    for move, place in enumerate(path[1:]):
        for p, sign in enumerate((-1, 1)):
            for row, column in pixels:
                if sign * (seen(row, column, *place) - reference[row, column]) >= theta[p, row, column]:
                    found.append((move * 3125 + 1562, column, row, p))
        for t, column, row, p in found:
            if t == move * 3125 + 1562:
                reference[row, column] += int(theta[p, row, column]) * (2 * p - 1)
    return found


def test_pixels_fire_as_the_equations_say() -> None:
    picture = blobs(1, seed=3)[0, 8:18, 6:17]
    events = saccade.picture_events(picture, picture.shape, seed=2)
    assert list(zip(events.t.tolist(), events.x.tolist(), events.y.tolist(), events.p.tolist())) == plain_events(picture, seed=2)
    assert len(events) > 100 and set(events.p) == {0, 1}


def test_a_dark_picture_gives_nothing_and_a_bar_only_where_it_moves_across() -> None:
    assert saccade.picture_frames(np.zeros((1, 28, 28), np.uint8), 16, SIZE).sum() == 0
    bar = np.zeros((1, 28, 28), np.uint8)
    bar[0, 13:15] = 255  # a horizontal bar: the third saccade moves along it
    middle = saccade.picture_frames(bar, 6, SIZE)[0, ..., 6:22]
    fired = middle.sum(axis=(1, 2, 3))  # half a saccade each; the fifth half still makes up for what came faster than a pixel fires
    assert (fired[:4] > 100).all() and fired[4] < 50 and fired[5] == 0


def test_every_machine_makes_the_same_events() -> None:
    row, column = np.indices(SIZE)
    picture = (row * column * 3 % 256).astype(np.uint8)[None]
    one, other = (saccade.picture_frames(picture, 16, SIZE, seed) for seed in (0, 1))
    assert zlib.crc32(one) == WRITTEN_DOWN and (one != other).any()


WRITTEN_DOWN = 2626144152


@pytest.mark.parametrize("time, size, message", [(97, SIZE, "96 instants, too few for 97"), (16, (27, 28), "smaller than the pictures")])
def test_what_the_camera_cannot_do_is_refused(time: int, size: tuple[int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        saccade.picture_frames(blobs(), time, size)


RATE = 8000


def tone(hz: float, seconds: float = 0.3, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize("channel", [2, 12, 25])
def test_a_tone_excites_its_channel_most(channel: int) -> None:
    events = cochlea.sound_events(tone(cochlea.centres(28, RATE)[channel]), RATE, 28)
    assert np.bincount(events.y, minlength=28).argmax() == channel


def test_filters_have_gain_one_and_the_bandwidth_of_the_ear() -> None:
    """-3 dB at 0.887 ERB apart: a fourth-order gammatone's half width is b sqrt(2^(1/4) - 1), b = 1.019 ERB."""
    hz = cochlea.centres(28, 16_000)[15]
    response = cochlea.gammatones(16_000, 28)[15]
    half = 1.019 * (24.7 + 0.108 * hz) * np.sqrt(2**0.25 - 1)
    t = np.arange(1, len(response) + 1) / 16_000
    gains = [np.abs((response * np.exp(-2j * np.pi * f * t)).sum()) for f in (hz - half, hz, hz + half)]
    np.testing.assert_allclose(gains, [np.sqrt(0.5), 1, np.sqrt(0.5)], rtol=0.02)


def test_low_tones_fire_in_phase_and_only_on_one_half_wave() -> None:
    events = cochlea.sound_events(tone(100.0), RATE, 28)
    phase = (events.t[events.y == 1] % 10_000) / 10_000  # of a period of 10 ms
    assert len(np.unique(np.floor(phase * 8))) <= 5


def plain_spikes(wave: np.ndarray, channels: int) -> np.ndarray:
    """Spikes (channels, samples) from the equations: convolve, rectify, compress, integrate and fire, sample by sample."""
    y = np.stack([np.convolve(wave, g)[: len(wave)] for g in cochlea.gammatones(RATE, channels)])
    u = np.maximum(np.sqrt(np.maximum(y, 0) / y.max()) - 0.1, 0)
    spikes, held = np.zeros(u.shape, int), [0] * channels
    for channel, sample in np.ndindex(u.shape):
        held[channel] += round(float(u[channel, sample]) * 2**20) * 4000
        while held[channel] >= 2**20 * RATE:
            held[channel] -= 2**20 * RATE
            spikes[channel, sample] += 1
    return spikes


def test_channels_fire_as_the_equations_say() -> None:
    wave = np.random.default_rng(0).standard_normal(900)
    spikes = plain_spikes(wave, 7)
    events = cochlea.sound_events(wave, RATE, 7)
    found = np.zeros_like(spikes)
    np.add.at(found, (events.y, events.t * RATE // 10**6), 1)
    np.testing.assert_array_equal(found, spikes)
    assert events.shape == (1, 7, 1) and len(events) > 200


def test_level_does_not_matter_and_the_past_does_not_see_the_future() -> None:
    wave = np.concatenate([tone(300), tone(900)])
    loud, quiet = (cochlea.sound_events(wave * gain, RATE, 28) for gain in (2**12, 2**-4))
    np.testing.assert_array_equal(loud.t, quiet.t)
    later = wave.copy()
    later[-1000:] *= 0.5  # no louder than before, so that the recording's loudest instant stays
    changed = cochlea.sound_events(later, RATE, 28)
    end = (len(wave) - 1000) * 10**6 // RATE
    np.testing.assert_array_equal(changed.t[changed.t < end], loud.t[loud.t < end])


@pytest.mark.parametrize("wave", [np.zeros(500), np.zeros(0), np.array([np.nan, 1.0]), np.array([np.inf, 1.0])])
def test_silence_is_refused_by_name(wave: np.ndarray) -> None:
    with pytest.raises(InputError, match="0_a_0.wav: is silent, or not finite"):
        cochlea.sound_events(wave, RATE, 28, "0_a_0.wav")


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def write_wavs(path: Path, waves: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, wave in waves.items():
            buffer = io.BytesIO()
            wavfile.write(buffer, RATE, (wave * 20_000).astype(np.int16))
            archive.writestr(f"{name}.wav", buffer.getvalue())


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """mnist-fsdd with few items: 30 images of which 10 are in the test set, takes 0 (test) and 5 and 6 of each digit."""
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / "kept"))
    monkeypatch.setattr(data.mnist_fsdd, "TEST_IMAGES", 10)
    write_idx(tmp_path / data.mnist_fsdd.IMAGES, blobs(30))
    write_idx(tmp_path / data.mnist_fsdd.LABELS, np.arange(30) % 10)
    waves = {f"{digit}_a_{take}": tone(200 + 150 * digit + 10 * take, 0.1) for digit in range(10) for take in (0, 5, 6)}
    write_wavs(tmp_path / data.mnist_fsdd.RECORDINGS, waves)
    return tmp_path


def test_mnist_fsdd_has_events_of_the_pictures_and_recordings(tree: Path) -> None:
    loaded = data.load("mnist-fsdd", tree, Settings(audio="events"))
    assert loaded.shapes == {"image": (2, 28, 28), "audio": (1, 28, 28)} and loaded.time == 16
    assert "synthetic events" in loaded.source and loaded.speech == "recorded"
    np.testing.assert_array_equal(loaded.train.pools["image"].items, saccade.picture_frames(blobs(30)[:20], 16, SIZE))
    np.testing.assert_array_equal(loaded.test.pools["image"].items, saccade.picture_frames(blobs(30)[20:], 16, SIZE))
    heard = loaded.test.pools["audio"]
    for digit, item in zip(heard.labels, heard.items):
        wave = (tone(200 + 150 * digit, 0.1) * 20_000).astype(np.int16)
        np.testing.assert_array_equal(item, to_strips(cochlea.sound_events(wave, RATE, 28), 16, SIZE))


def test_what_is_kept_is_the_same_and_noise_is_kept_apart(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, noisy = (data.load("mnist-fsdd", tree, Settings(audio="events", snr_db=snr)).test for snr in (None, 0.0))
    assert (first.pools["audio"].items != noisy.pools["audio"].items).any()
    monkeypatch.setattr(saccade, "_changes", None)  # whoever computes anew would fail
    monkeypatch.setattr(cochlea, "_spikes", None)
    again = data.load("mnist-fsdd", tree, Settings(audio="events", seed=9)).test
    for name, pool in first.pools.items():
        np.testing.assert_array_equal(again.pools[name].items, pool.items)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"size": (30, 30)}, r"has no size \(30, 30\); it offers \(28, 28\), \(34, 34\)"),
        ({"features": "log-stft"}, "has no features 'log-stft'"),
        ({"encoder": "latency"}, "has no encoder 'latency'; it offers direct, rate"),
        ({"time": 200}, "96 instants, too few for 200"),
    ],
)
def test_what_events_do_not_offer_is_refused(tree: Path, given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.load("mnist-fsdd", tree, Settings(audio="events", **given))


def test_a_silent_recording_is_named(tree: Path) -> None:
    write_wavs(tree / data.mnist_fsdd.RECORDINGS, {"3_a_0": np.zeros(800)})
    with pytest.raises(InputError, match="recordings.zip: 3_a_0.wav: is silent"):
        data.load("mnist-fsdd", tree, Settings(audio="events"))
    write_wavs(tree / data.mnist_fsdd.RECORDINGS, {})
    with pytest.raises(InputError, match="recordings.zip: holds no .wav file"):
        data.load("mnist-fsdd", tree, Settings(audio="events"))


REAL = Path(__file__).parents[4] / "shared/data"


def nearest_mean(train: data.Pool, test: data.Pool, axes: tuple[int, ...]) -> int:
    """Number of test items whose nearest class mean, of square roots of counts summed over axes, is their own."""
    points, asked = (np.sqrt(pool.items.sum(axis=axes, dtype=np.float32).reshape(len(pool), -1)) for pool in (train, test))
    means = np.stack([points[train.labels == label].mean(axis=0) for label in range(10)])
    distance = (means**2).sum(axis=1) - 2 * asked @ means.T
    return int((distance.argmin(axis=1) == test.labels).sum())


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / data.mnist_fsdd.RECORDINGS).exists(), reason=f"the real recordings are not in {REAL}")
def test_figures_of_the_documentation() -> None:
    loaded = data.load("mnist-fsdd", REAL, Settings(audio="events"))
    (images, sounds), (asked, heard) = (side.pools.values() for side in (loaded.train, loaded.test))
    pictures, words = ([pool.items.sum(axis=(1, 2, 3, 4), dtype=np.int64) for pool in of] for of in ((images, asked), (sounds, heard)))
    assert round(np.concatenate(pictures).mean()) == 4495 and round(np.median(np.concatenate(words)), -1) == 1600
    assert (nearest_mean(images, asked, ()), nearest_mean(sounds, heard, (4,))) == (1709, 232)  # of 2,000 and of 300
