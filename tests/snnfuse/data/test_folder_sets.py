"""Data sets from folders: shapes, values, names that pair, and splits that share nothing and follow no directory order."""

import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import data_trees
import numpy as np
import pytest
from PIL import Image

from snnfuse import data
from snnfuse.data.folders import cifar10, entries, urbansound8k_av
from snnfuse.data.folders.build import Kind
from snnfuse.data.folders.splits import per_class
from snnfuse.hardware.errors import DataWarning, InputError, UnsafeFileError

Settings = data.Settings


def stored(side: data.Pairs, name: str) -> set[bytes]:
    return {item.tobytes() for item in side.pools[name].items}


def check(loaded: data.AudioVisual, train: int, test: int) -> None:
    """Sizes, and that both sides share nothing, that pairs are those of the files, and that the values are in range."""
    assert (len(loaded.train), len(loaded.test)) == (train, test)
    for name in loaded.shapes:
        assert not stored(loaded.train, name) & stored(loaded.test, name)
        values = loaded.train.values(name)
        assert values.dtype == np.float32 and -1 <= values.min() and values.max() <= 1
    for side in (loaded.train, loaded.test):
        assert side.is_fixed and (side.index == np.arange(len(side))[:, None]).all()


@pytest.mark.parametrize("audio, shape, time", [(None, (240,), 12), ("frames", (240,), 12), ("picture", (1, 32, 32), 4)])
def test_cifar10_av(tmp_path: Path, audio: str | None, shape: tuple[int, ...], time: int) -> None:
    loaded = data.load("cifar10-av", data_trees.cifar10_av(tmp_path), Settings(audio=audio))
    check(loaded, 14, 6)
    assert (loaded.shapes, loaded.time, loaded.classes) == ({"image": (3, 32, 32), "audio": shape}, time, ("cat", "dog"))
    assert (np.bincount(loaded.train.labels) == 7).all() and (np.bincount(loaded.test.labels) == 3).all()
    assert loaded.settings.split == "70-30"
    steps = loaded.train.steps(np.arange(2))
    assert steps["image"].shape == (time, 2, 3, 32, 32) and steps["audio"].shape == (time, 2, *shape)
    assert loaded.train.pools["image"].items.dtype == np.uint8


def test_the_published_numbers_per_class_come_out() -> None:
    training = per_class(np.zeros(6000, np.int64), 0.7)
    assert training.sum() == 4200 and not (training[:100].all() or training[-100:].all()), "shuffled"


def test_images_are_those_of_the_files(tmp_path: Path) -> None:
    loaded = data.load("cifar10-av", data_trees.cifar10_av(tmp_path, each=4))
    read = {np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes() for path in tmp_path.glob("vision/*/*.jpg")}
    assert stored(loaded.train, "image") | stored(loaded.test, "image") == read


def test_a_split_follows_names_and_not_the_order_of_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_trees.cifar10_av(tmp_path)
    one = data.load("cifar10-av", tmp_path)
    listing = entries._scan
    monkeypatch.setattr(entries, "_scan", lambda folder: listing(folder)[::-1])
    other = data.load("cifar10-av", tmp_path, Settings(seed=5))
    for name in ("image", "audio"):
        np.testing.assert_array_equal(other.test.pools[name].items, one.test.pools[name].items)


def test_sound_is_normalised_with_training_recordings(tmp_path: Path) -> None:
    data_trees.cifar10_av(tmp_path, each=20)
    for kind in ("log-mel", "log-stft"):
        loaded = data.load("cifar10-av", tmp_path, Settings(audio="picture", features=kind))
        heard = loaded.train.values("audio").astype(np.float64)
        assert abs(heard.mean()) < 0.01 and 0.25 < heard.std() < 0.34
        assert loaded.train.pools["audio"].items.dtype == np.int16


@pytest.mark.parametrize("audio", ["frames", "picture"])
def test_test_recordings_have_no_part_in_the_constants(tmp_path: Path, audio: str) -> None:
    data_trees.cifar10_av(tmp_path)
    one = data.load("cifar10-av", tmp_path, Settings(audio=audio))
    training = per_class(np.repeat([0, 1], 10), 0.7)
    for path in np.array(sorted(tmp_path.rglob("*.wav")))[~training]:
        data_trees.sound(path, seed=len(path.name), samples=6000, channels=1, rate=22050)
    other = data.load("cifar10-av", tmp_path, Settings(audio=audio))
    np.testing.assert_array_equal(other.train.pools["audio"].items, one.train.pools["audio"].items)
    assert (other.test.pools["audio"].items != one.test.pools["audio"].items).any()


def test_noise_is_on_the_waveform(tmp_path: Path) -> None:
    data_trees.cifar10_av(tmp_path)
    clean, noisy, again, other = (
        data.load("cifar10-av", tmp_path, Settings(snr_db=snr, seed=seed)).test.values("audio")
        for snr, seed in ((None, 0), (0.0, 0), (0.0, 0), (0.0, 1))
    )
    np.testing.assert_array_equal(noisy, again)
    assert np.abs(noisy - clean).mean() > 0.1 and (noisy != other).any()
    assert data.load("cifar10-av", tmp_path).recordings == ("audio",), "a report gives noise to waveforms, too"


@pytest.mark.parametrize("table", [False, True])
def test_urbansound8k_av_keeps_recordings_whole(tmp_path: Path, table: bool) -> None:
    loaded = data.load("urbansound8k-av", data_trees.urbansound8k_av(tmp_path, table=table))
    check(loaded, 42, 18)
    sources = [set(side.pools["audio"].groups) for side in (loaded.train, loaded.test)]
    assert len(sources[0]) == 14 and len(sources[1]) == 6 and not sources[0] & sources[1]
    assert loaded.classes == ("dog_bark", "siren") and loaded.settings.split == "folds"
    if table:
        assert {source % 10 + 1 for source in sources[1]} == {8, 9, 10}
    kept, held = data.hold_out(loaded.train, 0.2, seed=0)
    groups = [set(side.pools["audio"].groups[side.index[:, 1]]) for side in (kept, held)]
    assert not groups[0] & groups[1]


def test_urbansound8k_av_as_published_splits_recordings(tmp_path: Path) -> None:
    loaded = data.load("urbansound8k-av", data_trees.urbansound8k_av(tmp_path), Settings(split="70-30", audio="picture"))
    check(loaded, 42, 18)
    assert loaded.shapes == {"image": (3, 128, 128), "audio": (1, 128, 128)} and loaded.train.pools["audio"].groups is None


def test_one_official_fold(tmp_path: Path) -> None:
    data_trees.urbansound8k_av(tmp_path, table=True)
    loaded = data.load("urbansound8k-av", tmp_path, Settings(split="fold-3", size=(16, 16)))
    check(loaded, 54, 6)
    assert {source % 10 + 1 for source in loaded.test.pools["image"].groups} == {3}


def edit_table(find: str, put: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        path = root / urbansound8k_av.TABLES[0]
        path.write_text(path.read_text().replace(find, put))

    return edit


@pytest.mark.parametrize(
    "damage, split, message",
    [
        (lambda root: shutil.rmtree(root / "metadata"), "fold-3", "split 'fold-3' needs UrbanSound8K's table"),
        (edit_table("1000-0-0-1.wav,1000,0,1,1,1", "1000-0-0-1.wav,1000,0,1,1,9"), "folds", "recording 1000 lies in a test fold and"),
        (edit_table("1000-0-0-1.wav", "x.wav"), "folds", "has no row for .*1000-0-0-1.wav"),
        (edit_table("fold,", "folder,"), "folds", "not UrbanSound8K's table"),
        (edit_table(",1,0,dog_bark", ",one,0,dog_bark"), "folds", "not UrbanSound8K's table"),
    ],
)  # fmt: skip
def test_a_table_that_is_missing_or_wrong_is_refused(tmp_path: Path, damage: Callable, split: str, message: str) -> None:
    damage(data_trees.urbansound8k_av(tmp_path, table=True))
    with pytest.raises(InputError, match=message):
        data.load("urbansound8k-av", tmp_path, Settings(split=split))


def test_a_sound_of_unknown_recording_needs_the_published_split(tmp_path: Path) -> None:
    data_trees.urbansound8k_av(tmp_path)
    data_trees.image(tmp_path / "Dataset_v3_vision/siren/mine.jpg")
    data_trees.sound(tmp_path / "Dataset_v3_sound/siren/mine.wav")
    with pytest.raises(InputError, match='mine.wav: not named .*take split "70-30"'):
        data.load("urbansound8k-av", tmp_path)
    assert len(data.load("urbansound8k-av", tmp_path, Settings(split="70-30", size=(8, 8))).train) == 43


def test_crema_d_as_its_folders_split_it(tmp_path: Path) -> None:
    loaded = data.load("crema-d", data_trees.crema_d(tmp_path), Settings(audio="picture", features="log-stft"))
    check(loaded, 48, 12)
    assert loaded.classes == data_trees.EMOTIONS and loaded.speech == "recorded" and loaded.settings.split == "published"
    assert (loaded.shapes, loaded.time) == ({"image": (3, 128, 128), "audio": (1, 128, 128)}, 4)
    assert (np.bincount(loaded.test.labels) == 2).all()


def test_crema_d_by_speakers_shares_no_actor(tmp_path: Path) -> None:
    loaded = data.load("crema-d", data_trees.crema_d(tmp_path), Settings(split="speakers", size=(16, 16)))
    check(loaded, 54, 6)
    actors = [set(side.pools["image"].groups) for side in (loaded.train, loaded.test)]
    assert not actors[0] & actors[1] and len(actors[1]) == 1
    kept, held = data.hold_out(loaded.train, 0.2, seed=0)
    groups = [set(side.pools["image"].groups[side.index[:, 0]]) for side in (kept, held)]
    assert not groups[0] & groups[1]


def test_a_clip_on_both_sides_is_refused(tmp_path: Path) -> None:
    root = data_trees.crema_d(tmp_path) / "processed_dataset"
    for kind, suffix in (("visual", "jpg"), ("audio", "wav")):
        (path,) = (root / "test" / kind / "SAD").glob(f"1006*.{suffix}")
        shutil.copy(path, root / "train" / kind / "SAD")
    with pytest.raises(InputError, match="test.*1006_DFA_SAD_XX.jpg: the same clip trains"):
        data.load("crema-d", tmp_path)


@pytest.mark.parametrize("tree", [data_trees.cifar10_folders, data_trees.cifar10_zip])
def test_cifar10_from_images(tmp_path: Path, tree: Callable[[Path], Path]) -> None:
    loaded = data.load("cifar10", tree(tmp_path))
    check(loaded, 8, 4)
    assert (loaded.shapes, loaded.time, loaded.classes) == ({"image": (3, 32, 32)}, 4, ("airplane", "frog"))
    (first,) = tmp_path.rglob("train/airplane/0000.png")
    np.testing.assert_array_equal(loaded.train.pools["image"].items[0], np.asarray(Image.open(first)).transpose(2, 0, 1))


def test_cifar10_from_the_binary_version(tmp_path: Path) -> None:
    loaded = data.load("cifar10", data_trees.cifar10_binary(tmp_path))
    check(loaded, 100, 20)
    assert loaded.classes == cifar10.CLASSES and loaded.shapes == {"image": (3, 32, 32)}
    raw = np.frombuffer((tmp_path / "cifar-10-batches-bin/data_batch_2.bin").read_bytes(), np.uint8).reshape(20, 3073)
    assert loaded.train.pools["image"].items[23, 2, 5, 7] == raw[3, 1 + 2 * 1024 + 5 * 32 + 7]
    assert loaded.train.labels[23] == raw[3, 0]


def test_the_sample_of_cifar10(shared_data: Path) -> None:
    loaded = data.load("cifar10", shared_data, Settings(time=2, encoder="latency"))
    assert (len(loaded.train), len(loaded.test), loaded.classes) == (10000, 2000, cifar10.CLASSES)
    assert set(np.unique(loaded.test.steps(np.arange(50))["image"])) == {0, 1}


def test_the_pickles_of_cifar10_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py/data_batch_1").write_bytes(b"cos\nsystem\n(S'touch " + os.fsencode(tmp_path / "opened") + b"'\ntR.")
    with pytest.raises(UnsafeFileError, match="pickles.*take the binary version"):
        data.load("cifar10", tmp_path)
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    "name, tree, lost",
    [("cifar10", data_trees.cifar10_folders, "test"), ("urbansound8k-av", data_trees.urbansound8k_av, "Dataset_v3_sound"),
     ("crema-d", data_trees.crema_d, "processed_dataset/test/audio")],
)  # fmt: skip
def test_half_a_data_set_gives_its_page_and_tree(name: str, tree: Callable[[Path], Path], lost: str, tmp_path: Path) -> None:
    shutil.rmtree(tree(tmp_path) / lost)
    with pytest.raises(InputError, match=rf"{name}: the folder .*{lost} is missing; expected DATA_DIR/.* page is https://"):
        data.load(name, tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "cifar10-av", "urbansound8k-av", "crema-d"])
def test_a_missing_data_set_gives_its_page_and_tree(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{name}: .* holds no .*; expected DATA_DIR/.*; the data set's page is https://"):
        data.load(name, tmp_path)


def test_a_folder_of_its_own_name_is_found(tmp_path: Path) -> None:
    data_trees.cifar10_av(tmp_path / "cifar10-av", each=4)
    assert len(data.load("cifar10-av", tmp_path).train) == 6


@pytest.mark.parametrize(
    "settings, message",
    [
        (Settings(split="folds"), "has no split 'folds'; it offers 70-30"),
        (Settings(audio="events"), "has no audio 'events'; it offers frames, picture"),
        (Settings(features="log-stft"), "has no features 'log-stft'; it offers log-mel"),
    ],
)
def test_settings_that_are_not_offered(settings: data.Settings, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        data.load("cifar10-av", tmp_path, settings)


def test_one_sample_per_class_leaves_nothing_to_test_on(tmp_path: Path) -> None:
    data_trees.cifar10_av(tmp_path, each=1)
    with pytest.raises(InputError, match="cifar10-av: 2 samples leave one side of the split empty"):
        data.load("cifar10-av", tmp_path)


def test_a_class_without_test_samples_is_told(tmp_path: Path) -> None:
    data_trees.cifar10_av(tmp_path)
    for number in range(1, 10):
        for path in (tmp_path / f"vision/cat/cat_{number}.jpg", tmp_path / f"audio/cat/cat_{number}.wav"):
            path.unlink()
    with pytest.warns(DataWarning, match="cifar10-av: the test set holds nothing of cat"):
        assert set(data.load("cifar10-av", tmp_path).test.labels) == {1}


def test_names_of_any_bytes_and_spelling_are_read(tmp_path: Path) -> None:
    data_trees.cifar10_av(tmp_path)
    for folder, suffix, form in (("vision", ".jpg", "NFC"), ("audio", ".wav", "NFD")):
        place = tmp_path / folder / "cat"
        os.rename(place / f"cat_0{suffix}", place / f"{unicodedata.normalize(form, 'é')}{suffix}")
        os.rename(place / f"cat_1{suffix}", os.fsencode(place) + b"/c\xff" + suffix.encode())
    check(data.load("cifar10-av", tmp_path, Settings(snr_db=0.0)), 14, 6)


def test_a_kind_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Kind("x", (4, 4), ("one",), "source", "https://example.org", "DATA_DIR/a")
    monkeypatch.setenv("SNNFUSE_DATA", str(tmp_path))
    with pytest.raises(InputError, match=f"x: {tmp_path} holds no a and no b; expected DATA_DIR/a, where DATA_DIR is --data-dir"):
        kind.root(None, "a", "b")
    (tmp_path / "b").touch()
    assert kind.root(None, "a", "b") == tmp_path
