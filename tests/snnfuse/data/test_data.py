"""The data sets: splits that share nothing, shapes and ranges as declared, damage that is named."""

import gzip
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from snnfuse import data
from snnfuse.data import av_digits, features, fsdd, mnist_fsdd, readers
from snnfuse.hardware.errors import InputError

REAL = Path(__file__).parents[4] / "shared/data"
needs_real = pytest.mark.skipif(not (REAL / mnist_fsdd.RECORDINGS).exists(), reason=f"the real recordings are not in {REAL}")


@pytest.fixture(scope="module")
def digits() -> data.AudioVisual:
    return data.load("av-digits")


@pytest.fixture(scope="module")
def real() -> data.AudioVisual:
    return data.load("mnist-fsdd", REAL)


def check_arrays(loaded: data.AudioVisual) -> None:
    for side in (loaded.train, loaded.test):
        for pool, low in ((side.pools["image"].items, 0), (side.pools["audio"].items, -1)):
            assert pool.dtype == np.float32 and pool.min() >= low and pool.max() <= 1
        assert side.labels.dtype == np.int64 and set(side.labels) == set(range(10))
        np.testing.assert_array_equal(side.labels, side.pools["audio"].labels[side.index[:, 1]])


def shared_rows(one: np.ndarray, other: np.ndarray) -> int:
    return len({row.tobytes() for row in one} & {row.tobytes() for row in other})


def test_av_digits_is_what_it_says(digits: data.AudioVisual) -> None:
    check_arrays(digits)
    assert (len(digits.train), len(digits.test), digits.time) == (1437, 360, 8)
    assert digits.shapes == {"image": (1, 8, 8), "audio": (80,)}
    assert digits.speech == "synthetic" and "synthetic" in digits.source
    assert av_digits.FILE.stat().st_size < 2_000_000


def test_av_digits_shares_no_voice_and_no_clip(digits: data.AudioVisual) -> None:
    stored = av_digits.read()
    test = np.isin(stored["clip_voices"], av_digits.TEST_VOICES)
    variants = [{str(voice).partition("+")[2] for voice in stored["clip_voices"][side]} for side in (test, ~test)]
    assert variants[0] == {"m2", "m4", "m6", "f4"} and not variants[0] & variants[1]
    assert test.sum() == len(digits.test.pools["audio"].items) == 480
    assert len({clip.tobytes() for clip in stored["clips"]}) == len(stored["clips"]), "eSpeak NG says a word alike in two voices"
    assert shared_rows(digits.train.pools["audio"].items, digits.test.pools["audio"].items) == 0


def test_av_digits_normalises_with_training_clips_only(digits: data.AudioVisual) -> None:
    latest = digits.train.pools["audio"].items.reshape(-1, av_digits.CONTEXT, av_digits.BANDS)[:, -2:]  # each frame once
    assert np.abs(latest.mean(axis=(0, 1), dtype=np.float64)).max() < 0.01
    assert np.abs(digits.test.pools["audio"].items.reshape(-1, av_digits.BANDS).mean(axis=0)).max() > 0.02


@needs_real
def test_mnist_fsdd_keeps_the_official_split(real: data.AudioVisual) -> None:
    check_arrays(real)
    assert (len(real.train), len(real.test)) == (8000, 2000)
    assert (len(real.train.pools["audio"].items), len(real.test.pools["audio"].items)) == (2700, 300)
    images = readers.read_idx(REAL / mnist_fsdd.IMAGES)
    np.testing.assert_array_equal(real.test.values("image")[:, 0] * 255, images[-2000:].astype(np.float32))
    assert shared_rows(real.train.pools["audio"].items, real.test.pools["audio"].items) == 0
    assert set(real.test.index[:, 1]) == set(range(300))  # every test recording is heard


def test_steps_repeat_the_image_and_put_time_first(digits: data.AudioVisual) -> None:
    steps = digits.test.steps(np.array([3, 5]))
    assert list(steps) == ["image", "audio"]
    assert steps["image"].shape == (8, 2, 1, 8, 8) and steps["audio"].shape == (8, 2, 80)
    np.testing.assert_array_equal(steps["image"][7], digits.test.values("image", np.array([3, 5])))
    np.testing.assert_array_equal(steps["audio"][:, 1], digits.test.values("audio", np.array([5]))[0])


def test_a_setting_that_a_data_set_does_not_offer_is_refused() -> None:
    with pytest.raises(InputError, match="'av-digits' has no audio 'events'; it offers frames, picture"):
        data.load("av-digits", settings=data.Settings(audio="events"))


def test_av_digits_as_pictures() -> None:
    loaded = data.load("av-digits", settings=data.Settings(audio="picture"))
    check_arrays(loaded)
    assert (loaded.shapes, loaded.time) == ({"image": (1, 8, 8), "audio": (1, 8, 8)}, 4)
    larger = data.load("av-digits", settings=data.Settings(audio="picture", size=(16, 12), time=7))
    assert (larger.shapes, larger.time) == ({"image": (1, 16, 12), "audio": (1, 16, 12)}, 7)
    steps = loaded.test.steps(np.arange(3))["audio"]
    np.testing.assert_array_equal(steps[0], steps[3])


@needs_real
@pytest.mark.parametrize("kind", ["log-mel", pytest.param("log-stft", marks=pytest.mark.slow)])
def test_mnist_fsdd_as_pictures(real: data.AudioVisual, kind: str) -> None:
    loaded = data.load("mnist-fsdd", REAL, data.Settings(audio="picture", features=kind))
    check_arrays(loaded)
    assert (loaded.shapes, loaded.time) == ({"image": (1, 28, 28), "audio": (1, 28, 28)}, 4)
    np.testing.assert_array_equal(loaded.test.index, real.test.index)
    heard = loaded.train.pools["audio"].items
    assert abs(heard.mean(dtype=np.float64)) < 0.01 and 0.3 < heard.std() < 0.35, "three deviations of the training set on 1"
    assert shared_rows(heard, loaded.test.pools["audio"].items) == 0


@pytest.mark.parametrize("dtype", [np.int16, np.uint8])
@pytest.mark.parametrize("settings", [{}, {"audio": "picture"}, {"audio": "picture", "features": "log-stft"}])
def test_noise_that_nobody_hears_changes_nothing(settings: dict, dtype: type, tmp_path: Path) -> None:
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(3000) / 8000) * np.hanning(3000)
    wave, path = io.BytesIO(), tmp_path / "recordings.zip"
    wavfile.write(wave, 8000, (32767 * tone).astype(np.int16) if dtype == np.int16 else np.rint(128 + 127 * tone).astype(np.uint8))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("3_jo_0.wav", wave.getvalue())
    recipe = fsdd.sound_recipe(data.Settings(**settings), 12)
    clean, noisy = (fsdd.read_clips(path, snr, recipe=recipe)[0] for snr in (None, 150.0))
    assert np.abs(clean - noisy).max() < 0.05 * np.ptp(clean)


@needs_real
def test_mnist_fsdd_frames_are_what_they_were(real: data.AudioVisual) -> None:
    waves = list(readers.read_wavs(REAL / mnist_fsdd.RECORDINGS))
    clips = np.stack([features.stretch(features.log_mel(wave, rate, 24), 24) for _, rate, wave in waves])
    held = np.array([int(name.split("_")[2]) < 5 for name, *_ in waves])
    frames = features.with_context(features.measure(clips[~held])(clips), steps=12, context=6)
    np.testing.assert_array_equal(real.train.pools["audio"].items, frames[~held])
    np.testing.assert_array_equal(real.test.pools["audio"].items, frames[held])
    longer = data.load("mnist-fsdd", REAL, data.Settings(time=20))
    assert (longer.shapes["audio"], longer.time) == ((144,), 20)


@needs_real
def test_mnist_fsdd_has_no_frames_of_the_log_stft() -> None:
    with pytest.raises(InputError, match="has no features 'log-stft'; it offers log-mel"):
        data.load("mnist-fsdd", REAL, data.Settings(features="log-stft"))


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(InputError, match="unknown data set 'mnist'; there are av-digits, mnist-fsdd"):
        data.load("mnist")


def test_missing_real_data_shows_the_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(readers.ENVIRONMENT, str(tmp_path))
    with pytest.raises(InputError, match="(?s)t10k-images-idx3-ubyte.gz is missing.*DATA_DIR/fsdd/recordings.zip"):
        data.load("mnist-fsdd")
    monkeypatch.delenv(readers.ENVIRONMENT)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="missing"):
        data.load("mnist-fsdd")


@pytest.mark.parametrize("name", [mnist_fsdd.IMAGES, mnist_fsdd.LABELS, mnist_fsdd.RECORDINGS])
@needs_real
def test_a_truncated_file_is_named(tmp_path: Path, name: str) -> None:
    shutil.copytree(REAL / "mnist", tmp_path / "mnist")
    (tmp_path / "fsdd").mkdir()
    (tmp_path / mnist_fsdd.RECORDINGS).symlink_to((REAL / mnist_fsdd.RECORDINGS).resolve())
    raw = (REAL / name).read_bytes()
    (tmp_path / name).unlink()
    (tmp_path / name).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InputError, match=Path(name).name):
        data.load("mnist-fsdd", tmp_path)


IDX_DAMAGE = [b"", b"\0\0\x0d\1\0\0\0\1\0", b"\0\0\x08\1\0\0\0\5abc", b"\0\0\x08\3\0\0", b"text that is no IDX"]


@pytest.mark.parametrize("content", IDX_DAMAGE)
def test_idx_damage_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match="x.gz"):
        readers.read_idx(path)


def test_idx_that_is_not_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    for content in (b"", b"plain", gzip.compress(b"\0\0\x08\1\0\0\0\1a")[:-9] + b"123456789"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="x.gz"):
            readers.read_idx(path)


def write_zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.wav", content)
    return path


def wav(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    wavfile.write(buffer, 8000, np.ones(shape, np.int16))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "members, message",
    [
        ({"0_a_0": b"RIFF"}, "0_a_0.wav is not a readable wav"),
        ({"0_a_0": wav((10, 2))}, "must be a mono"),
        ({"0_a_0": wav((0,))}, "0_a_0.wav"),
        ({"hello": wav((100,))}, "hello.wav is not named"),
        ({}, "holds no .wav"),
    ],
)
def test_bad_recordings_are_named(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fsdd.read_clips(write_zip(tmp_path / "r.zip", **members))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\3\4 nor this"])
def test_a_damaged_embedded_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "av.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="av.npz: not the embedded data set"):
        av_digits.read(path)


def test_a_pickle_in_the_embedded_file_is_not_opened(tmp_path: Path) -> None:
    names = ("images", "image_labels", "clips", "clip_labels", "clip_voices")
    np.savez(tmp_path / "av.npz", **{name: np.array([{}], object) for name in names})
    with pytest.raises(InputError, match="allow_pickle=False"):
        av_digits.read(tmp_path / "av.npz")
