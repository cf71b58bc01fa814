"""Files that are odd or broken: handled, with a note where numbers change, or refused by name."""

import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import data_trees
import numpy as np
import pytest
import soundfile
from PIL import Image

from snnfuse import data
from snnfuse.data.folders import decode, images
from snnfuse.data.folders.entries import Entry
from snnfuse.data.folders.sounds import read_sound
from snnfuse.hardware.errors import DataWarning, EnvironmentProblem, InputError

VISION, AUDIO = Path("vision/cat/cat_3.jpg"), Path("audio/cat/cat_3.wav")
Damage = Callable[[Path], object]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return data_trees.cifar10_av(tmp_path, each=4)


def entry(path: Path) -> Entry:
    return Entry(path, path.stat().st_size, path.stat().st_mtime_ns)


def cut(name: Path, share: float = 0.5) -> Damage:
    def damage(root: Path) -> None:
        raw = (root / name).read_bytes()
        (root / name).write_bytes(raw[: int(len(raw) * share)])

    return damage


def put(name: str | Path, content: bytes = b"") -> Damage:
    return lambda root: (root / name).write_bytes(content)


def make_sound(**options: object) -> Damage:
    return lambda root: data_trees.sound(root / AUDIO, **options)


def make_image(**options: object) -> Damage:
    return lambda root: data_trees.image(root / VISION, **options)


def link(name: str, to: str) -> Damage:
    return lambda root: (root / name).symlink_to(to)


def not_finite(root: Path) -> None:
    soundfile.write(root / AUDIO, np.array([0, np.nan, 1]), 8000, subtype="FLOAT")


REFUSED: list[tuple[Damage, str]] = [
    (lambda root: (root / VISION).unlink(), "audio/cat: 1 files have none of their name in .*vision/cat: cat_3; add or remove"),
    (lambda root: (root / AUDIO).rename(root / "audio/cat/other.wav"), "vision/cat: 1 files have none of their name in .*audio/cat: cat_3"),
    (lambda root: shutil.rmtree(root / "audio/dog"), "audio/dog: this class folder is missing, while .*vision/dog exists"),
    (lambda root: shutil.rmtree(root / "vision/dog"), "vision/dog: this class folder is missing, while .*audio/dog exists"),
    (lambda root: shutil.rmtree(root / "audio"), "cifar10-av: the folder .*audio is missing; expected .* page is https"),
    (lambda root: [path.unlink() for path in (root / "vision/cat").iterdir()], "vision/cat: holds no file .jpg, .jpeg, .png"),
    (lambda root: (root / "vision/cat/more").mkdir(), "vision/cat/more: a folder inside a class folder"),
    (put("audio/cat/cat_3.mp3"), "cat_3.mp3: .mp3 is none of .wav, .flac"),
    (put("audio/cat/README"), "README: a file without suffix is none of"),
    (lambda root: data_trees.image(root / "vision/cat/cat_3.PNG"), "has the same name as"),
    (link("vision/cat/cat_9.jpg", "cat_9.jpg"), "cat_9.jpg: cannot be followed .a circle of symbolic links"),
    (link("vision/cat/cat_9.jpg", "nowhere.jpg"), "cat_9.jpg: cannot be followed"),
    (link("vision/loop", "loop"), "loop: cannot be followed"),
    (put(VISION), "cat_3.jpg: not a JPEG or PNG image"),
    (put(VISION, b"GIF89a nor this"), "cat_3.jpg: not a JPEG or PNG image"),
    (cut(VISION), "cat_3.jpg: not a readable image"),
    (cut(VISION, 0.1), "cat_3.jpg: not a"),
    (lambda root: Image.new("I;16", (8, 8)).save(root / VISION, format="PNG"), "cat_3.jpg: pixels of mode I;16; convert it to 8 bits"),
    (put(AUDIO), "cat_3.wav: not a readable recording"),
    (put(AUDIO, b"RIFF____WAVEfmt "), "cat_3.wav: a wav file without a recording in it"),
    (put(AUDIO, b"RIFF" + bytes(100)), "cat_3.wav: not a readable recording"),
    (cut(AUDIO), "cat_3.wav: ends after 1578 of the 3200 bytes that its header promises"),
    (make_sound(samples=0), "cat_3.wav: an empty recording"),
    (not_finite, "cat_3.wav: holds numbers that are not finite"),
]


@pytest.mark.parametrize("damage, message", REFUSED)
def test_what_cannot_be_used_is_refused_by_name(tree: Path, damage: Damage, message: str) -> None:
    damage(tree)
    with pytest.raises(InputError, match=message):
        data.load("cifar10-av", tree)


HANDLED: list[tuple[Damage, str | None]] = [
    (put("vision/.DS_Store"), None),
    (put("vision/cat/.DS_Store"), None),
    (put("vision/dog/Thumbs.db"), None),
    (put("audio/dog/._cat_3.wav", b"resource fork"), None),
    (put("vision/README.txt"), None),
    (lambda root: (root / VISION).rename(root / "vision/cat/cat_3.JPG"), None),
    (lambda root: (root / AUDIO).rename(root / "audio/cat/cat_3.WAV"), None),
    (lambda root: [(root / AUDIO).unlink(), data_trees.sound(root / "audio/cat/cat_3.flac", subtype="PCM_24")], None),
    (lambda root: [(root / "vision/cat").rename(root / "elsewhere"), (root / "vision/cat").symlink_to(root / "elsewhere")], None),
    (make_image(size=(500, 700)), None),
    (make_image(size=(1, 1)), None),
    (make_image(mode="L"), "1 of 8 files, the first .*cat_3.jpg"),
    (make_image(mode="CMYK"), "image of mode CMYK made RGB"),
    (lambda root: [(root / VISION).unlink(), data_trees.image(root / "vision/cat/cat_3.png", mode="P")], "mode P made RGB"),
    (lambda root: [(root / VISION).unlink(), data_trees.image(root / "vision/cat/cat_3.png", mode="RGBA")], "mode RGBA made RGB"),
    (make_sound(channels=2), "recording of 2 channels averaged: 1 of 8 files, the first .*cat_3.wav"),
    (make_sound(rate=48000), None),
    (make_sound(rate=11025), None),
    (make_sound(subtype="PCM_24"), None),
    (make_sound(subtype="PCM_32"), None),
    (make_sound(subtype="PCM_U8"), None),
    (make_sound(subtype="FLOAT"), None),
    (make_sound(subtype="DOUBLE"), None),
    (make_sound(samples=1), None),
    (lambda root: soundfile.write(root / AUDIO, np.zeros(4000), 8000), None),
]


@pytest.mark.parametrize("damage, note", HANDLED)
def test_what_is_odd_is_handled_and_noted_where_it_changes(tree: Path, damage: Damage, note: str | None) -> None:
    damage(tree)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        loaded = data.load("cifar10-av", tree)
    told = [str(warning.message) for warning in caught if warning.category is DataWarning]
    assert len(loaded.train) == 6 and all(np.isfinite(loaded.train.values(name)).all() for name in loaded.shapes)
    if note is None:
        assert not told
    else:
        with pytest.warns(DataWarning, match=note):
            data.load("cifar10-av", tree)
        assert len(told) == 1


@pytest.mark.parametrize("subtype, rtol", [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-30), ("DOUBLE", 0)])
@pytest.mark.parametrize("rate", [8000, 44100])
def test_every_width_reads_the_same_waveform(tmp_path: Path, subtype: str, rtol: float, rate: int) -> None:
    wave = 0.9 * np.random.default_rng(0).uniform(-1, 1, (300, 2))
    soundfile.write(tmp_path / "x.wav", wave, rate, subtype=subtype)
    heard_rate, heard, note = read_sound(entry(tmp_path / "x.wav"))
    assert heard_rate == rate and note == "recording of 2 channels averaged"
    np.testing.assert_allclose(heard, wave.mean(axis=1), rtol=0, atol=rtol)


def test_a_piped_wav_of_unknown_length_is_read(tmp_path: Path) -> None:
    path = data_trees.sound(tmp_path / "x.wav")
    raw = path.read_bytes()
    at = raw.index(b"data") + 4
    path.write_bytes(raw[:4] + b"\xff" * 4 + raw[8:at] + b"\xff" * 4 + raw[at + 4 :])
    assert read_sound(entry(path))[1].size == 1600


def test_a_truncated_flac_is_refused(tmp_path: Path) -> None:
    path = data_trees.sound(tmp_path / "x.flac", samples=40000)
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(InputError, match="x.flac: "):
        read_sound(entry(path))


def test_an_image_that_claims_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = data_trees.image(tmp_path / "x.png", size=(40, 50))
    monkeypatch.setattr(images, "LARGEST", 1999)
    monkeypatch.setattr(Image.Image, "convert", lambda *args: pytest.fail("decoded"))
    with pytest.raises(InputError, match="x.png: 50 x 40 pixels are more than the 1999"):
        images.read_image(entry(path), (32, 32))


def test_the_limit_of_pillow_itself_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="x.png: not a readable image .*decompression bomb"):
        images.read_image(entry(data_trees.image(tmp_path / "x.png")), (32, 32))


def test_copies_across_the_split_are_told(tree: Path) -> None:
    for path in (tree / "audio/cat").iterdir():
        shutil.copy(tree / "audio/dog/dog_0.wav", path)
    with pytest.warns(DataWarning, match="of 2 test items of audio equal a training item"):
        data.load("cifar10-av", tree)


@pytest.mark.parametrize("batch, content, message", [
    ("data_batch_3.bin", None, "data_batch_3.bin: cannot be read"),
    ("test_batch.bin", b"", "test_batch.bin: 0 bytes"),
    ("test_batch.bin", bytes(3074), "test_batch.bin: 3074 bytes are no whole number of images of 3073"),
    ("data_batch_5.bin", b"\x0a" + bytes(3072), "data_batch_5.bin: holds the label 10, beyond 9"),
])  # fmt: skip
def test_damaged_binary_batches_are_named(tmp_path: Path, batch: str, content: bytes | None, message: str) -> None:
    path = data_trees.cifar10_binary(tmp_path) / "cifar-10-batches-bin" / batch
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        data.load("cifar10", tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 nor this"])
def test_a_damaged_zip_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "images.zip").write_bytes(content)
    with pytest.raises(InputError, match="images.zip: damaged zip file"):
        data.load("cifar10", tmp_path)


def test_a_damaged_member_of_a_zip_is_named(tmp_path: Path) -> None:
    path = data_trees.cifar10_zip(tmp_path) / "images.zip"
    raw = bytearray(path.read_bytes())
    at = raw.index(b"train/airplane/0002.png") + 200
    raw[at] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(InputError, match="train/airplane/0002.png: cannot be read"):
        data.load("cifar10", tmp_path)


def test_a_class_on_one_side_only_is_named(tmp_path: Path) -> None:
    shutil.rmtree(data_trees.cifar10_folders(tmp_path) / "test/frog")
    with pytest.raises(InputError, match="class frog is missing from test"):
        data.load("cifar10", tmp_path)


@pytest.mark.parametrize("library, name", [("PIL", "Pillow"), ("soundfile", "soundfile")])
def test_a_missing_library_gives_the_line_that_installs_it(tree: Path, library: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EnvironmentProblem, match=rf"need {name}, .*; pip install 'snnfuse\[data\]'"):
        data.load("cifar10-av", tree)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_named(tree: Path) -> None:
    (tree / AUDIO).chmod(0)
    with pytest.raises(InputError, match="cat_3.wav: cannot be read"):
        data.load("cifar10-av", tree)


def test_a_refused_file_does_not_wait_for_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "THREADS", 1)
    read: list[int] = []

    def refuse_the_first(number: int) -> tuple[np.ndarray, None]:
        read.append(number)
        time.sleep(0.001)
        if read.count(0) == 2:  # the very first is read for its shape, too
            raise InputError("0.wav: no recording")
        return np.zeros(1), None

    with pytest.raises(InputError, match="0.wav"):
        decode._collect("x", list(range(5000)), refuse_the_first)
    assert len(read) < 500
