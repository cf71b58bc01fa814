"""esc10, cifar-esc, urbansound8k and nmnist-fsdd: folders and zip files alike, splits by recording, and damage that is named."""

from collections.abc import Callable
from pathlib import Path

import data_trees
import numpy as np
import pytest

from snnfuse import data
from snnfuse.data.events import bs2, to_frames
from snnfuse.data.folders import esc10
from snnfuse.data.folders.decode import watched
from snnfuse.data.pairs import draw_pairs
from snnfuse.hardware.errors import InputError

Settings = data.Settings


def apart(loaded: data.AudioVisual, name: str) -> bool:
    """Whether no item, and no group of items, is on both sides."""
    sides = [side.pools[name] for side in (loaded.train, loaded.test)]
    items = [{item.tobytes() for item in pool.items} for pool in sides]
    groups = [set() if pool.groups is None else {*pool.groups.tolist()} for pool in sides]
    return not items[0] & items[1] and not groups[0] & groups[1]


@pytest.mark.parametrize("packed", [False, True])
def test_esc10_has_sound_alone_and_five_folds(tmp_path: Path, packed: bool) -> None:
    data_trees.esc10(tmp_path / "tree")
    root = tmp_path / "tree"
    if packed:
        root = data_trees.zipped(root, tmp_path / "data/esc10/esc10.zip").parents[1]
    folds = [data.load("esc10", root, Settings(split=f"fold-{k}")) for k in (1, 4)]
    assert {(tuple(each.shapes), len(each.train), len(each.test), each.time) for each in folds} == {(("audio",), 80, 20, 10)}
    assert folds[0].shapes == {"audio": (266,)} and folds[0].classes[:2] == ("Dog bark", "Rain") and folds[0].recordings == ("audio",)
    assert all(apart(each, "audio") and (np.bincount(each.test.labels) == 2).all() for each in folds)
    assert data.load("esc10", root).settings.split == "fold-1"
    assert data.load("esc10", root, Settings(audio="picture")).shapes == {"audio": (1, 32, 64)}
    texture = data.load("esc10", root, Settings(features="mel-texture", time=5)).train.pools["audio"]
    whole = data.load("esc10", root, Settings(time=5)).train
    assert texture.items.shape == (80, 5, 192) and whole.pools["audio"].items.shape == (80, 266), "one for each step, one for all"
    steps = whole.steps(slice(3))["audio"]
    assert steps.shape == (5, 3, 266) and (steps == steps[0]).all() and np.abs(steps).max() <= 1
    with pytest.raises(InputError, match="no features 'mel-statistics'"):
        data.load("esc10", root, Settings(audio="picture", features="mel-statistics"))


def test_a_source_in_two_folds_and_foreign_names_are_refused(tmp_path: Path) -> None:
    data_trees.esc10(tmp_path)
    folder = tmp_path / esc10.FOLDERS[0]
    stray = data_trees.sound(folder / "bark.ogg", subtype=None)
    with pytest.raises(InputError, match="bark.ogg: not named <fold>-<source>-<take>"):
        data.load("esc10", tmp_path)
    stray.rename(folder / "2-10-C.ogg")
    with pytest.raises(InputError, match="recording 10 lies in two folds"):
        data.load("esc10", tmp_path)
    (folder / "2-10-C.ogg").unlink()
    for path in (tmp_path / esc10.FOLDERS[3]).iterdir():
        path.unlink()
    with pytest.raises(InputError, match="004 - Baby cry is missing"):
        data.load("esc10", tmp_path)
    with pytest.raises(InputError, match="holds no esc10.zip"):
        data.load("esc10", tmp_path / "nowhere")


@pytest.mark.parametrize("cut", [lambda raw: raw[:-40], lambda raw: raw[: raw.rindex(b"OggS")], lambda raw: raw[:300] + b"x" + raw[300:]])
def test_an_ogg_file_that_is_cut_short_is_named(tmp_path: Path, cut: Callable[[bytes], bytes]) -> None:
    data_trees.esc10(tmp_path)
    path = tmp_path / esc10.FOLDERS[2] / "1-2010-A.ogg"
    path.write_bytes(cut(path.read_bytes()))
    with pytest.raises(InputError, match="1-2010-A.ogg"):
        data.load("esc10", tmp_path)


def test_cifar_esc_pairs_what_is_the_same_thing(tmp_path: Path) -> None:
    data_trees.esc10(tmp_path / "esc10")
    for side, each in (("train", 4), ("test", 2)):
        for label, name in enumerate(("airplane", "bird", "cat", "dog", "ship")):
            for i in range(each):
                data_trees.image(tmp_path / "cifar10" / side / name / f"{i}.png", 100 * (side == "test") + 10 * label + i)
    loaded = data.load("cifar-esc", tmp_path, Settings(split="fold-3", audio="picture"))
    assert loaded.classes == ("dog", "bird", "ship", "airplane") and (len(loaded.train), len(loaded.test)) == (16, 8)
    assert loaded.shapes == {"image": (3, 32, 32), "audio": (1, 32, 32)} and apart(loaded, "image") and apart(loaded, "audio")
    sources = loaded.test.pools["audio"].groups
    assert {int(source) for source in sources} == {30, 8030, 2030, 6030}, "dog bark, rooster, sea waves, helicopter of fold 3"
    data_trees.zipped(tmp_path / "cifar10", tmp_path / "cifar10/images.zip")
    again = data.load("cifar-esc", tmp_path, Settings(split="fold-3", audio="picture"))
    np.testing.assert_array_equal(again.train.pools["image"].items, loaded.train.pools["image"].items)


def test_urbansound8k_is_split_by_its_own_folds(tmp_path: Path) -> None:
    root = data_trees.urbansound8k(tmp_path)
    for fold in (1, 10):
        loaded = data.load("urbansound8k", root, Settings(split=f"fold-{fold}"))
        assert (len(loaded.train), len(loaded.test), loaded.shapes) == (180, 20, {"audio": (266,)})
        assert {*loaded.test.pools["audio"].groups // 100} == {fold} and apart(loaded, "audio")
    assert loaded.classes[3] == "dog_bark"
    folder = root / "UrbanSound8K/audio/fold2"
    data_trees.sound(folder / "100-0-0-7.wav")
    with pytest.raises(InputError, match="recording 100 lies in two folds"):
        data.load("urbansound8k", root)
    (folder / "100-0-0-7.wav").rename(folder / "100-11-0-7.wav")
    with pytest.raises(InputError, match="100-11-0-7.wav: not named fold<1 to 10>"):
        data.load("urbansound8k", root)


@pytest.mark.parametrize("audio, shapes", [(None, ((2, 34, 34), (144,))), ("picture", ((2, 28, 28), (1, 28, 28))),
                                           ("events", ((2, 28, 28), (1, 28, 28)))])  # fmt: skip
def test_nmnist_fsdd_joins_real_events_and_speech(tmp_path: Path, audio: str | None, shapes: tuple) -> None:
    root = data_trees.nmnist_fsdd(tmp_path)
    loaded = data.load("nmnist-fsdd", root, Settings(audio=audio))
    assert (tuple(loaded.shapes.values()), len(loaded.train), len(loaded.test)) == (shapes, 90, 200)
    assert all(apart(loaded, name) for name in loaded.shapes)
    rows = np.frombuffer((root / "nmnist/60001.bs2").read_bytes(), np.uint8).reshape(-1, 5)
    assert loaded.test.pools["image"].items[0].sum() == len(rows) == 50, "every event is counted once"


def test_nmnist_is_read_from_its_zip_file_too(tmp_path: Path) -> None:
    one = data.load("nmnist-fsdd", data_trees.nmnist_fsdd(tmp_path))
    data_trees.zipped(tmp_path / "nmnist", tmp_path / "nmnist/nmnist.zip")
    other = data.load("nmnist-fsdd", tmp_path)
    np.testing.assert_array_equal(one.train.pools["image"].items, other.train.pools["image"].items)


def test_bs2_is_read_as_published() -> None:
    events = np.array([[0, 33, 1, 5], [33, 0, 0, 70_000], [1, 2, 1, (1 << 23) - 1]])
    found = bs2.decode_bs2(data_trees.bs2(events), "file")
    np.testing.assert_array_equal(np.stack([found.x, found.y, found.p, found.t], 1), events)
    frames = to_frames(found, 2, (34, 34))
    assert frames[0, 1, 33, 0] == frames[0, 0, 0, 33] == frames[1, 1, 2, 1] == 1


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("7.bs2", b"\0" * 7, "7.bs2: ends within event 1"),
        ("7.bs2", b"", "7.bs2: holds no events"),
        ("7.bs2", bytes([40, 0, 0, 0, 1]), "event 0 has x = 40"),
        ("7.bs2", bytes([0, 0, 0, 0, 9, 0, 0, 0, 0, 1]), "time runs backwards at event 1"),
        ("test100.txt", b"60001\t10\n", "line 1 is '60001.t10'"),
        ("test100.txt", b"5\t1\n5\t1\n", "lists a recording twice"),
        ("test100.txt", b"# nothing\n", "lists no recording"),
        ("test100.txt", b"77777\t1\n", "77777.bs2, which test100.txt lists, is missing"),
    ],
)
def test_damage_in_nmnist_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    root = data_trees.nmnist_fsdd(tmp_path)
    (root / "nmnist" / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        data.load("nmnist-fsdd", root)


def test_items_in_several_rounds_meet_others_each_time() -> None:
    labels = np.repeat([0, 1], [7, 5])
    pools = {
        "image": data.Pool(np.zeros((12, 1), np.float32), labels),
        "audio": data.Pool(np.zeros((24, 1), np.float32), np.tile([0, 1], 12)),
    }
    index = draw_pairs(pools, 0, rounds=9)
    assert len(index) == 108 and len({tuple(row) for row in index}) == 108, "no pair twice"
    uses = np.bincount(index[:, 1], minlength=24)
    assert {*uses[::2]} <= {5, 6} and {*uses[1::2]} <= {3, 4}, "every sound equally often"
    pairs = data.make_pairs(pools, 1, 0, rounds=3)
    assert len(data.redraw(pairs, 1)) == 36 and sum(map(len, data.hold_out(pairs, 0.2, 0))) == 36


def test_what_is_decoded_shows_its_number(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert list(watched("recordings", iter(range(3)), 3, many=2)) == [0, 1, 2]


@pytest.mark.slow
def test_the_real_sets_are_as_their_pages_say(shared_data: Path) -> None:
    loaded = data.load("esc10", shared_data)
    assert (len(loaded.train), len(loaded.test)) == (320, 80) and (np.bincount(loaded.test.labels) == 8).all()
    loaded = data.load("cifar-esc", shared_data)
    assert (len(loaded.train), len(loaded.test), len(loaded.test.pools["audio"])) == (4000, 800, 32)
    loaded = data.load("nmnist-fsdd", shared_data)
    assert (len(loaded.train), len(loaded.test)) == (3000, 2000)
    assert [len(loaded.test.pools[name]) for name in ("image", "audio")] == [100, 300]
    assert len({tuple(row) for row in loaded.test.index}) == 2000
