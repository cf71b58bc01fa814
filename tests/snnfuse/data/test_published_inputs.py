"""What S-CMRL's authors feed their networks, restated with torch and Pillow: crops, norms, spectrograms, splits and pairs."""

from dataclasses import replace
from pathlib import Path

import data_trees
import event_files
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from snnfuse import data, networks
from snnfuse.data.events import published as events
from snnfuse.data.folders.images import random_box
from snnfuse.data.pairs import hold_out, redraw
from snnfuse.hardware.errors import DataWarning, InputError
from snnfuse.training import inputs_of, recipe_for

MEAN, DEVIATION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def crema_d(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, data.AudioVisual]:
    root = data_trees.crema_d(tmp_path_factory.mktemp("crema-d"))
    with pytest.warns(DataWarning, match="12 of 12 test samples are of actors that train too"):
        return root, data.load("crema-d-published", root)


def files(root: Path, side: str, modality: str) -> list[Path]:
    return sorted((root / "processed_dataset" / side / modality).glob("*/*"))


def test_images_of_the_test_are_the_normalised_centre(crema_d: tuple[Path, data.AudioVisual]) -> None:
    root, loaded = crema_d
    for number, path in enumerate(files(root, "test", "visual")[:3]):
        with Image.open(path) as image:
            width, height = image.size
            scale = 256 / min(width, height)
            size = (256, int(height * scale)) if width <= height else (int(width * scale), 256)
            whole = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR), np.float32) / 255
        top, left = round((whole.shape[0] - 128) / 2), round((whole.shape[1] - 128) / 2)
        expected = (whole[top : top + 128, left : left + 128] - np.float32(MEAN)) / np.float32(DEVIATION)
        found = loaded.test.steps(slice(number, number + 1))["image"]
        np.testing.assert_allclose(found[:, 0], np.broadcast_to(expected.transpose(2, 0, 1), found[:, 0].shape), atol=2e-6)


def test_sound_is_the_log_stft_as_it_is(crema_d: tuple[Path, data.AudioVisual]) -> None:
    root, loaded = crema_d
    path = files(root, "train", "audio")[0]
    wave, rate = soundfile.read(path, dtype="float64")
    from snnfuse.data.pictures import resample

    heard = torch.from_numpy(np.clip(resample(wave if wave.ndim == 1 else wave.mean(1), rate, 22_050), -1, 1))
    spectrum = torch.stft(heard, 512, 353, window=torch.hann_window(512, dtype=torch.float64), pad_mode="constant", return_complex=True)
    picture = Image.fromarray(torch.log(spectrum.abs() + 1e-7).float().numpy()).resize((128, 128), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(loaded.train.steps(slice(0, 1))["audio"][2, 0, 0], np.asarray(picture), atol=2e-3)
    assert loaded.train.pools["audio"].items.min() < -3, "not normalised"


def test_every_epoch_takes_one_of_three_copies_of_its_own_image(crema_d: tuple[Path, data.AudioVisual]) -> None:
    _, loaded = crema_d
    train = loaded.train
    assert len(train.pools["image"]) == 3 * len(train) and train.shapes == {"image": (3, 128, 128), "audio": (1, 128, 128)}
    chosen = np.stack([redraw(train, epoch).index for epoch in range(12)])
    assert (chosen[:, :, 0] // 3 == np.arange(len(train))).all() and (chosen[:, :, 1] == train.index[:, 1]).all()
    assert all(len(np.unique(chosen[:, row, 0])) == 3 for row in range(3))
    items = train.pools["image"].items
    assert not np.array_equal(items[0], items[1]) and not np.array_equal(items[0], items[3])
    kept, out = hold_out(train, 0.2, 0)
    assert not set(kept.index[:, 0] // 3) & set(out.index[:, 0] // 3)
    assert (redraw(loaded.test, 5).index == loaded.test.index).all()


def test_crops_are_of_the_published_sizes_and_ratios() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([random_box((320, 240), rng) for _ in range(400)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 320).all() and (boxes[:, 3] <= 240).all()
    share, ratio = width * height / (320 * 240), width / height
    assert share.min() > 0.075 and share.max() > 0.8 and 0.35 < share.mean() < 0.6
    assert ratio.min() > 0.72 and ratio.max() < 1.36
    assert random_box((1000, 10), np.random.default_rng(0))[3] == 10, "where nothing fits, the centre"


def test_urbansound_splits_each_class_by_name_and_says_what_that_mixes(tmp_path: Path) -> None:
    root = data_trees.urbansound8k_av(tmp_path)
    for folder in ("Dataset_v3_vision", "Dataset_v3_sound"):  # of 29 a class 20 train, of the last recording two of three
        for kind in (root / folder).iterdir():
            max(kind.iterdir()).unlink()
    with pytest.warns(DataWarning, match="2 of 18 test samples are of recordings that train too, as in the published split"):
        loaded = data.load("urbansound8k-av-published", root)
    assert (len(loaded.train), len(loaded.test)) == (40, 18)
    assert loaded.classes == ("dog_bark", "siren")
    with pytest.raises(InputError, match="features 'log-mel'"):
        data.load("urbansound8k-av-published", root, data.Settings(features="log-mel"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("events")
    event_files.write_mnist_dvs(root / "mnist-dvs", 6)
    train, test = event_files.spoken(("man-ae", "woman-bd")), event_files.spoken(("woman-xx",), seed=1)
    event_files.write_ntidigits(root / "n-tidigits/n-tidigits.hdf5", train=train, test=test)
    return root


def test_events_are_paired_in_order_and_enlarged_as_torch_does(digits: Path) -> None:
    loaded, ours = data.load(events.NAME, digits), data.load("mnistdvs-ntidigits", digits)
    assert loaded.shapes == {"image": (2, 28, 28), "audio": (1, 28, 28)} and (len(loaded.train), len(loaded.test)) == (30, 30)
    sounds = loaded.train.pools["audio"]
    zeros = loaded.train.index[loaded.train.labels == 0, 1]
    members = np.flatnonzero(sounds.labels == 0)
    assert zeros.tolist() == np.resize(members, 3).tolist()
    counts = np.random.default_rng(0).integers(0, 9, (4, 16, 1, 8, 8)).astype(np.float32)
    wanted = torch.nn.functional.interpolate(torch.from_numpy(counts).flatten(0, 1), size=(28, 28), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(events.enlarged(counts).reshape(-1, 1, 28, 28), wanted.numpy(), atol=1e-5)
    one = ours.train.pools["image"].items[:1]
    shifted = {events.moved(one, np.random.default_rng(seed))[0].tobytes() for seed in range(9)}
    assert len(shifted) > 5
    values, items = loaded.test.steps(slice(0, 1))["image"], loaded.test.pools["image"].items[loaded.test.index[0, 0]]
    np.testing.assert_allclose(values[:, 0], (items - 0.1307) / 0.3081, rtol=1e-5, atol=1e-5)
    other = data.load(events.NAME, digits, data.Settings(seed=3))
    assert (other.test.pools["image"].items == loaded.test.pools["image"].items).all(), "the seed is not of the split"


@pytest.mark.parametrize("modality", ["fusion", "vision", "audio"])
def test_fd_fusion_reads_what_s_cmrl_reads(modality: str, digits: Path, crema_d: tuple[Path, data.AudioVisual]) -> None:
    for loaded in (crema_d[1], data.load(events.NAME, digits), data.load("mnistdvs-ntidigits", digits)):
        model = networks.build("fd-fusion", {**inputs_of("fd-fusion", loaded), "modality": modality})
        steps = loaded.train.steps(slice(0, 2))
        scores = networks.run(model.eval(), *(torch.from_numpy(steps[name]) for name in model.inputs))
        assert scores.shape == (loaded.time, 2, len(loaded.classes))
        again = networks.build(*networks.describe(model) or ())
        assert again.config == model.config


def test_nothing_more_is_augmented() -> None:
    ours, theirs = recipe_for("s-cmrl", "crema-d"), recipe_for("s-cmrl", "crema-d-published")
    assert ours.augment and not theirs.augment and replace(theirs, augment=True) == ours
    assert recipe_for("s-cmrl", "urbansound8k-av-published").temperature == 0.08
