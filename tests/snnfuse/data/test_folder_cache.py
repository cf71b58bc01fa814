"""The cache of decoded files: a key over everything that decides numbers, whole files or none, damage computed anew."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import data_trees
import numpy as np
import pytest

from snnfuse import data
from snnfuse.data.folders import cache, decode
from snnfuse.data.folders.entries import Entry
from snnfuse.data.recipes import SoundRecipe
from snnfuse.hardware.errors import DataWarning

RECIPE = SoundRecipe("picture", "log-mel", (8, 8), False, 22050, 11025.0)
OTHERS = {"form": "frames", "features": "log-stft", "shape": (8, 9), "trims": True, "rate": 16000, "highest": 8000.0, "floor": 1e-6}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, still to be made."""
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    found = []
    for number in range(3):
        path = data_trees.sound(tmp_path / f"{number}.wav", number)
        found.append(Entry(path, path.stat().st_size, path.stat().st_mtime_ns))
    return found


def refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "read_sound", lambda entry: pytest.fail(f"{entry} was decoded again"))


def test_what_was_decoded_once_is_not_decoded_again(kept: Path, entries: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    first = decode.sound_array("x", entries, RECIPE)
    (file,) = kept.iterdir()
    assert file.name.startswith("x-sounds-") and first.shape == (3, 1, 8, 8)
    refuse(monkeypatch)
    np.testing.assert_array_equal(decode.sound_array("x", entries, RECIPE), first)


def test_the_key_holds_every_field_of_a_recipe(kept: Path, entries: list[Entry]) -> None:
    assert set(OTHERS) == {field.name for field in fields(SoundRecipe)}
    for number, (name, other) in enumerate(OTHERS.items(), 2):
        if name == "form":
            changed = replace(RECIPE, form="frames", features="log-mel")
        else:
            changed = replace(RECIPE, **{name: other})
        decode.sound_array("x", entries, RECIPE)
        decode.sound_array("x", entries, changed)
        assert len(list(kept.iterdir())) == number


@pytest.mark.parametrize("noise", [{"snr_db": 3.0}, {"snr_db": 3.0, "seed": 1}, {"snr_db": 4.0}])
def test_the_key_holds_the_noise(kept: Path, entries: list[Entry], noise: dict) -> None:
    arrays = [decode.sound_array("x", entries, RECIPE, **given) for given in ({}, {"snr_db": 3.5}, noise)]
    assert len(list(kept.iterdir())) == 3 and (arrays[2] != arrays[0]).any() and (arrays[2] != arrays[1]).any()


CHANGES: list[Callable[[list[Entry]], list[Entry]]] = [
    lambda entries: [replace(entries[0], size=entries[0].size + 1), *entries[1:]],
    lambda entries: [*entries[:2], replace(entries[2], stamp=entries[2].stamp + 1)],
    lambda entries: [replace(entries[0], path=entries[0].path.with_name("y.wav")), *entries[1:]],
    lambda entries: [replace(entries[0], member="y.wav"), *entries[1:]],
    lambda entries: entries[:2],
    lambda entries: entries[::-1],
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_key_holds_every_file(entries: list[Entry], change: Callable[[list[Entry]], list[Entry]]) -> None:
    assert cache.key({}, change(entries), {}) != cache.key({}, entries, {}) == cache.key({}, list(entries), {})


def test_the_key_holds_libraries_and_code(entries: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [cache.key({}, entries, {"pillow": version}) for version in ("1", "2")]
    monkeypatch.setattr(cache, "code_digest", lambda: "edited")
    keys.append(cache.key({}, entries, {"pillow": "2"}))
    monkeypatch.setattr(np, "__version__", "0")
    keys.append(cache.key({}, entries, {"pillow": "2"}))
    assert len(set(keys)) == 4


def test_the_code_that_counts_is_what_decoding_runs() -> None:
    names = {module.__name__ for module in cache.CODE}
    program = "import snnfuse.data.folders.decode, sys; print(*sorted(m for m in sys.modules if m.startswith('snnfuse.data')))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    computing = {name for name in loaded if name.rpartition(".")[2] in ("features", "pictures", "recipes", "images", "sounds", "entries")}
    assert computing <= names and "snnfuse.data.corruptions" in names


def test_a_changed_file_is_read_again(kept: Path, tmp_path: Path) -> None:
    data_trees.cifar10_av(tmp_path / "tree", each=4)
    before = data.load("cifar10-av", tmp_path / "tree")
    for kind, make in (("vision", data_trees.image), ("audio", data_trees.sound)):
        for path in (tmp_path / "tree" / kind).rglob("*.*"):
            make(path, seed=99)
    with pytest.warns(DataWarning, match="equal a training item"):
        after = data.load("cifar10-av", tmp_path / "tree")
    for name in before.shapes:
        assert (before.train.values(name) != after.train.values(name)).any()


@pytest.mark.parametrize("damage", [lambda raw: b"", lambda raw: raw[: len(raw) // 2], lambda raw: raw[:900] + b"\xff" + raw[901:]])
def test_damage_is_noted_and_computed_anew(kept: Path, entries: list[Entry], damage: Callable[[bytes], bytes]) -> None:
    first = decode.sound_array("x", entries, RECIPE)
    (file,) = kept.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with pytest.warns(DataWarning, match="npz: damaged .*it is computed anew"):
        np.testing.assert_array_equal(decode.sound_array("x", entries, RECIPE), first)
    assert file.read_bytes() == whole


def test_a_pickle_in_its_place_is_not_opened(kept: Path, entries: list[Entry]) -> None:
    decode.sound_array("x", entries, RECIPE)
    (file,) = kept.iterdir()
    np.savez(file, array=np.array([{}], object), notes=np.array([], np.str_))
    with pytest.warns(DataWarning, match="allow_pickle=False"):
        assert decode.sound_array("x", entries, RECIPE).dtype == np.float32


def test_notes_are_told_from_the_cache_too(kept: Path, tmp_path: Path) -> None:
    path = data_trees.sound(tmp_path / "stereo.wav", channels=2)
    stereo = [Entry(path, path.stat().st_size, path.stat().st_mtime_ns)]
    for _ in range(2):
        with pytest.warns(DataWarning, match="x: recording of 2 channels averaged: 1 of 1 files, the first .*stereo.wav"):
            decode.sound_array("x", stereo, RECIPE)


def test_a_write_that_fails_leaves_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.warns(DataWarning, match="cannot be written .No space left on device.; it is computed every time"):
        array, _ = cache.cached("x", "0", lambda: (np.arange(3), []))
    assert list(array) == [0, 1, 2] and not list(kept.iterdir())


def test_a_write_that_is_interrupted_leaves_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.cached("x", "0", lambda: (np.arange(3), []))
    assert not list(kept.iterdir())


def test_a_folder_that_cannot_be_made_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / "file"))
    with pytest.warns(DataWarning, match="cannot be written"):
        assert list(cache.cached("x", "0", lambda: (np.arange(2), []))[0]) == [0, 1]


def test_off_keeps_nothing(tmp_path: Path, entries: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.ENVIRONMENT, "off")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    decode.sound_array("x", entries, RECIPE)
    assert cache.folder() is None and not (tmp_path / "home").exists()
    monkeypatch.delenv(cache.ENVIRONMENT)
    assert cache.folder() == tmp_path / "home/snnfuse"


WRITER = """
import sys, numpy as np
from snnfuse.data.folders import cache
for _ in range(20):
    array, notes = cache.cached("x", "0", lambda: (np.arange(200_000), ["note"]))
    assert array.sum() == 19999900000 and notes == ["note"], array
    if int(sys.argv[1]):
        (cache.folder() / "x-0.npz").unlink(missing_ok=True)
"""


def test_writers_at_once_never_show_half_a_file(kept: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", WRITER]
    running = [subprocess.Popen([*command, str(number)], stderr=subprocess.PIPE, text=True) for number in range(2)]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert not [path for path in kept.iterdir() if path.suffix != ".npz"]
