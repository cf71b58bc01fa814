"""mnistdvs-ntidigits on small trees in the released formats: what is read, how it is split, and what is refused by name."""

import shutil
from pathlib import Path

import event_files
import h5py
import numpy as np
import pytest

from snnfuse import data
from snnfuse.data import Settings
from snnfuse.data.events import aedat, mnist_dvs, ntidigits, to_frames, to_strips
from snnfuse.data.events.mnistdvs_ntidigits import IMAGES, NAME, SOUNDS
from snnfuse.hardware.errors import InputError, UnsafeFileError

SYMBOLS = 12
TRAIN, TEST = event_files.spoken(("man-ae", "woman-bd", "man-cc")), event_files.spoken(("woman-xx",), seed=1)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("events")
    event_files.write_mnist_dvs(folder / IMAGES, SYMBOLS)
    event_files.write_ntidigits(folder / SOUNDS, train=TRAIN, test=TEST)
    return folder


@pytest.fixture(scope="module")
def loaded(tree: Path) -> data.AudioVisual:
    return data.load(NAME, tree)


def test_shapes_and_sides_are_as_declared(loaded: data.AudioVisual) -> None:
    assert loaded.shapes == {"image": (2, 28, 28), "audio": (1, 28, 28)} and loaded.time == 16
    assert (len(loaded.train), len(loaded.test)) == (110, 10)
    for side, recordings in ((loaded.train, 33), (loaded.test, 11)):
        assert set(side.labels) == set(range(10)) and len(side.pools["audio"]) == recordings
        assert all(pool.timed and pool.items.dtype == np.uint8 for pool in side.pools.values())
        assert {int(pool.items.sum(axis=(1, 2, 3, 4)).min()) for pool in side.pools.values()} == {60, 200}  # all events of every item


def test_items_are_the_files(tree: Path, loaded: data.AudioVisual) -> None:
    symbols = mnist_dvs.find_symbols(tree / IMAGES, (16,))
    expected = {to_frames(aedat.read_aedat(symbol.path), 16, (28, 28)).tobytes(): symbol.digit for symbol in symbols}
    pools = [side.pools["image"] for side in (loaded.train, loaded.test)]
    found = {item.tobytes(): label for pool in pools for item, label in zip(pool.items, pool.labels)}
    assert found == expected and len(found) == 10 * SYMBOLS


def test_oh_and_zero_are_both_zero_and_sequences_are_left_out(loaded: data.AudioVisual) -> None:
    np.testing.assert_array_equal(np.bincount(loaded.test.pools["audio"].labels), [2] + [1] * 9)


def test_the_test_set_does_not_depend_on_the_seed(tree: Path, loaded: data.AudioVisual) -> None:
    other = data.load(NAME, tree, Settings(seed=5))
    for name in loaded.shapes:
        np.testing.assert_array_equal(loaded.test.pools[name].items, other.test.pools[name].items)
    assert (loaded.train.index != other.train.index).any()


def test_of_a_symbol_all_scales_are_on_one_side(tmp_path: Path) -> None:
    event_files.write_mnist_dvs(tmp_path / IMAGES, 10, scales=(4, 8, 16), events=20)
    event_files.write_ntidigits(tmp_path / SOUNDS, train=TRAIN, test=TEST)
    every = data.load(NAME, tmp_path, Settings(split="all", time=2))
    assert (len(every.train), len(every.test)) == (270, 30)
    seen = [set(side.pools["image"].groups) for side in (every.train, every.test)]
    assert (len(seen[0]), len(seen[1]), len(seen[0] & seen[1])) == (90, 10, 0)
    assert len(data.load(NAME, tmp_path, Settings(split="scale4", time=2)).train) == 90


def test_validation_keeps_speakers_whole(loaded: data.AudioVisual) -> None:
    kept, held = data.hold_out(loaded.train, 0.3, seed=2)
    heard = [set(side.pools["audio"].groups) for side in (kept, held)]
    assert heard[0] and heard[1] and not heard[0] & heard[1]


def test_rate_is_one_where_there_was_an_event(tree: Path, loaded: data.AudioVisual) -> None:
    spikes = data.load(NAME, tree, Settings(encoder="rate")).test.steps(slice(0, 6))
    for name, counts in loaded.test.steps(slice(0, 6)).items():
        np.testing.assert_array_equal(spikes[name], (counts > 0).astype(np.float32))


def test_time_and_size_are_free(tree: Path) -> None:
    small = data.load(NAME, tree, Settings(time=5, size=(16, 12)))
    assert small.shapes == {"image": (2, 16, 12), "audio": (1, 16, 12)} and small.time == 5
    with pytest.raises(InputError, match="height 65 is larger than the sensor's 64"):
        data.load(NAME, tree, Settings(size=(65, 12)))
    with pytest.raises(InputError, match="has no audio 'picture'; it offers events"):
        data.load(NAME, tree, Settings(audio="picture"))


def test_a_missing_tree_is_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mnist-dvs is missing; expected .*grabbed_data<digit>/scale.*n-tidigits.hdf5"):
        data.load(NAME, tmp_path)
    event_files.write_mnist_dvs(tmp_path / IMAGES, 2)
    with pytest.raises(InputError, match="n-tidigits.hdf5 is missing"):
        data.load(NAME, tmp_path)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("mnist_3_scale16_0001", "mnist_4_scale16_0009", "its name says digit 4 at scale 16, its folders say digit 3 at scale 16"),
        ("mnist_3_scale16_0001", "mnist_3_scale08_0001", "its name says digit 3 at scale 8, its folders say digit 3 at scale 16"),
        ("mnist_3_scale16_0001", "three", "three.aedat: is not named mnist_<digit>_scale"),
    ],
)
def test_names_that_contradict_their_folders_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    event_files.write_mnist_dvs(tmp_path, 2)
    path = tmp_path / f"grabbed_data3/scale16/{old}.aedat"
    path.rename(path.with_stem(new))
    with pytest.raises(InputError, match=message):
        mnist_dvs.find_symbols(tmp_path, (16,))


def test_a_digit_without_recordings_is_named(tmp_path: Path) -> None:
    event_files.write_mnist_dvs(tmp_path, 1)
    shutil.rmtree(tmp_path / "grabbed_data7")
    with pytest.raises(InputError, match="grabbed_data7/scale16: holds no .aedat file"):
        mnist_dvs.find_symbols(tmp_path, (16,))


ONE = {"man-ae-a-1": (np.array([3, 63]), np.array([0.5, 0.5]))}


def with_label(label: str) -> dict:
    return {label: ONE["man-ae-a-1"]}


def with_events(channels: list, seconds: list) -> dict:
    return {"man-ae-a-1": (np.array(channels), np.array(seconds))}


@pytest.mark.parametrize(
    "content, message",
    [
        (with_label("man-ae-a-x"), r"/test_labels\[0\] is 'man-ae-a-x', not gender-speaker-take-digits"),
        (with_label("1"), r"/test_labels\[0\] is '1'"),
        (with_events([3, 64], [0, 1.0]), "test recording man-ae-a-1: event 1 has y = 64, outside 0..63"),
        (with_events([3, -1], [0, 1.0]), "event 1 has y = -1, outside 0..63"),
        (with_events([3, 0.5], [0, 1.0]), "has an address that is no channel"),
        (with_events([3, np.nan], [0, 1.0]), "has an address that is no channel"),
        (with_events([3], [0, 1.0]), "has 1 addresses and 2 timestamps"),
        (with_events([3, 4], [1.0, 0.5]), "time runs backwards at event 1, from 1000000 to 500000 us"),
        (with_events([3, 4], [1.0, np.inf]), "has a timestamp that is no number of seconds"),
        (with_events([], []), "holds no events"),
        (with_events([[3, 4]], [[1.0, 2.0]]), "its addresses are not a list of numbers"),
    ],
)
def test_damaged_recordings_are_refused_by_name(tmp_path: Path, content: dict, message: str) -> None:
    path = event_files.write_ntidigits(tmp_path / "n.hdf5", test=content)
    with pytest.raises((InputError, UnsafeFileError), match=f"n.hdf5.*{message}"):
        ntidigits.read_ntidigits(path, "test")


def changed(file: h5py.File, what: str) -> None:
    if what == "twice":
        del file["test_labels"]
        file["test_labels"] = np.array([b"man-ae-a-1"] * 2)
    elif what == "flat":
        del file["test_addresses"]
        file["test_addresses"] = np.zeros(4)
    elif what == "endless":
        del file["test_timestamps/man-ae-a-1"]
        file.create_dataset("test_timestamps/man-ae-a-1", shape=(10**13,), chunks=(1024,), dtype="f4")
    elif what == "scalar":
        del file["test_labels"]
        file["test_labels"] = b"man-ae-a-1"
    else:
        del file[what]


@pytest.mark.parametrize(
    "change, message",
    [
        ("test_labels", "'test_labels' is missing or no dataset; N-TIDIGITS18 holds test_labels, test_addresses, test_timestamps"),
        ("test_timestamps", "'test_timestamps' is missing or no group"),
        ("flat", "'test_addresses' is missing or no group"),
        ("test_timestamps/man-ae-a-1", "recording 'man-ae-a-1' is in test_labels but not in both test_labels and /test_timestamps"),
        ("twice", "lists 'man-ae-a-1' twice"),
        ("endless", "asks for 37253GiB of memory for one array, and the limit is 512MiB"),
        ("scalar", "it must list the recordings"),
    ],
)
def test_a_file_that_lacks_a_part_is_refused(tmp_path: Path, change: str, message: str) -> None:
    path = event_files.write_ntidigits(tmp_path / "n.hdf5", test=ONE)
    assert [(one.digit, one.speaker, len(one.events)) for one in ntidigits.read_ntidigits(path, "test")] == [(1, "man-ae", 2)]
    with h5py.File(path, "a") as file:
        changed(file, change)
    with pytest.raises((InputError, UnsafeFileError), match=f"n.hdf5.*{message}"):
        ntidigits.read_ntidigits(path, "test")


def test_content_without_a_label_is_refused(tmp_path: Path) -> None:
    path = event_files.write_ntidigits(tmp_path / "n.hdf5", test=ONE)
    with h5py.File(path, "a") as file:
        file["test_addresses/man-zz-a-4"] = np.zeros(3)
    with pytest.raises(InputError, match="recording 'man-zz-a-4' is in /test_addresses but not in both"):
        ntidigits.read_ntidigits(path, "test")


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"no HDF5 at all"])
def test_a_file_that_is_no_hdf5_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "n.hdf5"
    path.write_bytes(content)
    with pytest.raises(InputError, match="n.hdf5: (no readable HDF5 file|it is empty|is cut off)"):
        ntidigits.read_ntidigits(path, "train")


def test_damage_of_any_kind_is_an_input_error_of_one_line_that_names_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = event_files.write_ntidigits(tmp_path / "n.hdf5", test=event_files.spoken(("man-ae",), digits="12z", events=8))
    raw, refused = path.read_bytes(), 0
    for _ in range(300):
        path.write_bytes(event_files.damaged(rng, raw))
        try:
            for recording in ntidigits.read_ntidigits(path, "test"):
                to_strips(recording.events, 16, (28, 28))
        except (InputError, UnsafeFileError) as error:
            assert "n.hdf5" in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 150  # HDF5 has no checksums here: the rest changed what is not looked at, or an event into another
