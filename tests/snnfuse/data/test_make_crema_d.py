"""CREMA-D's folders out of its original release, with a stand-in for ffmpeg that knows how many frames a video has."""

import sys
from collections.abc import Callable
from pathlib import Path

import data_trees
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from snnfuse import data
from snnfuse.data import make_crema_d
from snnfuse.hardware.errors import DataWarning, EnvironmentProblem, InputError


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", data_trees.fake_ffmpeg(tmp_path / "bin", sys.executable))
    return data_trees.original_crema_d(tmp_path / "original", actors=4)


def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames without a process for each video: their number's worth of them."""

    def frames_of(video, folder: Path) -> list[Path]:
        try:
            number = int(video.read())
        except ValueError as error:
            raise InputError(f"{video}: ffmpeg cannot decode it") from error
        for i in range(1, number + 1):
            Image.new("RGB", (48, 36), (80 * i, 0, 0)).save(folder / f"{i:06}.jpg")
        return sorted(folder.glob("*.jpg"))

    monkeypatch.setattr(make_crema_d, "frames_of", frames_of)


def frames(root: Path) -> dict[str, int]:
    """Which frame each clip got, 1 to 3."""
    return {path.stem: round(np.asarray(Image.open(path))[0, 0, 0] / 80) for path in root.rglob("*.jpg")}


def test_the_folders_are_those_that_crema_d_reads(original: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(make_crema_d.main, [str(original), str(tmp_path / "made")])
    assert result.exit_code == 0, result.output
    assert "24 clips to train on, 0 to test on" in result.output  # a tenth of four is none
    assert set(frames(tmp_path / "made").values()) == {1, 2, 3}
    for path in (original / "AudioWAV").iterdir():
        (copy,) = (tmp_path / "made").rglob(path.name)
        assert copy.read_bytes() == path.read_bytes() and copy.parent.name == path.name.split("_")[2]


def test_frames_and_split_follow_the_seed(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_process(monkeypatch)
    data_trees.original_crema_d(original, actors=10)
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        assert make_crema_d.make(original, tmp_path / name, seed=seed) == {"train": 54, "test": 6}
    made = (tmp_path / name for name in ("one", "again", "other"))
    one, again, other = ({path.relative_to(root) for path in root.rglob("*.jpg")} for root in made)
    assert one == again != other
    assert frames(tmp_path / "one") == frames(tmp_path / "again") != frames(tmp_path / "other")
    with pytest.warns(DataWarning, match="6 of 6 test items of image equal a training item"):  # three frames are all that there are
        loaded = data.load("crema-d", tmp_path / "one", data.Settings(size=(16, 16)))
    assert (len(loaded.train), len(loaded.test)) == (54, 6)


def write_lists(folder: Path, tested: str, emotion: str | None = None) -> Path:
    folder.mkdir()
    for side in ("train", "test"):
        rows = [f"{1001 + actor}_DFA_{name}_XX,{emotion or name}" for name in data_trees.EMOTIONS for actor in range(4)]
        (folder / f"{side}.csv").write_text("\n".join(row for row in rows if (row[:4] == tested) == (side == "test")) + "\n", "utf-8-sig")
    return folder


def test_the_published_lists_decide_the_split(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_process(monkeypatch)
    lists = write_lists(tmp_path / "lists", tested="1003")
    assert make_crema_d.make(original, tmp_path / "made", lists) == {"train": 18, "test": 6}
    assert {path.name[:4] for path in (tmp_path / "made/processed_dataset/test").rglob("*.wav")} == {"1003"}


def test_clips_that_cannot_be_used_are_left_out_by_name(original: Path, tmp_path: Path) -> None:
    (original / "VideoFlash/1001_DFA_ANG_XX.flv").write_text("no number")
    (original / "VideoFlash/1002_DFA_ANG_XX.flv").write_text("0")
    (original / "VideoFlash/1003_DFA_ANG_XX.flv").unlink()
    (original / "AudioWAV/1004_DFA_ANG_XX.wav").unlink()
    data_trees.sound(original / "AudioWAV/1001_DFA_SAD_XX.wav", samples=0)
    said: list[str] = []
    assert make_crema_d.make(original, tmp_path / "made", say=said.append) == {"train": 19, "test": 0}
    videos = original / "VideoFlash"
    assert said == [
        "left out: 1003_DFA_ANG_XX has no video",
        "left out: 1004_DFA_ANG_XX has no recording",
        f"left out: {videos}/1001_DFA_ANG_XX.flv: ffmpeg cannot decode it ({videos}/1001_DFA_ANG_XX.flv: Invalid data found)",
        f"left out: {original}/AudioWAV/1001_DFA_SAD_XX.wav: an empty recording; remove it and what is paired with it",
        f"left out: {videos}/1002_DFA_ANG_XX.flv: ffmpeg cannot decode it (no frame in it)",
    ]
    assert not list((tmp_path / "made").rglob("1001_DFA_SAD_XX*"))


def test_too_many_of_them_end_it_and_leave_nothing(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_process(monkeypatch)
    for path in (original / "VideoFlash").iterdir():
        path.write_text("no number")
    with pytest.raises(InputError, match="more than 20 clips cannot be used, the last one: .*flv"):
        make_crema_d.make(original, tmp_path / "made", say=lambda line: None)
    assert not list((tmp_path / "made").iterdir())


BAD: list[tuple[Callable[[Path, Path], object], str]] = [
    (lambda root, made: (made / "processed_dataset").mkdir(parents=True), "processed_dataset exists"),
    (lambda root, made: (root / "AudioWAV").rename(root / "Audio"), "AudioWAV is missing; expected the original release"),
    (lambda root, made: [(root / name).touch() for name in ("VideoFlash/x.flv", "AudioWAV/x.wav")], "x is not named <actor>_<sentence>"),
    (lambda root, made: (root / "VideoFlash/1001_DFA_ANG_XX.mp4").touch(), "1001_DFA_ANG_XX.mp4: .mp4 is none of .flv"),
]


@pytest.mark.parametrize("damage, message", BAD)
def test_a_release_that_is_none_is_refused(
    original: Path, tmp_path: Path, damage: Callable[[Path, Path], object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_process(monkeypatch)
    damage(original, tmp_path / "made")
    result = CliRunner().invoke(make_crema_d.main, [str(original), str(tmp_path / "made")])
    assert message in result.output and result.exit_code == 2


@pytest.mark.parametrize("lists, message", [
    ({"tested": "1003", "emotion": "ANG"}, "is listed with"),
    ({"tested": "1003", "emotion": "JOY"}, "is listed with"),
])  # fmt: skip
def test_lists_that_contradict_are_refused(original: Path, tmp_path: Path, lists: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_crema_d.make(original, tmp_path / "made", write_lists(tmp_path / "lists", **lists))
    with pytest.raises(InputError, match="train.csv: cannot be read"):
        make_crema_d.make(original, tmp_path / "made", tmp_path / "nowhere")


def test_ffmpeg_that_is_missing_is_named(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="ffmpeg, which is not on PATH"):
        make_crema_d.make(original, tmp_path / "made")
    result = CliRunner().invoke(make_crema_d.main, [str(original), str(tmp_path / "made")])
    assert result.exit_code == 6 and "error: frames of videos" in result.output
