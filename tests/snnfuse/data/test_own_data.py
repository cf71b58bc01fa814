"""A user's own samples of any number of inputs, from arrays and from folders: shapes, groups that stay together, limits, damage."""

from pathlib import Path

import data_trees
import numpy as np
import pytest

from snnfuse import data
from snnfuse.data import Settings, Signal
from snnfuse.data.samples import draw_samples
from snnfuse.hardware.errors import InputError

SAMPLES = 40


def write(path: Path, **changes: object) -> str:
    rng = np.random.default_rng(0)
    arrays: dict[str, object] = {
        "image": rng.random((SAMPLES, 1, 6, 6), np.float32),
        "audio": rng.random((5, SAMPLES, 12), np.float32),
        "touch": 40 * rng.random((SAMPLES, 3), np.float32),
        "labels": np.arange(SAMPLES) % 4,
        "groups": np.arange(SAMPLES) // 8,
    }
    np.savez(path, **{name: array for name, array in (arrays | changes).items() if array is not None})
    return str(path)


SETTINGS = Settings(
    static=("image", "touch"),
    inputs={"image": Signal("image", (0, 1)), "audio": Signal("spectrogram", (0, 1), bands=6), "touch": Signal(limits=(0, 40))},
)


def test_three_inputs_are_divided_by_groups(tmp_path: Path) -> None:
    name = write(tmp_path / "pairs.npz")
    loaded = data.load(name, None, SETTINGS)
    assert loaded.shapes == {"image": (1, 6, 6), "audio": (12,), "touch": (3,)} and loaded.time == 5
    assert (len(loaded.train), len(loaded.test), len(loaded.classes)) == (32, 8, 4)
    groups = loaded.train.pools["touch"].groups
    assert groups is not None
    sides = [{*groups[side.index[:, 0]].tolist()} for side in (loaded.train, loaded.test)]
    assert not sides[0] & sides[1] and len(sides[1]) == 1
    stored = np.load(name)
    row = int(loaded.test.index[0, 0])
    steps = loaded.test.steps(slice(1))
    np.testing.assert_array_equal(steps["touch"][:, 0], np.repeat(stored["touch"][row][None], 5, 0))
    np.testing.assert_array_equal(steps["audio"][:, 0], stored["audio"][:, row])
    other = data.load(name, None, Settings(seed=7, static=SETTINGS.static))
    np.testing.assert_array_equal(other.test.index, loaded.test.index)


def test_vectors_alone_have_as_many_steps_as_asked_for(tmp_path: Path) -> None:
    name = write(tmp_path / "v.npz", image=None, audio=None, groups=None)
    for steps in (None, 9):
        loaded = data.load(name, None, Settings(static=("touch",), time=steps))
        assert loaded.time == (steps or 4) and loaded.train.steps(slice(2))["touch"].shape == (steps or 4, 2, 3)


def test_samples_are_drawn_as_of_any_data_set_and_settings_survive_json(tmp_path: Path) -> None:
    samples = draw_samples(write(tmp_path / "pairs.npz"), 6, settings=SETTINGS)
    assert samples.inputs["image"].shape == (5, 6, 1, 6, 6) and samples.data is not None
    assert Settings(**samples.data["settings"]) == SETTINGS


@pytest.mark.parametrize(
    "changes, settings, message",
    [
        ({"labels": None}, SETTINGS, "holds no array `labels`"),
        ({"labels": np.arange(SAMPLES) - 1}, SETTINGS, "labels hold -1"),
        ({"groups": np.arange(7)}, SETTINGS, r"groups are int64 \(7,\)"),
        ({"groups": np.zeros(SAMPLES, int)}, SETTINGS, "nothing of class 0 would be left"),
        ({"touch": None}, SETTINGS, "no array 'touch', of which something is said"),
        ({}, Settings(static=("image", "touch"), inputs={"touch": Signal(limits=(-1, 1))}), "its range is said to be -1..1"),
        ({}, Settings(static=("image", "touch"), inputs={"touch": Signal("image")}), "input 'touch' of kind 'image' must be"),
        ({}, Settings(static=("image", "touch"), inputs={"audio": Signal("spectrogram", bands=5)}), "does not hold frames of 5 bands"),
        ({}, Settings(static=("image", "touch"), time=3), "has no time 3; it offers 5"),
        ({}, Settings(static=("image", "touch"), split="half"), "has no split 'half'"),
        ({"touch": np.full((SAMPLES, 3), np.nan)}, SETTINGS, "'touch' holds NaN"),
        ({"touch": np.zeros((7, 3))}, SETTINGS, r"labels are int64 \(40,\), not integers \(7,\)"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, changes: dict, settings: Settings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.load(write(tmp_path / "pairs.npz", **changes), None, settings)


@pytest.mark.parametrize("given", [{"kind": "sound"}, {"limits": (1, 0)}, {"limits": (0, float("inf"))}, {"colour": 1}])
def test_a_signal_that_there_is_not_is_refused(given: dict) -> None:
    with pytest.raises(InputError):
        Settings(inputs={"x": given})


def test_a_data_set_by_name_says_itself_what_its_inputs_are() -> None:
    with pytest.raises(InputError, match="data set 'av-digits' has no inputs"):
        data.load("av-digits", None, Settings(inputs={"image": Signal()}))
    loaded = data.load("av-digits")
    assert {name: pool.signal.kind for name, pool in loaded.train.pools.items()} == {"image": "image", "audio": "spectrogram"}


def folders(root: Path) -> Path:
    for label, name in enumerate(("open", "shut")):
        for i in range(10):
            data_trees.image(root / "camera" / name / f"{name}{i}.png", 100 * label + i, (20, 20))
            data_trees.sound(root / "microphone" / name / f"{name}{i}.wav", 100 * label + i, samples=800)
            (root / "glove" / name).mkdir(parents=True, exist_ok=True)
            np.save(root / "glove" / name / f"{name}{i}.npy", np.full((6, 2), 10 * label + i, np.float32))
    lines = [f"{name}{i},take {i // 2}" for name in ("open", "shut") for i in range(10)]
    (root / "groups.csv").write_text("\n".join(lines) + "\n")
    return root


def test_folders_of_images_recordings_and_arrays(tmp_path: Path) -> None:
    loaded = data.load(str(folders(tmp_path)), None, Settings(size=(16, 16), inputs={"glove": Signal(limits=(0, 20))}))
    assert loaded.shapes == {"camera": (3, 16, 16), "glove": (2,), "microphone": (240,)} and loaded.time == 6
    assert loaded.classes == ("open", "shut") and loaded.recordings == ("microphone",)
    kinds = {name: pool.signal.kind for name, pool in loaded.train.pools.items()}
    assert kinds == {"camera": "image", "glove": "other", "microphone": "spectrogram"}
    numbers = [side.values("glove")[:, 0, 0].astype(int) % 10 // 2 for side in (loaded.train, loaded.test)]
    assert not {*numbers[0]} & {*numbers[1]} and len(loaded.test) == 4, "takes are on one side"
    for kind, shape, timed in (("mel-texture", (120,), True), ("mel-statistics", (218,), False)):
        heard = data.load(str(tmp_path), None, Settings(features=kind)).train.pools["microphone"]
        assert (heard.shape, heard.timed) == (shape, timed)
    with pytest.raises(InputError, match="no features 'log-stft'; it offers log-mel, mel-texture, mel-statistics"):
        data.load(str(tmp_path), None, Settings(features="log-stft"))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda root: (root / "glove/shut/shut3.npy").unlink(), "shut/shut3 is a file of camera only"),
        (lambda root: (root / "camera/ajar").mkdir(), "camera/ajar: holds no file"),
        (lambda root: data_trees.sound(root / "camera/open/open0.wav"), "has the same name as"),
        (lambda root: (root / "groups.csv").write_text("open0,1\n"), "has no line for open1"),
        (lambda root: np.save(root / "glove/open/open4.npy", np.zeros((5, 2))), r"open4.npy: is \(5, 2\)"),
        (lambda root: (root / "glove/open/open4.npy").write_bytes(b"x"), "open4.npy"),
    ],
)
def test_folders_that_do_not_fit_are_refused_by_name(tmp_path: Path, spoil: object, message: str) -> None:
    folders(tmp_path)
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        data.load(str(tmp_path))
